"""Clocks that jump: nothing leaves twice, in a row, or a day late by itself (fault R22)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from delivery.models import (
    Attempt,
    AutomaticMail,
    LoginRefusal,
    LogRun,
    OutboxMessage,
    OutboxRecipient,
    Route,
    Slot,
)
from delivery.states import Decision, SentCopy, State
from delivery.sweeping import sweep
from delivery.tasks import submit_message, submit_route, sweep_outbox
from mailservers.circuits import Circuit
from mailservers.models import MailServer
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


@pytest.fixture
def office(organization, sending_mailbox, sink) -> MailServer:
    """The server behind Alice's mailbox; it takes two mails a minute."""
    server = MailServer.objects.create(
        organization=organization, name="Office", host="127.0.0.1", port=sink.port, security="none", per_minute=2
    )
    sending_mailbox.mail_server = server
    sending_mailbox.save()
    return server


def test_no_way_out_is_frozen_by_a_pause_a_circuit_or_a_connection_of_the_future(
    office, make_message, sending_mailbox, organization, alice, sink
):
    route = Route.objects.through(office)
    route.hold(NOW + 2 * DAY, "the server asked for a pause.")
    Circuit.objects.create(
        organization=organization,
        host="127.0.0.1",
        port=sink.port,
        failures=3,
        opened_at=NOW + DAY,
        probe_at=NOW + DAY,
        probing_until=NOW + DAY,
    )
    for _ in range(5):
        Slot.objects.create(route=route, leased_until=NOW + DAY)
    message = make_message(sending_mailbox, alice)
    sweep_outbox()
    submit_route(route.pk)
    assert states(message) == {"bob@example.org": State.SENT}


def test_what_left_in_the_future_counts_as_having_left_now(office, make_message, sending_mailbox, alice, sink, clock):
    route, earlier = (
        Route.objects.through(office),
        make_message(sending_mailbox, alice, recipient={"state": State.SENT}),
    )
    for _ in range(2):
        Attempt.objects.create(message=earlier, started_at=NOW + DAY, ended_at=NOW + DAY, route=route)
    message = make_message(sending_mailbox, alice)
    submit_route(route.pk)
    assert wait_of(message, NOW) == timedelta(minutes=1)
    assert sink.connections == 0
    clock.move_to(NOW + timedelta(minutes=1), tick=False)
    submit_route(route.pk)
    assert states(message) == {"bob@example.org": State.SENT}


def test_looks_runs_and_counts_of_the_future_are_of_now(make_message, sending_mailbox, organization, alice):
    ahead = {"state": State.UNCERTAIN, "state_at": NOW + 9 * DAY, "look_at": NOW + 9 * DAY}
    message = make_message(sending_mailbox, alice, recipient=ahead)
    run = LogRun.objects.create(
        organization=organization,
        author=alice,
        submission_key="1",
        decision=Decision.RESEND,
        keys=[message.pk],
        total=1,
        leased_until=NOW + DAY,
        created_at=NOW,
    )
    AutomaticMail.objects.create(organization=organization, message=message, address="bob@example.org", at=NOW + DAY)
    Route.objects.leading(sending_mailbox)
    Route.objects.update(nudged_at=NOW + DAY)
    sweep(NOW)
    recipient = message.recipients.get()
    assert (recipient.look_at, recipient.state_at) == (NOW, NOW)
    assert [run] == list(LogRun.objects.waiting(NOW))
    assert AutomaticMail.objects.get().at == NOW
    assert Route.objects.get().nudged_at == NOW


def test_pauses_that_are_as_long_as_they_may_be_stay(office, sending_mailbox, make_message, alice, organization, sink):
    route = Route.objects.through(office)
    route.hold(NOW + DAY, "its quota is used up.")
    Circuit.objects.create(
        organization=organization, host="a.example", port=25, opened_at=NOW, probe_at=NOW + timedelta(minutes=30)
    )
    sweep(NOW)
    assert Route.objects.get(pk=route.pk).held_until == NOW + DAY
    assert Circuit.objects.get().probe_at == NOW + timedelta(minutes=30)


def test_a_clock_that_goes_forward_writes_nothing(make_message, sending_mailbox, alice, django_assert_num_queries):
    make_message(sending_mailbox, alice)
    before = list(OutboxRecipient.objects.values())
    sweep(NOW)
    assert list(OutboxRecipient.objects.values()) == before
