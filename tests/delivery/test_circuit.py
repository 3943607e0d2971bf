"""Servers that cannot be reached, or ask for a pause: who is tried, who waits, and what stands in for them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from delivery.models import Attempt, LoginRefusal, OutboxRecipient, Route
from delivery.retrying import SLOWED_AFTER, asked_wait, next_try, pause_after
from delivery.states import State
from delivery.tasks import submit_message, submit_route
from mailservers.circuits import OPENS_AFTER, PROBES, Circuit
from mailservers.models import MailServer
from mailservers.rulebook import load_rules
from protocols.diagnosis import Retry
from tests.delivery.conftest import states
from tests.servers.processes import free_port

pytestmark = pytest.mark.django_db


@pytest.fixture
def broken(organization, sending_mailbox, may_dial, sink) -> MailServer:
    """The server of Alice's mailbox; nobody listens there."""
    server = MailServer.objects.create(
        organization=organization, name="Office", host="127.0.0.1", port=free_port(), security="none"
    )
    may_dial(server.port, sink.port)
    sending_mailbox.mail_server = server
    sending_mailbox.save()
    return server


@pytest.fixture
def reserve(organization, sink) -> MailServer:
    return MailServer.objects.create(
        organization=organization, name="Reserve", host="127.0.0.1", port=sink.port, security="none"
    )


@pytest.fixture
def three(make_message, sending_mailbox, alice):
    return [make_message(sending_mailbox, alice, f"person{number}@example.org") for number in range(3)]


def fail_until_open(server: MailServer) -> Circuit:
    """Let as many turns fail as open the circuit."""
    route = Route.objects.through(server)
    for _ in range(OPENS_AFTER):
        OutboxRecipient.objects.update(not_before=timezone.now())
        submit_route(route.pk)
    return Circuit.objects.open().get()


def waiting_now() -> None:
    OutboxRecipient.objects.filter(state=State.QUEUED).update(not_before=timezone.now())


@pytest.mark.proves("I3")
def test_a_server_that_is_not_reached_three_times_is_left_alone_and_others_wait_without_a_try(broken, three):
    circuit = fail_until_open(broken)
    tried = Attempt.objects.count()
    assert tried == OPENS_AFTER
    waiting_now()
    submit_route(Route.objects.through(broken).pk)
    assert Attempt.objects.count() == tried
    recipient = OutboxRecipient.objects.last()
    assert recipient.note.startswith(f"It waits: 127.0.0.1:{broken.port} could not be reached 3 times in a row")
    assert recipient.not_before == circuit.probe_at
    assert sum(OutboxRecipient.objects.values_list("tries", flat=True)) == tried


@pytest.mark.proves("I3")
def test_one_message_probes_at_a_time_and_each_failure_makes_the_next_probe_later(broken, three, time_machine):
    time_machine.move_to("2026-11-21T10:00:00Z", tick=False)
    fail_until_open(broken)
    route = Route.objects.through(broken)
    for wait in PROBES[:3]:
        circuit = Circuit.objects.get()
        assert circuit.probe_at - timezone.now() == wait
        time_machine.move_to(circuit.probe_at)
        assert circuit.may_probe(timezone.now())
        assert not circuit.may_probe(timezone.now()), "another worker is at it"
        circuit.give_back_probe()
        before = Attempt.objects.count()
        waiting_now()
        submit_route(route.pk)
        assert Attempt.objects.count() == before + 1


@pytest.mark.proves("I3")
def test_the_first_answer_closes_the_circuit_and_everything_goes_on(broken, three, time_machine, may_dial, sink):
    time_machine.move_to("2026-11-21T10:00:00Z", tick=False)
    circuit = fail_until_open(broken)
    broken.port = sink.port  # it listens again
    broken.save()
    Circuit.objects.update(port=sink.port)
    time_machine.move_to(circuit.probe_at)
    waiting_now()
    submit_route(Route.objects.through(broken).pk)
    assert {state for message in three for state in states(message).values()} == {State.SENT}
    assert not Circuit.objects.exists()


def test_fewer_failures_than_that_leave_it_closed_and_a_success_forgets_them(broken, three, sink):
    route = Route.objects.through(broken)
    submit_route(route.pk)
    assert Circuit.objects.get().opened_at is None
    Circuit.objects.update(port=sink.port)
    broken.port = sink.port
    broken.save()
    waiting_now()
    submit_route(route.pk)
    assert not Circuit.objects.exists()
    assert OutboxRecipient.objects.filter(state=State.SENT).count() == 3


@pytest.mark.proves("I3")
def test_where_an_administrator_allowed_it_another_server_sends_meanwhile_and_the_log_says_why(
    broken, reserve, three, sink, client_of, alice
):
    broken.fallback = reserve
    broken.save()
    fail_until_open(broken)
    waiting_now()
    submit_route(Route.objects.through(broken).pk)
    assert {state for message in three for state in states(message).values()} == {State.SENT}
    page = client_of(alice).get(reverse("delivery:message", args=[three[0].pk])).content.decode()
    assert "Another server than its own: “Office” could not be reached since" in page
    attempt = three[0].attempts.last()
    assert attempt.server == f"127.0.0.1:{sink.port}"
    assert attempt.detour.startswith("“Office” could not be reached since")
    assert attempt.detour.endswith("and “Reserve” stands in for it.")
    assert attempt.route == Route.objects.through(reserve), "it counts against the limits of who sends"


@pytest.mark.proves("I3", "T19")
def test_nothing_goes_through_another_server_that_nobody_allowed(broken, reserve, three, sink):
    fail_until_open(broken)
    waiting_now()
    submit_route(Route.objects.through(broken).pk)
    assert sink.connections == 0


