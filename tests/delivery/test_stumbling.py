"""Mistakes of ours at a line of delivery: no row stays claimed, and nobody else's mail waits for it (fault R31, V5)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from delivery import claiming, dispatching, ledger, submission, sweeping
from delivery.models import LEASE, Attempt, OutboxRecipient, Route
from delivery.states import State
from delivery.tasks import submit_message, submit_route, sweep_outbox
from delivery.ways import way_of
from tests.delivery.conftest import states

pytestmark = [pytest.mark.django_db, pytest.mark.proves("R31")]


class Mistake(RuntimeError):
    """A mistake of ours."""


@pytest.fixture
def route(sending_mailbox) -> Route:
    return Route.objects.leading(sending_mailbox)


@pytest.fixture
def messages(make_message, sending_mailbox, alice):
    return [make_message(sending_mailbox, alice, f"person{number}@example.org") for number in range(4)]


def outcomes() -> list[str]:
    return list(OutboxRecipient.objects.order_by("pk").values_list("state", flat=True))


@pytest.fixture
def stumbling_over(monkeypatch):
    """`stumbling_over(module, name, message)`: that function breaks on that message, and on no other."""

    def stumble(module: object, name: str, message) -> None:
        usual = getattr(module, name)

        def stumbling(subject, *args: object, **options: object):
            if getattr(subject, "message", subject).pk == message.pk:
                raise Mistake
            return usual(subject, *args, **options)

        monkeypatch.setattr(module, name, stumbling)

    return stumble


def test_a_question_before_the_connection_that_breaks_leaves_no_claim(messages, route, sink, stumbling_over):
    stumbling_over(dispatching, "hindrance_to", messages[1])
    with pytest.raises(Mistake):
        submit_route(route.pk)
    assert outcomes() == [State.SENT, State.QUEUED, State.QUEUED, State.QUEUED]
    assert messages[1].attempts.get().was_lost
    assert not Attempt.objects.filter(message__in=messages[2:]).exists()


def test_the_third_time_such_a_message_is_set_aside_and_the_others_leave(messages, route, sink, stumbling_over):
    stumbling_over(dispatching, "hindrance_to", messages[1])
    for _ in range(3):
        with pytest.raises(Mistake):
            submit_route(route.pk)
    submit_route(route.pk)
    assert outcomes() == [State.SENT, State.FAILED, State.SENT, State.SENT]


@pytest.mark.proves("R5")
@pytest.mark.parametrize("error", [OperationalError("database is locked"), InterfaceError("connection already closed")])
def test_a_database_that_stumbles_at_the_mark_is_no_fault_of_the_message(messages, sink, monkeypatch, error):
    def stumble(*args: object) -> None:
        raise error

    monkeypatch.setattr(submission, "DATABASE_WAITS", ())
    for _ in range(ledger.DEATHS + 1):
        with monkeypatch.context() as patched:
            patched.setattr(submission, "write", stumble)
            with pytest.raises(type(error)):
                submit_message(messages[0].pk)
        assert states(messages[0]) == {"person0@example.org": State.QUEUED}
    assert messages[0].recipients.get().note == ledger.STUMBLED
    assert not messages[0].attempts.filter(was_lost=True).exists()
    assert not sink.taken
    submit_message(messages[0].pk)
    assert states(messages[0]) == {"person0@example.org": State.SENT}


@pytest.mark.proves("R5", "I3")
def test_a_database_that_stumbles_after_the_mark_leaves_it_uncertain(messages, sink, monkeypatch):
    def stumble(*args: object, **options: object) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(submission.Line, "_answers", stumble)
    monkeypatch.setattr(ledger.Ledger, "taken", lambda *args: None)
    with pytest.raises(OperationalError):
        submit_message(messages[0].pk)
    assert states(messages[0]) == {"person0@example.org": State.UNCERTAIN}
    assert len(sink.taken) == 1


def test_a_message_that_cannot_even_be_failed_is_as_it_was(messages, sink, monkeypatch):
    def stumble(*args: object, **options: object) -> None:
        raise Mistake

    monkeypatch.setattr(ledger.Ledger, "close", stumble)
    messages[0].mailbox.delete()
    with pytest.raises(Mistake):
        submit_message(messages[0].pk)
    assert states(messages[0]) == {"person0@example.org": State.QUEUED}
    assert not Attempt.objects.exists()


def test_claims_go_back_at_once_where_the_messages_cannot_be_read(messages, route, monkeypatch):
    def stumble(*args: object) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(claiming, "_messages_of", stumble)
    now = timezone.now()
    with pytest.raises(OperationalError):
        claiming.take([message.pk for message in messages], way_of(route, now), 1, now)
    assert outcomes() == [State.QUEUED] * 4
    assert not Attempt.objects.exists()


@pytest.mark.proves("V5")
def test_a_claim_that_cannot_be_taken_back_keeps_neither_others_nor_due_mail_waiting(
    messages, monkeypatch, expected_errors
):
    expected_errors("was not taken back")
    now = timezone.now()
    claims = [Attempt.objects.begin(message.pk, now) for message in messages[:3]]
    usual = sweeping.take_back

    def stumbling(attempt_pk: int, *args: object, **options: object) -> bool:
        if attempt_pk == claims[0].pk:
            raise Mistake
        return usual(attempt_pk, *args, **options)

    monkeypatch.setattr(sweeping, "take_back", stumbling)
    found = sweeping.sweep(now + LEASE)
    assert outcomes() == [State.SENDING] + [State.QUEUED] * 3
    assert set(found.messages) == {message.pk for message in messages[1:]}


@pytest.mark.proves("V5")
def test_an_attempt_that_is_gone_when_its_turn_comes_is_nothing_to_take_back(messages):
    now = timezone.now()
    attempt = Attempt.objects.begin(messages[0].pk, now)
    messages[0].delete()
    assert not ledger.take_back(attempt.pk, now + LEASE, overdue_only=True)


def test_an_outcome_that_cannot_be_written_is_raised_and_the_rows_are_as_after_a_vanished_worker(
    messages, route, sink, monkeypatch
):
    def stumble(*args: object) -> None:
        raise Mistake

    monkeypatch.setattr(submission, "write", stumble)
    with pytest.raises(Mistake):
        submit_route(route.pk)
    assert set(outcomes()) <= {State.QUEUED, State.SENDING}
    assert not sink.taken


def test_mail_of_a_deleted_account_is_found_behind_a_long_queue(
    make_message, sending_mailbox, make_mailbox, alice, monkeypatch
):
    monkeypatch.setattr(sweeping, "MOST", 5)
    early = {"not_before": timezone.now() - timedelta(hours=3)}
    for number in range(7):
        make_message(sending_mailbox, alice, f"person{number}@example.org", recipient=early)
    gone = make_mailbox("gone@example.org", alice)
    orphan = make_message(gone, alice, "bob@example.org")
    gone.delete()
    assert sweeping.sweep(timezone.now()).orphans == [orphan.pk]
    submit_message(orphan.pk)
    assert states(orphan) == {"bob@example.org": State.FAILED}
    sweep_outbox()
    assert sweeping.sweep(timezone.now()).orphans == []
