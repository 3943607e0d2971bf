"""What a server takes of one login: counted in rows, kept by all workers together, told to whoever waits (spec B9)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from delivery.models import Attempt, OutboxRecipient, Route
from delivery.states import State
from delivery.tasks import submit_route
from mailservers.limits import Limits, limits_of
from mailservers.models import MailServer
from providers.models import Provider
from tests.simultaneously import simultaneously

pytestmark = pytest.mark.django_db


@pytest.fixture
def office(organization, sink) -> MailServer:
    return MailServer.objects.create(
        organization=organization, name="Office", host="127.0.0.1", port=sink.port, security="none"
    )


@pytest.fixture
def queue(make_message, sending_mailbox, alice, office):
    """`queue(5)`: so many messages behind the office server; its route."""
    sending_mailbox.mail_server = office
    sending_mailbox.save()

    def make(number: int) -> Route:
        for place in range(number):
            make_message(sending_mailbox, alice, f"person{place}@example.org")
        return Route.objects.through(office)

    return make


def counts() -> dict[str, int]:
    states = list(OutboxRecipient.objects.values_list("state", flat=True))
    return {state: states.count(state) for state in set(states)}


@pytest.mark.proves("B9", "I5")
@pytest.mark.parametrize(
    ("limit", "period", "words"),
    [("per_minute", timedelta(minutes=1), "minute"), ("per_day", timedelta(days=1), "day")],
)
def test_mail_above_a_rate_waits_until_there_is_room_and_says_so(
    queue, office, sink, time_machine, limit, period, words
):
    time_machine.move_to("2026-11-21T10:00:00Z", tick=False)
    setattr(office, limit, 3)
    office.save()
    route = queue(5)
    submit_route(route.pk)
    assert counts() == {State.SENT: 3, State.QUEUED: 2}
    waiting = OutboxRecipient.objects.filter(state=State.QUEUED)
    until = timezone.now() + period
    assert [one.not_before for one in waiting] == [until] * 2
    assert [one.note for one in waiting] == [
        f"It waits: 3 of 3 mails this {words}; it goes on at {until:%H:%M} UTC."
    ] * 2
    assert [one.tries for one in waiting] == [0, 0]
    waiting.update(not_before=timezone.now())
    submit_route(route.pk)
    assert len(sink.taken) == 3
    time_machine.shift(period + timedelta(seconds=1))
    submit_route(route.pk)
    assert counts() == {State.SENT: 5}


@pytest.mark.proves("B9")
def test_room_comes_back_as_mails_leave_the_period_one_by_one(queue, office, sink, time_machine):
    time_machine.move_to("2026-11-21T10:00:00Z", tick=False)
    office.per_minute = 2
    office.save()
    route = queue(1)
    submit_route(route.pk)
    time_machine.shift(40)
    queue(3)
    submit_route(route.pk)
    assert len(sink.taken) == 2
    until = OutboxRecipient.objects.filter(state=State.QUEUED).first().not_before
    assert until - timezone.now() == timedelta(seconds=20)
    time_machine.shift(21)
    submit_route(route.pk)
    assert len(sink.taken) == 3


@pytest.mark.proves("B9")
def test_what_the_server_was_not_asked_does_not_count(queue, office, sink, may_dial):
    office.per_day = 2
    office.save()
    route = queue(2)
    sink_port, office.port = office.port, 9
    office.save()
    may_dial(9, sink_port)
    submit_route(route.pk)
    assert Attempt.objects.exists()
    assert not Attempt.objects.filter(route=route).exists()
    office.port = sink_port
    office.save()
    OutboxRecipient.objects.update(not_before=timezone.now())
    submit_route(route.pk)
    assert counts() == {State.SENT: 2}


@pytest.mark.proves("B9")
@pytest.mark.django_db(transaction=True)
def test_all_workers_together_keep_the_rate(queue, office, sink):
    office.per_minute = 7
    office.save()
    route = queue(20)
    simultaneously(*[lambda: submit_route(route.pk)] * 4)
    assert len(sink.taken) == 7
    assert counts() == {State.SENT: 7, State.QUEUED: 13}


@pytest.mark.proves("B9")
def test_empty_means_the_catalogs_and_what_is_typed_comes_first(organization):
    provider = Provider.objects.create(
        key="mail-house", name="Mail House", limits={"connections": 3, "per_minute": 30, "per_day": 10_000}
    )
    server = MailServer(organization=organization, provider=provider, per_minute=5)
    assert server.limits == Limits(connections=3, messages_per_connection=100, per_minute=5, per_day=10_000)
    assert limits_of(None, provider) == Limits(connections=3, per_minute=30, per_day=10_000)
    assert limits_of(None, None) == Limits()


@pytest.mark.proves("B9")
def test_a_mailbox_that_sends_with_its_own_login_keeps_the_catalogs_limits(make_message, sending_mailbox, alice, sink):
    sending_mailbox.provider = Provider.objects.create(key="mail-house", name="Mail House", limits={"per_day": 2})
    sending_mailbox.save()
    for _ in range(3):
        make_message(sending_mailbox, alice)
    submit_route(Route.objects.leading(sending_mailbox).pk)
    assert counts() == {State.SENT: 2, State.QUEUED: 1}
