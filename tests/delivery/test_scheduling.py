"""Mail that leaves later: not before, at its moment, with the rights of then, and changed as long as it waits (I5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.utils import parsedate_to_datetime

import pytest
from django.utils import timezone

from accounts.models import Mailbox, MailboxGrant
from delivery import cancelling, scheduling
from delivery.models import Attempt, OutboxMessage
from delivery.outbox import CannotBeQueued, MayNotSend, queue_message
from delivery.states import State
from delivery.sweeping import due_soon, sweep
from delivery.tasks import submit_message, sweep_outbox
from delivery.wanted import Wanted
from organizations.models import AuditEntry
from protocols.message.addresses import Address
from tests.delivery.conftest import states
from tests.delivery.moving import put
from tests.simultaneously import simultaneously

pytestmark = [pytest.mark.django_db, pytest.mark.proves("I5")]

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
MONDAY = datetime(2026, 11, 23, 8, tzinfo=UTC)
BOB = Address("Bob", "bob@example.org")


@pytest.fixture(autouse=True)
def clock(time_machine):
    """Stands at NOW until a test moves it."""
    time_machine.move_to(NOW, tick=False)
    return time_machine


@pytest.fixture
def schedule(sending_mailbox, alice):
    """`schedule(**changes)`: Alice's mail to Bob, for Monday unless it says otherwise."""

    def call(**changes: object) -> OutboxMessage:
        asked = {"author": alice, "mailbox": sending_mailbox, "to": [BOB], "subject": "Offer", "text": "Good morning\n"}
        return queue_message(Wanted(**{**asked, "submission_key": "form-1", "scheduled_for": MONDAY, **changes}))

    return call


def date_of(raw: bytes) -> datetime:
    return parsedate_to_datetime(message_from_bytes(raw)["Date"])


def test_it_does_not_leave_before_its_moment_however_early_a_worker_is(schedule, sink, clock):
    message = schedule()
    for early in (NOW, MONDAY - timedelta(seconds=1)):
        clock.move_to(early, tick=False)
        submit_message(message.pk)
        assert message.pk not in sweep(early).messages
    assert sink.connections == 0
    clock.move_to(MONDAY, tick=False)
    submit_message(message.pk)
    assert states(message) == {"bob@example.org": State.SENT}


def test_it_is_dated_when_it_leaves(schedule, sink, clock):
    message = schedule()
    clock.move_to(MONDAY, tick=False)
    submit_message(message.pk)
    assert date_of(sink.taken[0].raw) == MONDAY


@pytest.mark.proves("R28")
def test_beat_finds_it_at_its_moment_also_after_an_hour_without_beat(
    schedule, sink, clock, django_capture_on_commit_callbacks
):
    message = schedule()
    clock.move_to(MONDAY + timedelta(hours=1), tick=False)
    for _ in range(2):  # as two beats would
        with django_capture_on_commit_callbacks(execute=True):
            sweep_outbox()
    assert states(message) == {"bob@example.org": State.SENT}
    assert len(sink.taken) == 1
    assert Attempt.objects.count() == 1


@pytest.mark.proves("R28")
def test_two_beats_and_two_workers_at_once_send_one_mail(transactional_db, schedule, sink, clock):
    message = schedule()
    clock.move_to(MONDAY, tick=False)
    simultaneously(*[lambda: (sweep(MONDAY), submit_message(message.pk))] * 2)
    assert len(sink.taken) == 1


def test_the_sweep_before_tells_a_worker_the_exact_moment(
    schedule, clock, monkeypatch, django_capture_on_commit_callbacks
):
    message = schedule()
    told: list[tuple[object, ...]] = []
    monkeypatch.setattr(submit_message, "apply_async", lambda pks, **how: told.append((*pks, how.get("eta"))))
    for before, expected in ((timedelta(seconds=31), []), (timedelta(seconds=20), [(message.pk, MONDAY)])):
        clock.move_to(MONDAY - before, tick=False)
        with django_capture_on_commit_callbacks(execute=True):
            sweep_outbox()
        assert told == expected
    assert due_soon(MONDAY) == {}


@pytest.mark.proves("I3")
def test_its_two_days_count_from_its_moment(schedule):
    assert schedule().recipients.get().expires_at == MONDAY + timedelta(hours=48)


@pytest.mark.parametrize("moment", [NOW, NOW - timedelta(seconds=1), NOW + timedelta(days=400)])
def test_a_moment_that_cannot_be_is_refused_and_nothing_is_queued(schedule, moment):
    with pytest.raises(CannotBeQueued) as refused:
        schedule(scheduled_for=moment)
    assert refused.value.field == "scheduled_for"
    assert not OutboxMessage.objects.exists()


@pytest.mark.proves("I4")
def test_a_repeated_form_is_the_same_mail_also_after_its_moment(schedule, clock):
    message = schedule()
    clock.move_to(MONDAY + timedelta(hours=1), tick=False)
    assert schedule() == message