@pytest.mark.proves("I3")
def test_what_may_have_been_taken_never_goes_through_another_server(broken, reserve, three, sink):
    broken.fallback = reserve
    broken.save()
    now = timezone.now()
    attempt = Attempt.objects.begin(three[0].pk, now)
    assert attempt.mark_final_dot(now)
    fail_until_open(broken)
    waiting_now()
    submit_route(Route.objects.through(broken).pk)
    assert states(three[0]) == {"person0@example.org": State.SENDING}
    assert sorted(taken.recipients[0] for taken in sink.taken) == ["person1@example.org", "person2@example.org"]


def test_a_stand_in_that_may_not_send_as_the_address_fails_nothing_for_good(broken, reserve, three, sink):
    load_rules()
    broken.fallback = reserve
    broken.save()
    fail_until_open(broken)
    sink.mail = "553 5.7.1 Sender address rejected: not owned by user"
    waiting_now()
    submit_route(Route.objects.through(broken).pk)
    assert {state for message in three for state in states(message).values()} == {State.QUEUED}


@pytest.mark.proves("I3", "R15")
def test_a_server_that_puts_off_message_after_message_gets_a_pause(make_message, sending_mailbox, alice, sink):
    load_rules()
    sink.end = "451 4.7.0 Try again later, too many messages"
    for number in range(6):
        make_message(sending_mailbox, alice, f"person{number}@example.org")
    route = Route.objects.leading(sending_mailbox)
    submit_route(route.pk)
    assert Attempt.objects.count() == SLOWED_AFTER
    assert Route.objects.get(pk=route.pk).held_until > timezone.now() + timedelta(seconds=50)
    untried = OutboxRecipient.objects.filter(tries=0)
    assert untried.count() == 3
    assert all(one.note.startswith("It waits: ") for one in untried)
    sink.end = ""
    Route.objects.update(held_until=timezone.now())
    waiting_now()
    submit_route(route.pk)
    assert OutboxRecipient.objects.filter(state=State.SENT).count() == 6
    assert Route.objects.get(pk=route.pk).slowed == 0


def test_a_success_ends_no_pause_that_another_worker_was_asked_for_meanwhile(sending_mailbox):
    now = timezone.now()
    Route.objects.leading(sending_mailbox).hold(now - timedelta(minutes=1), "it was put off.")
    one, another = (Route.objects.leading(sending_mailbox) for _ in range(2))
    another.hold(now + timedelta(days=1), "its quota is used up.")
    one.release()
    one.refresh_from_db()
    assert (one.held_until, one.held_for) == (now + timedelta(days=1), "its quota is used up.")
    one.release()
    one.refresh_from_db()
    assert (one.held_until, one.held_for) == (None, "")


@pytest.mark.proves("I3", "R15")
def test_a_used_up_quota_holds_the_whole_login_for_a_day(make_message, sending_mailbox, alice, sink):
    load_rules()
    sink.mail = "550 5.4.5 Daily user sending limit exceeded."
    first, second = (make_message(sending_mailbox, alice, f"{name}@example.org") for name in ("a", "b"))
    submit_route(Route.objects.leading(sending_mailbox).pk)
    assert first.attempts.count() == 1
    assert second.attempts.count() == 0
    for message in (first, second):
        wait = message.recipients.get().not_before - timezone.now()
        assert timedelta(hours=23) < wait <= timedelta(hours=24)


@pytest.mark.proves("D4")
def test_a_refused_login_is_offered_once_for_all_that_waits_behind_it(make_message, sending_mailbox, alice, sink):
    sink.password = "another"
    for number in range(5):
        make_message(sending_mailbox, alice, f"person{number}@example.org")
    route = Route.objects.leading(sending_mailbox)
    for _ in range(3):
        waiting_now()
        submit_route(route.pk)
    assert len(sink.logins) == 1
    assert LoginRefusal.objects.get().count == 1
    assert set(OutboxRecipient.objects.values_list("tries", flat=True)) == {0}


def test_greylisting_is_tried_again_when_the_server_is_ready(make_message, sending_mailbox, alice, sink):
    load_rules()
    message = make_message(sending_mailbox, alice, "bob@example.org")
    sink.recipients = {"bob@example.org": "450 4.7.1 Greylisted, try again in 600 seconds"}
    submit_message(message.pk)
    wait = message.recipients.get().not_before - timezone.now()
    assert timedelta(minutes=9) < wait < timedelta(minutes=13)


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("450 4.7.1 Greylisted for 300 seconds", 300),
        ("451 please try again in 5 minutes", 300),
        ("450 retry after 90s", 90),
        ("451 come back in 9999 minutes", 3600),
        ("451 4.3.0 Try again later", 0),
        ("450 see room 300", 0),
    ],
)
def test_the_wait_that_a_server_asks_for_is_read_from_its_words(words, seconds):
    assert asked_wait(words) == timedelta(seconds=seconds)


def test_pauses_grow_from_a_minute_to_an_hour():
    waits = [pause_after(slowed) for slowed in range(1, 20)]
    assert waits[: SLOWED_AFTER - 1] == [None] * (SLOWED_AFTER - 1)
    told = [wait for wait in waits if wait is not None]
    assert told == sorted(told)
    assert (told[0], told[-1]) == (timedelta(minutes=1), timedelta(hours=1))


def test_greylisting_waits_five_minutes_first():
    now = timezone.now()
    moment = next_try(
        Retry.BACK_OFF, 0, now=now, expires_at=now + timedelta(hours=48), chance=0.5, rule="greylisted", reply="451"
    )
    assert moment == now + timedelta(minutes=5)
