"""The environment in which the settings are read under test: nothing of the machine's own configuration, no network.

Importing this module sets it, so it comes before Django. DATABASE_URL is the one variable taken over: without it the
suite runs on SQLite, with it (see tests/servers/postgres.py) on that server.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
BASE = "EMAILSETTINGS_TEST_DIR"

#: What the product reads and a test run must not inherit, each also as the path of a file with the value.
OURS = (
    "SECRET_KEY",
    "BROKER_URL",
    "CACHE_URL",
    "DEBUG",
    "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS",
    "TIME_ZONE",
    "LOG_LEVEL",
)


def prepare() -> Path:
    """Set the environment; return the folder of this process. Workers of one run stand beside each other in it."""
    global _own_base
    if BASE not in os.environ:
        os.environ[BASE] = tempfile.mkdtemp(prefix="es-", dir=_short_temporary_folder())
        _own_base = Path(os.environ[BASE])
    base = Path(os.environ[BASE])
    for name in [*OURS, *(name for name in os.environ if name.startswith("EMAILSETTINGS_") and name != BASE)]:
        os.environ.pop(name, None)
        os.environ.pop(f"{name}_FILE", None)
    folder = base / WORKER
    for name in ("static", "mail"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    os.environ.update(
        DJANGO_SETTINGS_MODULE="emailsettings.settings",
        EMAILSETTINGS_STATE_DIR=str(folder),
        EMAILSETTINGS_MAIL_DIR=str(folder / "mail"),
        EMAILSETTINGS_SANDBOX="0",
        SECRET_KEY="a key for tests only, of enough length to please the checks",
        EMAILSETTINGS_ENCRYPTION_KEYS="tests:" + base64.b64encode(bytes(range(32))).decode(),
        BROKER_URL="memory://",
        CACHE_URL="locmem://",
        CELERY_TASK_ALWAYS_EAGER="1",
    )
    os.environ.setdefault("DATABASE_URL", f"sqlite:///{folder / 'unused.sqlite3'}")
    return folder


def clean_up() -> None:
    """Remove the folder of the run; only the process that made it does."""
    if _own_base is not None:
        shutil.rmtree(_own_base, ignore_errors=True)


def _short_temporary_folder() -> str | None:
    """Unix socket paths end at 107 bytes, and some systems have a long TMPDIR."""
    chosen = tempfile.gettempdir()
    return "/tmp" if len(chosen) > 40 and os.access("/tmp", os.W_OK) else chosen


_own_base: Path | None = None
STATE = prepare()

if __name__ == "__main__":  # python -m tests.environment COMMAND...: run COMMAND in it
    try:
        sys.exit(subprocess.call(sys.argv[1:]))
    finally:
        clean_up()
