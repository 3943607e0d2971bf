"""Clocks that jump: nothing leaves twice, in a row, or a day late by itself (fault R22)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from delivery.models import Attempt, LoginRefusal, OutboxMessage, OutboxRecipient
from delivery.states import SentCopy, State
from delivery.sweeping import sweep
from delivery.tasks import submit_message
from tests.delivery.conftest import states

pytestmark = [pytest.mark.django_db, pytest.mark.proves("R22")]

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def clock(time_machine):
    time_machine.move_to(NOW, tick=False)
    return time_machine


@pytest.fixture
def deferred(make_message, sending_mailbox, alice, sink, clock):
    """`deferred(at)`: a message that the server has put off once, tried when the clock said `at`."""

    def defer(at: datetime) -> OutboxMessage:
        clock.move_to(at, tick=False)
        message = make_message(sending_mailbox, alice)
        sink.mail = "451 4.3.0 Not now"
        submit_message(message.pk)
        sink.mail = ""
        return message

    return defer


def wait_of(message: OutboxMessage, now: datetime) -> timedelta:
    return message.recipients.get().not_before - now


def test_put_back_by_a_day_a_retry_waits_as_long_as_it_would_have(deferred, clock):
    message = deferred(NOW + DAY)
    expected = wait_of(message, NOW + DAY)
    clock.move_to(NOW, tick=False)
    sweep(NOW)
    assert wait_of(message, NOW) == expected < timedelta(minutes=10)
    recipient = message.recipients.get()
    assert timedelta(hours=47) < recipient.expires_at - NOW < timedelta(hours=49)


def test_put_forward_by_a_day_a_retry_is_tried_once_and_then_waits_again(deferred, clock, sink):
    message = deferred(NOW)
    first = wait_of(message, NOW)
    sink.mail = "451 4.3.0 Not now"
    clock.move_to(NOW + DAY, tick=False)
    for _ in range(3):
        sweep(NOW + DAY)
        submit_message(message.pk)
    assert Attempt.objects.count() == 2
    assert wait_of(message, NOW + DAY) > first


def test_small_differences_between_machines_change_nothing(deferred, clock):
    message = deferred(NOW + timedelta(seconds=90))
    before = message.recipients.get().not_before
    clock.move_to(NOW, tick=False)
    sweep(NOW)
    assert message.recipients.get().not_before == before


def test_a_moment_that_a_person_chose_is_moved_by_no_clock(make_message, sending_mailbox, alice, clock):
    chosen = NOW + timedelta(days=3)
    ahead = {"state_at": NOW + DAY, "not_before": chosen, "expires_at": chosen + timedelta(hours=48)}
    message = make_message(sending_mailbox, alice, scheduled_for=chosen, recipient=ahead)
    sweep(NOW)
    recipient = message.recipients.get()
    assert (recipient.not_before, recipient.expires_at) == (chosen, chosen + timedelta(hours=48))


def test_what_a_vanished_worker_held_is_not_frozen_for_a_day(make_message, sending_mailbox, alice, clock):
    message = make_message(sending_mailbox, alice)
    clock.move_to(NOW + DAY, tick=False)
    Attempt.objects.begin(message.pk, NOW + DAY)
    clock.move_to(NOW, tick=False)
    sweep(NOW)
    sweep(NOW + timedelta(minutes=16))
    assert states(message) == {"bob@example.org": State.QUEUED}


def test_copies_and_refused_logins_of_the_future_wait_no_longer(make_message, sending_mailbox, alice):
    filing = make_message(sending_mailbox, alice, sent_copy=SentCopy.FILING, sent_copy_claimed_at=NOW + DAY)
    waiting = make_message(sending_mailbox, alice, sent_copy=SentCopy.WAITING, sent_copy_not_before=NOW + DAY)
    LoginRefusal.objects.create(key="mailbox 1", fingerprint="x", count=1, last_at=NOW + DAY)
    assert waiting.pk in sweep(NOW).copies
    filing.refresh_from_db()
    assert filing.sent_copy_claimed_at == NOW
    assert LoginRefusal.objects.get().last_at == NOW


def test_a_clock_that_goes_forward_writes_nothing(make_message, sending_mailbox, alice, django_assert_num_queries):
    make_message(sending_mailbox, alice)
    before = list(OutboxRecipient.objects.values())
    sweep(NOW)
    assert list(OutboxRecipient.objects.values()) == before
