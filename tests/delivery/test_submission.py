"""From a queued row to an outcome, against a server that really answers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Mailbox, MailboxGrant
from delivery import ledger, submission, sweeping
from delivery.models import LEASE, Attempt, OutboxRecipient, Route
from delivery.states import State
from delivery.tasks import submit_message
from mailservers.models import MailServer
from mailservers.rulebook import load_rules
from organizations.sealing import new_key
from protocols.credentials import Secret
from tests.delivery.conftest import states

pytestmark = pytest.mark.django_db


@pytest.fixture
def message(make_message, sending_mailbox, alice):
    return make_message(sending_mailbox, alice, "bob@example.org")


@pytest.mark.proves("I1", "I2")
def test_a_queued_message_is_sent_and_its_attempt_tells_how(message, sink):
    submit_message(message.pk)
    assert states(message) == {"bob@example.org": State.SENT}
    [taken] = sink.taken
    assert (taken.sender, taken.recipients) == ("alice@example.org", ["bob@example.org"])
    assert taken.raw == bytes(message.raw)
    attempt = message.attempts.get()
    assert attempt.server == f"127.0.0.1:{sink.port}"
    assert (attempt.code, attempt.enhanced_code, attempt.phase) == (250, "2.0.0", "message")
    assert attempt.final_dot_at is not None
    assert attempt.milliseconds is not None


@pytest.mark.proves("R4", "I1")
def test_running_the_task_twice_sends_once_and_the_second_run_opens_no_connection(message, sink):
    submit_message(message.pk)
    submit_message(message.pk)
    assert len(sink.taken) == sink.connections == 1
    assert message.attempts.count() == 1


@pytest.mark.proves("R4")
def test_a_task_for_a_row_that_is_gone_does_nothing(message, sink):
    pk = message.pk
    message.delete()
    submit_message(pk)
    assert sink.connections == 0


@pytest.mark.proves("I1")
def test_a_stale_claim_changes_nothing(message):
    now = timezone.now()
    first = Attempt.objects.begin(message.pk, now)
    ledger.take_back(first.pk, now)
    second = Attempt.objects.begin(message.pk, now + timedelta(seconds=1))
    assert second.claim > first.claim
    assert OutboxRecipient.objects.settle(first.claim, ["bob@example.org"], State.SENT, now) == 0
    assert not first.mark_final_dot(now)
    assert states(message) == {"bob@example.org": State.SENDING}


@pytest.mark.proves("I1", "J5")
def test_a_worker_that_lost_its_claim_never_sends_the_final_dot(message, sink):
    attempt = Attempt.objects.begin(message.pk, timezone.now())
    ledger.take_back(attempt.pk, timezone.now())
    held = ledger.Ledger(attempt, message)
    with pytest.raises(ledger.ClaimLost):
        held.mark_final_dot()


@pytest.mark.proves("I3", "R18")
def test_partial_acceptance_is_settled_one_by_one_and_the_accepted_never_get_it_again(
    make_message, sending_mailbox, alice, sink
):
    message = make_message(sending_mailbox, alice, "bob@example.org", "later@example.org", "gone@example.org")
    sink.recipients = {
        "later@example.org": "450 4.2.0 Come back later",
        "gone@example.org": "550 5.1.1 No such user",
    }
    submit_message(message.pk)
    assert states(message) == {
        "bob@example.org": State.SENT,
        "later@example.org": State.QUEUED,
        "gone@example.org": State.FAILED,
    }
    attempt = message.attempts.get()
    assert (attempt.phase, attempt.code, attempt.text) == ("sender", 550, "5.1.1 No such user")
    waiting = message.recipients.get(address="later@example.org")
    assert timedelta(seconds=40) < waiting.not_before - timezone.now() < timedelta(seconds=75)
    assert waiting.last_reply == "450 4.2.0 Come back later"
    sink.recipients = {}
    message.recipients.filter(state=State.QUEUED).update(not_before=timezone.now())
    submit_message(message.pk)
    assert [taken.recipients for taken in sink.taken] == [["bob@example.org"], ["later@example.org"]]
    assert sink.taken[0].raw == sink.taken[1].raw


@pytest.mark.proves("R18", "I3")
@pytest.mark.parametrize(
    ("phase", "reply", "state"),
    [
        ("mail", "451 4.3.0 Try again", State.QUEUED),
        ("mail", "550 5.7.1 Not you", State.FAILED),
        ("mail", "421 4.3.2 Shutting down", State.QUEUED),
        ("data", "451 4.3.0 No room now", State.QUEUED),
        ("data", "554 5.0.0 No", State.FAILED),
        ("data", "421 4.3.2 Shutting down", State.QUEUED),
        ("end", "452 4.3.1 Disk full", State.QUEUED),
        ("end", "554 5.6.0 Bad content", State.FAILED),
        ("end", "421 4.3.2 Shutting down", State.QUEUED),
        ("recipients", "421 4.3.2 Shutting down", State.QUEUED),
        ("recipients", "452 4.5.3 Too many recipients", State.QUEUED),
    ],
)
def test_a_refusal_at_any_phase_is_kept_in_its_words_and_nothing_is_sent(message, sink, phase, reply, state):
    setattr(sink, phase, {"bob@example.org": reply} if phase == "recipients" else reply)
    submit_message(message.pk)
    recipient = message.recipients.get()
    assert recipient.state == state
    assert recipient.last_reply == reply
    assert sink.taken == []
    attempt = message.attempts.get()
    assert attempt.code == int(reply[:3])
    assert attempt.explanation["title"]
    assert attempt.ended_at


@pytest.mark.parametrize(
    ("phase", "title"),
    [
        ("mail", "127.0.0.1 did not take the sender."),
        ("recipients", "127.0.0.1 did not take the message for this recipient."),
        ("end", "127.0.0.1 did not take the message."),
    ],
)
def test_where_no_rule_knows_the_words_the_note_still_says_what_was_not_taken(message, sink, phase, title):
    reply = "550 5.9.9 Frobnicated"
    setattr(sink, phase, {"bob@example.org": reply} if phase == "recipients" else reply)
    submit_message(message.pk)
    assert message.recipients.get().note == title


@pytest.mark.proves("I3")
def test_retries_wait_longer_each_time_and_end_after_48_hours(message, sink):
    sink.mail = "451 4.3.0 Try again"
    waits = []
    for _ in range(5):
        message.recipients.update(not_before=timezone.now())
        Route.objects.update(held_until=None)  # which the server asked for, by putting off one message after the other
        submit_message(message.pk)
        waits.append((message.recipients.get().not_before - timezone.now()).total_seconds() / 60)
    assert [round(wait) for wait in waits[:2]] == [1, pytest.approx(5, abs=1)]
    assert waits == sorted(waits[:4]) + waits[4:]
    assert max(waits) < 73
    message.recipients.update(not_before=timezone.now(), expires_at=timezone.now() + timedelta(minutes=5))
    Route.objects.update(held_until=None)
    submit_message(message.pk)
    recipient = message.recipients.get()
    assert recipient.state == State.FAILED
    assert "given up" in recipient.note


@pytest.mark.proves("R19", "I3")
@pytest.mark.parametrize("after_dot", ["drop", "forget"])
def test_a_lost_answer_after_the_final_dot_is_uncertain_and_nothing_sends_it_again(message, sink, after_dot):
    sink.after_dot = after_dot
    submit_message(message.pk)
    assert states(message) == {"bob@example.org": State.UNCERTAIN}
    sink.after_dot = "answer"
    before = len(sink.taken)
    for hours in (0, 1, 49, 1000):
        found = sweeping.sweep(timezone.now() + timedelta(hours=hours))
        assert found.messages == []
    submit_message(message.pk)
    assert len(sink.taken) == before


def test_after_a_lost_answer_those_refused_before_it_are_not_uncertain(make_message, sending_mailbox, alice, sink):
    message = make_message(sending_mailbox, alice, "bob@example.org", "gone@example.org")
    sink.recipients = {"gone@example.org": "550 5.1.1 No such user"}
    sink.after_dot = "drop"
    submit_message(message.pk)
    assert states(message) == {"bob@example.org": State.UNCERTAIN, "gone@example.org": State.FAILED}


@pytest.mark.proves("R2", "J5")
def test_a_worker_killed_before_the_dot_is_given_back_after_its_lease(message, sink):
    now = timezone.now()
    Attempt.objects.begin(message.pk, now)
    assert sweeping.sweep(now + LEASE / 2).messages == []
    assert sweeping.sweep(now + LEASE).messages == [message.pk]
    message.recipients.update(not_before=now)
    submit_message(message.pk)
    assert states(message) == {"bob@example.org": State.SENT}
    assert len(sink.taken) == 1


@pytest.mark.proves("R2", "J5")
def test_a_worker_killed_after_the_mark_leaves_it_uncertain(message, sink):
    now = timezone.now()
    attempt = Attempt.objects.begin(message.pk, now)
    assert attempt.mark_final_dot(now)
    assert sweeping.sweep(now + LEASE).messages == []
    assert states(message) == {"bob@example.org": State.UNCERTAIN}
    submit_message(message.pk)
    assert sink.connections == 0


@pytest.mark.proves("R31")
def test_a_message_that_kills_its_worker_three_times_is_set_aside(message):
    now = timezone.now()
    for death in range(1, 4):
        moment = now + death * 2 * LEASE
        assert Attempt.objects.begin(message.pk, moment)
        sweeping.sweep(moment + LEASE)
    recipient = message.recipients.get()
    assert recipient.state == State.FAILED
    assert "set aside" in recipient.note


@pytest.mark.proves("R31")
def test_an_error_of_our_own_leaves_no_row_in_sending(message, monkeypatch):
    def stumble(*args: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(submission, "smtp_session", stumble)
    with pytest.raises(RuntimeError):
        submit_message(message.pk)
    assert states(message) == {"bob@example.org": State.QUEUED}
    assert message.attempts.get().was_lost


@pytest.mark.proves("T19", "F3")
def test_a_right_taken_away_between_queueing_and_sending_stops_the_mail(make_message, shared_mailbox, alice, sink):
    shared_mailbox.smtp_host, shared_mailbox.smtp_port, shared_mailbox.smtp_security = "127.0.0.1", sink.port, "none"
    shared_mailbox.save()
    message = make_message(shared_mailbox, alice, "bob@example.org")
    MailboxGrant.objects.filter(mailbox=shared_mailbox, user=alice).update(may_send=False)
    submit_message(message.pk)
    recipient = message.recipients.get()
    assert recipient.state == State.FAILED
    assert "not permitted" in recipient.note
    assert sink.connections == 0


@pytest.mark.proves("F3")
@pytest.mark.parametrize("what", ["person", "switch", "mailbox"])
def test_what_ends_the_right_to_send_ends_queued_mail_too(message, sink, alice, sending_mailbox, what):
    if what == "person":
        alice.is_active = False
        alice.save()
    elif what == "switch":
        sending_mailbox.sends = False
        sending_mailbox.save()
    else:
        sending_mailbox.delete()
    submit_message(message.pk)
    assert states(message) == {"bob@example.org": State.FAILED}
    assert message.recipients.get().note
    assert sink.connections == 0


@pytest.mark.proves("D4")
def test_refused_credentials_are_tried_once_more_after_ten_minutes_and_then_never(
    make_message, sending_mailbox, alice, sink, time_machine
):
    time_machine.move_to("2026-11-21T10:00:00Z", tick=True)
    sink.password = "another"
    first, second = (make_message(sending_mailbox, alice, address) for address in ("a@example.org", "b@example.org"))
    for message in (first, second):
        submit_message(message.pk)
    assert len(sink.logins) == 1  # the second message waits too
    assert second.recipients.get().not_before - timezone.now() > timedelta(minutes=9)

    time_machine.shift(timedelta(minutes=11))
    submit_message(first.pk)
    assert len(sink.logins) == 2
    sending_mailbox.refresh_from_db()
    assert sending_mailbox.paused_at is not None
    assert sending_mailbox.attention["title"]

    for _ in range(20):
        time_machine.shift(timedelta(hours=1))
        submit_message(first.pk)
        submit_message(second.pk)
    assert len(sink.logins) == 2
    assert states(first) == {"a@example.org": State.QUEUED}

    sending_mailbox.password = Secret("another")
    sending_mailbox.paused_at = None
    sending_mailbox.save()
    time_machine.shift(timedelta(hours=1))
    submit_message(first.pk)
    submit_message(second.pk)
    assert states(first) | states(second) == {"a@example.org": State.SENT, "b@example.org": State.SENT}


def test_an_unreachable_server_is_tried_again(message, sending_mailbox, may_dial):
    from tests.servers.processes import free_port

    sending_mailbox.smtp_port = free_port()
    sending_mailbox.save()
    may_dial(sending_mailbox.smtp_port)
    submit_message(message.pk)
    assert states(message) == {"bob@example.org": State.QUEUED}
    assert message.attempts.get().phase == "tcp"


@pytest.mark.proves("I3")
def test_mail_that_waited_longer_than_two_days_is_not_sent_late(message, sink):
    message.recipients.update(expires_at=timezone.now() - timedelta(minutes=1))
    submit_message(message.pk)
    assert states(message) == {"bob@example.org": State.FAILED}
    assert sink.connections == 0


@pytest.mark.proves("J1", "D4")
@pytest.mark.parametrize("through_a_server", [False, True])
def test_mail_waits_while_the_stored_password_cannot_be_opened(
    message, sending_mailbox, organization, sink, settings, through_a_server
):
    load_rules()
    holder = sending_mailbox
    if through_a_server:
        holder = MailServer(organization=organization, name="Office", host="127.0.0.1", port=sink.port, security="none")
        holder.username, holder.password = "office", Secret("server-password")
        holder.save()
        sending_mailbox.mail_server = holder
        sending_mailbox.save()
    settings.ENCRYPTION_KEYS = new_key("fresh")
    submit_message(message.pk)
    recipient = message.recipients.get()
    assert (recipient.state, recipient.tries) == (State.QUEUED, 0)
    assert recipient.note == "It waits: The stored password can no longer be opened."
    assert sink.connections == 0
    attention = Mailbox.objects.get(pk=sending_mailbox.pk).attention
    assert (attention["code"], attention["protocol"]) == ("stored-password-unreadable", "smtp")

    holder.password = Secret(sink.password)
    holder.save(update_fields=["password"])
    message.recipients.update(not_before=timezone.now())
    submit_message(message.pk)
    assert states(message) == {"bob@example.org": State.SENT}
    assert Mailbox.objects.get(pk=sending_mailbox.pk).attention is None
