"""A part of a benchmark in a process of its own, since a database is chosen once per process."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def measured_apart(module: str, database: str, folder: Path, size: list[str]) -> Any:
    """What `python -m module *size` prints as JSON, with the URL `database` and with `folder` for its state."""
    environment = {
        **os.environ,
        "DATABASE_URL": database,
        "DJANGO_SETTINGS_MODULE": "emailsettings.settings",
        "EMAILSETTINGS_STATE_DIR": str(folder),
        "EMAILSETTINGS_SANDBOX": "0",
        "PYTHONWARNINGS": "ignore",
        "EMAILSETTINGS_ENCRYPTION_KEYS": "benchmark:" + base64.b64encode(bytes(32)).decode(),
        "SECRET_KEY": "of no worth outside of this benchmark",
        "ALLOWED_HOSTS": "testserver",
        "BROKER_URL": "memory://",
        "CACHE_URL": "locmem://",
        "LOG_LEVEL": "ERROR",
    }
    command = [sys.executable, "-m", module, *size]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)
