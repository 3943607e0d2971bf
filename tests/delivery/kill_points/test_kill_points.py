"""Sending is killed at every step, from the pressed button to the filed copy, and nothing is lost or doubled (R2, V4).

The driver runs as a program of its own, with a database of its own on the engine of this run (see `driver.py`). It
forks, so it has no threads and none of pytest's files.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from tests import environment
from tests.delivery.kill_points.scenarios import SCENARIOS
from tests.servers.dovecot import BINARY
from tests.servers.processes import unavailable

pytestmark = pytest.mark.django_db  # so that it runs on the second engine too


def drive(*options: str) -> int:
    """Run the driver; return at how many steps it killed. It prints what it did."""
    if not Path(BINARY).exists():
        unavailable("Dovecot is not installed")
    inherited = {name: value for name, value in os.environ.items() if name != environment.BASE}
    if inherited.get("DATABASE_URL", "").startswith("sqlite"):
        del inherited["DATABASE_URL"]
    command = [sys.executable, "-m", "tests.delivery.kill_points", "--seed", str(random.getrandbits(32)), *options]
    done = subprocess.run(command, cwd=environment.ROOT, env=inherited, capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, f"{done.stdout[-8000:]}\n{done.stderr[-8000:]}"
    killed = re.findall(r"killed at (\d+) stops", done.stdout)
    return int(killed[-1])


@pytest.mark.long
@pytest.mark.proves("J5", "R2", "R5", "R34", "V4", "V5", "I1", "I3", "I6")
def test_a_mail_whose_way_is_cut_anywhere_arrives_once():
    sample = [] if connection.vendor == "sqlite" else ["--scenarios", "15"]  # all of them once, on the first engine
    assert drive("--stops", "40", "--random", "4", "--pauses", "4", "--cuts", "4", *sample) == 40


@pytest.mark.slow
@pytest.mark.proves("J5", "R2", "R5", "R34", "V4", "V5", "I1", "I3", "I6")
def test_a_mail_whose_way_is_cut_everywhere_arrives_once():
    assert drive("--stops", "600", "--random", "60", "--pauses", "60", "--cuts", "60") >= 500


def test_there_are_scenarios_enough():
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS) >= 15
