"""SIGKILL at every named step of sending, in a process of its own: nothing lost, nothing doubled (fault R2)."""

from __future__ import annotations

import signal
from datetime import timedelta

import pytest
from django.utils import timezone

from delivery import sweeping
from delivery.models import LEASE
from delivery.states import State
from delivery.tasks import submit_message
from tests.delivery.conftest import states
from tests.servers.warm import WarmProcess

pytestmark = pytest.mark.django_db(transaction=True)

WORKER = "from delivery.tasks import submit_message; submit_message({pk})"
POINTS = {
    "connection taken": State.SENT,
    "attempt written": State.SENT,
    "logged in": State.SENT,
    "message out, no dot": State.SENT,
    "final dot marked": State.UNCERTAIN,
    "reply read": State.UNCERTAIN,
    "outcome settled": State.SENT,
}


@pytest.fixture
def message(make_message, sending_mailbox, alice):
    return make_message(sending_mailbox, alice, "bob@example.org")


@pytest.mark.proves("R2")
def test_the_list_of_points_is_complete(message, sink, tmp_path, warm_process: WarmProcess):
    log = tmp_path / "passed"
    assert warm_process.run(WORKER.format(pk=message.pk), dials=[sink.port], log=str(log)) == 0
    assert log.read_text().splitlines() == list(POINTS)


@pytest.mark.proves("R2", "J5", "I1")
@pytest.mark.parametrize(("point", "end"), POINTS.items())
def test_a_worker_killed_at_any_point_neither_loses_nor_doubles_the_mail(
    message, sink, point, end, warm_process: WarmProcess
):
    """In a process of its own, which is killed when it passes the point."""
    ended = warm_process.run(WORKER.format(pk=message.pk), dials=[sink.port], stop=f"{point}:1")
    assert ended == -signal.SIGKILL
    later = timezone.now() + LEASE + timedelta(minutes=1)
    message.recipients.filter(state=State.SENDING).update(claimed_at=timezone.now() - LEASE)
    sweeping.sweep(timezone.now())
    for _ in range(2):
        submit_message(message.pk)
        sweeping.sweep(later)
    assert states(message) == {"bob@example.org": end}
    # What is possibly sent has reached the server or not; what is sent has reached it exactly once.
    assert len(sink.taken) == (1 if end == State.SENT or point == "reply read" else 0)
