"""The table of promises can be asked for by programs too."""

from __future__ import annotations

import subprocess
import sys

from tests.environment import ROOT


def test_printing_the_table_is_no_failure_because_nothing_was_run():
    command = [sys.executable, "-m", "pytest", "--promises", "-q", "-p", "no:cacheprovider", "tests/architecture"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert "promises have a proof" in printed.stdout
    assert printed.returncode == 0
