"""`./manage.py` as the guides write it, by a shell that knows nothing of .venv."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

MANAGE = Path(__file__).parents[2] / "manage.py"


def started(folder: Path) -> subprocess.CompletedProcess[str]:
    """Start a copy of manage.py with a Python that has no packages."""
    shutil.copy(MANAGE, folder / "manage.py")
    command = [sys.executable, "-S", "-E", folder / "manage.py", "create_token", "anna@example.com"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_what_run_installed_is_used(tmp_path: Path):
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o700)
    assert started(tmp_path).stdout.split() == [str(tmp_path / "manage.py"), "create_token", "anna@example.com"]


def test_where_nothing_is_installed_the_missing_package_is_named(tmp_path: Path):
    ended = started(tmp_path)
    assert ended.returncode == 1
    assert "No module named 'django'" in ended.stderr
