"""The sync is killed at its named stops, at random moments, and paused past its lease; nothing may come of it.

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

import mailstore
from tests import environment
from tests.mailstore.kill_points.sampling import named_stops
from tests.mailstore.kill_points.scenarios import SCENARIOS
from tests.servers.dovecot import BINARY
from tests.servers.processes import unavailable

pytestmark = pytest.mark.django_db  # so that it runs on the second engine too


def drive(*options: str) -> str:
    """Run the driver; return what it printed, which ends with a count of all that it did."""
    if not Path(BINARY).exists():
        unavailable("Dovecot is not installed")
    inherited = {name: value for name, value in os.environ.items() if name != environment.BASE}
    if inherited.get("DATABASE_URL", "").startswith("sqlite"):
        del inherited["DATABASE_URL"]
    command = [sys.executable, "-m", "tests.mailstore.kill_points", *options]
    done = subprocess.run(command, cwd=environment.ROOT, env=inherited, capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, f"{done.stdout[-8000:]}\n{done.stderr[-8000:]}"
    return done.stdout


@pytest.mark.long
@pytest.mark.proves("J5", "R1", "R5", "R33", "R34", "V1", "V2", "V3", "V5", "V6")
def test_a_sync_stopped_anywhere_ends_as_if_nothing_had_happened():
    sample = [] if connection.vendor == "sqlite" else ["--scenarios", "20"]  # all of them once, on the first engine
    said = drive("--stops", "60", "--random", "6", "--pauses", "6", *sample, "--seed", str(random.getrandbits(32)))
    assert "killed at 60 stops" in said


@pytest.mark.slow
@pytest.mark.proves("J5", "R1", "R5", "R33", "R34", "V1", "V2", "V3", "V5", "V6")
def test_a_sync_stopped_everywhere_ends_as_if_nothing_had_happened():
    said = drive("--all", "--random", "500", "--pauses", "100", "--cuts", "100", "--seed", str(random.getrandbits(32)))
    stops = re.search(r"killed at (\d+) stops", said)
    assert stops is not None
    assert int(stops[1]) >= 1_000


def test_there_are_scenarios_and_stops_enough():
    assert len(SCENARIOS) >= 20
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    assert len(named_stops(mailstore)) >= 40
