"""SIGKILL at every named step of sending, in a process of its own: nothing lost, nothing doubled (fault R2)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from delivery import sweeping
from delivery.models import LEASE
from delivery.states import State
from delivery.tasks import submit_message
from tests.delivery.conftest import states

pytestmark = pytest.mark.django_db(transaction=True)

WORKER = "import django; django.setup(); from delivery.tasks import submit_message; submit_message({pk})"
POINTS = {
    "connection taken": State.SENT,
    "attempt written": State.SENT,
    "logged in": State.SENT,
    "message out, no dot": State.SENT,
    "final dot marked": State.UNCERTAIN,
    "reply read": State.UNCERTAIN,
    "outcome settled": State.SENT,
}


def database_url() -> str:
    """The test database, for another process."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return f"{os.environ['DATABASE_URL'].rpartition('/')[0]}/{name}"


def run_worker(pk: int, port: int, point: str = "", log: str = "") -> int:
    """Run the task in a process that is killed when it passes `point`; return how it ended."""
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "EMAILSETTINGS_DIAL_NETWORKS": "127.0.0.0/8",
        "EMAILSETTINGS_DIAL_PORTS": str(port),
        "EMAILSETTINGS_FAULTPOINT": f"{point}:1" if point else "",
        "EMAILSETTINGS_FAULTPOINT_LOG": log,
    }
    command = [sys.executable, "-c", WORKER.format(pk=pk)]
    ended = subprocess.run(command, env=environment, timeout=60, check=False, capture_output=True, text=True)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode


@pytest.fixture
def message(make_message, sending_mailbox, alice):
    return make_message(sending_mailbox, alice, "bob@example.org")


@pytest.mark.proves("R2")
def test_the_list_of_points_is_complete(message, sink, tmp_path):
    log = tmp_path / "passed"
    assert run_worker(message.pk, sink.port, log=str(log)) == 0
    assert log.read_text().splitlines() == list(POINTS)


@pytest.mark.proves("R2", "J5", "I1")
@pytest.mark.parametrize(("point", "end"), POINTS.items())
def test_a_worker_killed_at_any_point_neither_loses_nor_doubles_the_mail(message, sink, point, end):
    assert run_worker(message.pk, sink.port, point) == -signal.SIGKILL
    later = timezone.now() + LEASE + timedelta(minutes=1)
    message.recipients.filter(state=State.SENDING).update(claimed_at=timezone.now() - LEASE)
    sweeping.sweep(timezone.now())
    for _ in range(2):
        submit_message(message.pk)
        sweeping.sweep(later)
    assert states(message) == {"bob@example.org": end}
    # What is possibly sent has reached the server or not; what is sent has reached it exactly once.
    assert len(sink.taken) == (1 if end == State.SENT or point == "reply read" else 0)