@pytest.mark.proves("T19")
def test_a_right_that_ended_meanwhile_holds_it_back(schedule, sink, clock, bob, sending_mailbox):
    Mailbox.objects.update(is_shared=True)
    grant = MailboxGrant.objects.create(mailbox=sending_mailbox, user=bob, may_send=True)
    message = schedule(author=bob)
    grant.delete()
    clock.move_to(MONDAY, tick=False)
    submit_message(message.pk)
    assert states(message) == {"bob@example.org": State.FAILED}
    assert "not permitted to send" in message.recipients.get().note
    assert sink.connections == 0


# --- Another time ------------------------------------------------------------------------------------------------


def test_another_time_moves_everything_with_it(schedule, alice, sink, clock):
    message, later = schedule(), MONDAY + timedelta(days=1)
    assert scheduling.reschedule(message, alice, later, NOW) == 1
    recipient = message.recipients.get()
    assert (recipient.not_before, recipient.expires_at) == (later, later + timedelta(hours=48))
    clock.move_to(MONDAY, tick=False)
    submit_message(message.pk)
    assert sink.connections == 0
    clock.move_to(later, tick=False)
    submit_message(message.pk)
    assert date_of(sink.taken[0].raw) == later
    assert message_from_bytes(sink.taken[0].raw)["Message-ID"] == f"<{message.message_id}>"
    assert [entry.action for entry in AuditEntry.objects.all()] == ["outbox.rescheduled"]


def test_sending_it_now_dates_it_now(schedule, alice, sink):
    message = schedule()
    assert scheduling.send_now(message, alice, NOW) == 1
    submit_message(message.pk)
    assert date_of(sink.taken[0].raw) == NOW
    message.refresh_from_db()
    assert message.scheduled_for is None


def test_what_a_worker_has_taken_cannot_be_moved_any_more(schedule, alice, clock):
    message = schedule()
    before = bytes(message.raw)
    clock.move_to(MONDAY, tick=False)
    Attempt.objects.begin(message.pk, MONDAY)
    assert scheduling.reschedule(message, alice, MONDAY + timedelta(days=1), MONDAY) == 0
    message.refresh_from_db()
    assert bytes(message.raw) == before
    assert not AuditEntry.objects.exists()


def test_who_may_not_send_any_more_cannot_move_it(schedule, bob, sending_mailbox):
    message = schedule()
    with pytest.raises(MayNotSend, match="may not send"):
        scheduling.reschedule(message, bob, MONDAY + timedelta(days=1), NOW)


def test_the_list_has_what_waits_next_first_and_only_for_those_who_may_decide(
    schedule, alice, bob, charlie, sending_mailbox
):
    second, first = schedule(), schedule(submission_key="2", scheduled_for=NOW + timedelta(hours=1))
    schedule(submission_key="3", scheduled_for=None)
    cancelled = schedule(submission_key="4")
    cancelling.cancel(cancelled, alice, NOW)
    assert list(scheduling.waiting(alice, NOW)) == [first, second]
    Mailbox.objects.update(is_shared=True)
    MailboxGrant.objects.create(mailbox=sending_mailbox, user=bob, may_send=True)
    assert list(scheduling.waiting(bob, NOW)) == [first, second]
    assert not scheduling.waiting(charlie, NOW).exists()


# --- Taking it back ----------------------------------------------------------------------------------------------


def test_one_recipient_can_be_taken_back_and_the_others_get_it(schedule, alice, sink, clock):
    message = schedule(cc=[Address("", "Carol@example.org")])
    assert cancelling.cancel(message, alice, NOW, addresses=["carol@EXAMPLE.org"]) == 1
    clock.move_to(MONDAY, tick=False)
    submit_message(message.pk)
    assert states(message) == {"bob@example.org": State.SENT, "Carol@example.org": State.CANCELLED}
    assert sink.taken[0].recipients == ["bob@example.org"]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State.SENDING, "being handed over"),
        (State.SENT, "had already been handed over"),
        (State.UNCERTAIN, "may have been handed over"),
        (State.FAILED, "had failed"),
        (State.BOUNCED, "came back"),
        (State.CANCELLED, "cancelled before"),
    ],
)
def test_too_late_is_told_as_it_is(schedule, alice, state, words):
    message = schedule()
    put(message.recipients.all(), state)
    assert cancelling.cancel(message, alice, NOW) == 0
    assert words in cancelling.why_not_cancelled(message)
    assert cancelling.why_not_cancelled(message, ["nobody@example.org"]) == cancelling.NOBODY


def test_of_a_cancellation_and_a_worker_one_wins(transactional_db, schedule, alice, sink, clock):
    for number in range(8):
        message = schedule(submission_key=f"race-{number}", scheduled_for=MONDAY)
        clock.move_to(MONDAY, tick=False)
        cancelled, _ = simultaneously(
            lambda message=message: cancelling.cancel(message, alice, timezone.now()),
            lambda message=message: submit_message(message.pk),
        )
        sent = sum(one.recipients == ["bob@example.org"] for one in sink.taken)
        assert states(message)["bob@example.org"] == (State.CANCELLED if cancelled else State.SENT)
        assert sent == (0 if cancelled else 1)
        sink.taken.clear()
        clock.move_to(NOW, tick=False)
