"""Many messages behind one login: one connection, claimed a few at a time, in order, stopped at any moment."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from delivery import claiming, dispatching, ledger, submission, sweeping
from delivery.models import LEASE, Attempt, OutboxRecipient, Route, Slot
from delivery.models.routes import SLOT_LEASE
from delivery.states import Origin, Priority, State
from delivery.tasks import submit_route, wake_for
from delivery.ways import way_of
from mailservers.models import MailServer
from organizations import stopping
from tests.delivery.conftest import states
from tests.simultaneously import simultaneously

pytestmark = pytest.mark.django_db


@pytest.fixture
def route(sending_mailbox) -> Route:
    return Route.objects.leading(sending_mailbox)


@pytest.fixture
def messages(make_message, sending_mailbox, alice):
    """Twelve queued messages, each to one person."""
    return [make_message(sending_mailbox, alice, f"person{number}@example.org") for number in range(12)]


@pytest.fixture
def office(organization, sink) -> MailServer:
    return MailServer.objects.create(
        organization=organization, name="Office", host="127.0.0.1", port=sink.port, security="none"
    )


def outcomes() -> list[str]:
    return list(OutboxRecipient.objects.order_by("pk").values_list("state", flat=True))


@pytest.mark.proves("I5")
def test_all_that_is_due_behind_a_login_leaves_over_one_connection_each_with_its_attempt(messages, route, sink):
    submit_route(route.pk)
    assert outcomes() == [State.SENT] * 12
    assert sink.connections == 1
    assert [taken.recipients for taken in sink.taken] == [[f"person{number}@example.org"] for number in range(12)]
    attempts = Attempt.objects.all()
    assert [attempt.message_id for attempt in attempts] == [message.pk for message in messages]
    assert all(one.final_dot_at and one.ended_at and one.code == 250 and one.route == route for one in attempts)
    assert not Slot.objects.exists()


@pytest.mark.proves("I5")
def test_one_refused_message_does_not_stop_those_behind_it(messages, route, sink):
    sink.recipients = {
        "person3@example.org": "550 5.1.1 No such user",
        "person5@example.org": "450 4.2.0 Come back later",
    }
    submit_route(route.pk)
    expected = [State.SENT] * 12
    expected[3], expected[5] = State.FAILED, State.QUEUED
    assert outcomes() == expected
    assert sink.connections == 1


@pytest.mark.proves("R19")
def test_after_a_lost_answer_the_others_leave_over_a_new_connection(messages, route, sink):
    sink.after_dots = ["answer", "answer", "drop"]
    submit_route(route.pk)
    expected = [State.SENT] * 12
    expected[2] = State.UNCERTAIN
    assert outcomes() == expected
    assert sink.connections == 2
    assert len(sink.taken) == 12


@pytest.mark.proves("B9")
def test_a_connection_carries_as_many_messages_as_the_server_takes(
    make_message, sending_mailbox, messages, office, sink
):
    office.messages_per_connection = 5
    office.save()
    sending_mailbox.mail_server = office
    sending_mailbox.save()
    submit_route(Route.objects.leading(sending_mailbox).pk)
    assert outcomes() == [State.SENT] * 12
    assert sink.connections == 3


@pytest.mark.proves("I5")
def test_a_persons_mail_leaves_before_bulk_and_mailboxes_take_turns(make_message, make_mailbox, alice, office, sink):
    first = make_mailbox("first@example.org", alice, mail_server=office, smtp_host="")
    second = make_mailbox("second@example.org", alice, mail_server=office, smtp_host="")
    for _ in range(3):
        make_message(first, alice, priority=Priority.BULK)
    make_message(second, alice, priority=Priority.BULK)
    make_message(second, alice, priority=Priority.PERSON)
    submit_route(Route.objects.through(office).pk)
    assert [taken.sender for taken in sink.taken] == [
        "second@example.org",
        "first@example.org",
        "second@example.org",
        "first@example.org",
        "first@example.org",
    ]


@pytest.mark.proves("I5")
def test_a_persons_mail_that_comes_while_bulk_leaves_is_next(
    make_message, sending_mailbox, alice, route, sink, monkeypatch
):
    bulk = [make_message(sending_mailbox, alice, f"bulk{n}@example.org", priority=Priority.BULK) for n in range(6)]
    monkeypatch.setattr(dispatching, "FRESH", 0.0)
    monkeypatch.setattr(dispatching, "MOST_AT_ONCE", 1)
    usual = submission.Line.carry

    def carry(line, held):
        if held.message.pk == bulk[3].pk:
            make_message(sending_mailbox, alice, "person@example.org")
        return usual(line, held)

    monkeypatch.setattr(submission.Line, "carry", carry)
    submit_route(route.pk)
    order = [taken.recipients[0] for taken in sink.taken]
    assert order.index("person@example.org") == 4


@pytest.mark.proves("R27")
def test_a_worker_that_is_told_to_stop_ends_its_message_and_gives_back_the_rest(messages, route, sink, monkeypatch):
    monkeypatch.setattr(stopping, "is_asked", lambda: len(sink.taken) >= 2)
    submit_route(route.pk)
    assert outcomes() == [State.SENT] * 2 + [State.QUEUED] * 10
    assert Attempt.objects.count() == 2, "what had no turn was no attempt"
    assert not Slot.objects.exists()
    monkeypatch.setattr(stopping, "is_asked", lambda: False)
    submit_route(route.pk)
    assert outcomes() == [State.SENT] * 12
    assert len(sink.taken) == 12


@pytest.mark.proves("R31")
def test_a_mistake_of_ours_in_one_message_gives_back_the_others(messages, route, sink, monkeypatch):
    usual = submission.Line.carry

    def carry(line, held):
        if held.message.pk == messages[2].pk:
            raise RuntimeError("a mistake of ours")
        return usual(line, held)

    monkeypatch.setattr(submission.Line, "carry", carry)
    with pytest.raises(RuntimeError):
        submit_route(route.pk)
    assert outcomes() == [State.SENT] * 2 + [State.QUEUED] * 10
    assert list(Attempt.objects.filter(was_lost=True).values_list("message_id", flat=True)) == [messages[2].pk]


@pytest.mark.proves("R31")
def test_of_several_claimed_together_only_the_one_that_had_its_turn_is_blamed_for_a_death(messages, route):
    now = timezone.now()
    for death in range(1, 4):
        moment = now + death * 2 * LEASE
        keys = [message.pk for message in messages[:4]]
        batch = claiming.take(keys, way_of(route, moment), death, moment)
        assert len(batch) == 4
        sweeping.sweep(moment + LEASE)
    found = [states(message).popitem()[1] for message in messages[:4]]
    assert found == [State.FAILED, State.QUEUED, State.QUEUED, State.QUEUED]
    assert "set aside" in messages[0].recipients.get().note
    assert not Attempt.objects.filter(message__in=messages[1:]).exists()


@pytest.mark.proves("R2", "R31")
def test_of_several_claimed_together_the_one_with_the_mark_is_uncertain_and_the_next_goes_back(messages, route):
    now = timezone.now()
    first, second, third = claiming.take([message.pk for message in messages[:3]], way_of(route, now), 7, now)
    first.accepted(first.addresses, "250 Taken")
    first.close(phase="message")
    assert second.attempt.mark_final_dot(now)
    sweeping.sweep(now + LEASE)
    assert [states(message).popitem()[1] for message in messages[:3]] == [State.SENT, State.UNCERTAIN, State.QUEUED]
    assert not third.attempt.mark_final_dot(now + LEASE)


def test_a_message_that_was_taken_meanwhile_is_left_to_whoever_took_it(messages, route, sink):
    now = timezone.now()
    batch = claiming.take([message.pk for message in messages[:2]], way_of(route, now), 1, now)
    ledger.take_back(batch[1].attempt.pk, now)
    again = Attempt.objects.begin(messages[1].pk, now + timedelta(seconds=1))
    claiming.hand_back(batch, now)
    assert states(messages[0]) == {"person0@example.org": State.QUEUED}
    assert messages[1].recipients.get().claim == again.claim
    assert states(messages[1]) == {"person1@example.org": State.SENDING}


@pytest.mark.proves("B9")
def test_no_more_connections_are_open_by_a_login_than_it_may_have(messages, route, sink, monkeypatch):
    now = timezone.now()
    for _ in range(route.limits.connections):
        Slot.objects.create(route=route, leased_until=now + SLOT_LEASE)
    submit_route(route.pk)
    assert sink.connections == 0
    Slot.objects.filter(pk=Slot.objects.first().pk).update(leased_until=now)  # its worker was killed
    submit_route(route.pk)
    assert outcomes() == [State.SENT] * 12


@pytest.mark.proves("R4", "I1")
@pytest.mark.django_db(transaction=True)
def test_several_workers_at_one_login_claim_each_message_once(make_message, sending_mailbox, alice, route, sink):
    for number in range(40):
        make_message(sending_mailbox, alice, f"person{number}@example.org")
    simultaneously(*[lambda: submit_route(route.pk)] * 4)
    assert outcomes() == [State.SENT] * 40
    assert len(sink.taken) == len({taken.recipients[0] for taken in sink.taken}) == 40
    assert Attempt.objects.count() == 40


@pytest.mark.proves("I5")
def test_of_a_burst_of_nudges_for_one_login_one_is_left(
    sending_mailbox, route, monkeypatch, django_capture_on_commit_callbacks
):
    told: list[tuple[object, ...]] = []
    monkeypatch.setattr(submit_route, "apply_async", lambda arguments, **_: told.append(arguments))
    with django_capture_on_commit_callbacks(execute=True):
        for _ in range(100):
            wake_for(sending_mailbox)
    assert told == [(route.pk,)]
    submit_route(route.pk)  # has begun: what comes from now on may be too late for it
    with django_capture_on_commit_callbacks(execute=True):
        wake_for(sending_mailbox)
    assert told == [(route.pk,)] * 2


@pytest.mark.proves("I5")
def test_the_sweeper_lets_organizations_take_turns(make_message, make_mailbox, alice, dana, other_organization):
    mine = [make_mailbox(f"{name}@example.org", alice, smtp_host="smtp.example.org") for name in ("a", "b", "c")]
    theirs = make_mailbox("d@example.net", dana, organization=other_organization, smtp_host="smtp.example.net")
    for mailbox, author in [*((mailbox, alice) for mailbox in mine), (theirs, dana)]:
        make_message(mailbox, author)
    found = sweeping.sweep(timezone.now())
    assert set(found.routes) == {Route.objects.leading(mailbox).pk for mailbox in [*mine, theirs]}
    assert found.routes.index(Route.objects.leading(theirs).pk) < 2


def test_a_login_without_mail_costs_nothing(route, sink, django_assert_max_num_queries):
    with django_assert_max_num_queries(4):
        submit_route(route.pk)
    assert sink.connections == 0


def test_a_route_that_is_gone_does_nothing(route):
    pk = route.pk
    route.delete()
    submit_route(pk)


def test_what_ran_out_of_time_behind_a_server_that_is_waited_for_is_not_kept(
    messages, route, sink, django_capture_on_commit_callbacks
):
    route.hold(timezone.now() + timedelta(hours=1), "the server asked for a pause.")
    messages[0].recipients.update(expires_at=timezone.now() - timedelta(minutes=1))
    submit_route(route.pk)
    assert outcomes() == [State.FAILED] + [State.QUEUED] * 11
    assert messages[1].recipients.get().note == "It waits: the server asked for a pause."
    assert messages[1].recipients.get().not_before > timezone.now() + timedelta(minutes=59)
    assert sink.connections == 0


def test_queries_per_message_stay_few(
    make_message, sending_mailbox, alice, route, sink, monkeypatch, django_assert_max_num_queries
):
    for module in (dispatching, submission):
        monkeypatch.setattr(module, "QUICK", 60.0)  # on a busy machine too: else batches stay small
    for number in range(60):
        make_message(sending_mailbox, alice, f"person{number}@example.org")
    with django_assert_max_num_queries(60 * 5 + 120):  # begin, outcome, end of the attempt, mark of the next, commit
        submit_route(route.pk)
    assert outcomes() == [State.SENT] * 60


def test_a_notice_does_not_wait_for_a_server_that_cannot_be_reached(make_message, sending_mailbox, route, may_dial):
    from tests.servers.processes import free_port

    sending_mailbox.smtp_port = free_port()
    sending_mailbox.save()
    may_dial(sending_mailbox.smtp_port)
    make_message(sending_mailbox, None, "a@example.org", origin=Origin.NOTICE)
    second = make_message(sending_mailbox, None, "b@example.org", origin=Origin.NOTICE)
    submit_route(route.pk)
    assert states(second) == {"b@example.org": State.FAILED}
    assert "account mail" in second.recipients.get().note


@pytest.mark.proves("R19")
def test_an_outcome_that_waits_for_the_next_mark_is_written_also_where_there_is_none(
    messages, route, sink, monkeypatch
):
    """The answer to one message is written with the mark of the next; here the next loses its claim, or its line."""
    usual, lost = submission.Line.carry, [messages[1].pk]

    def carry(line, held):
        if held.message.pk in lost:
            lost.remove(held.message.pk)
            ledger.take_back(held.attempt.pk, timezone.now())
        if held.message.pk == messages[3].pk:
            line._session._connection.close()
        return usual(line, held)

    monkeypatch.setattr(submission.Line, "carry", carry)
    submit_route(route.pk)
    assert outcomes() == [State.SENT] * 12
    assert sorted(len(message.attempts.all()) for message in messages) == [1] * 11 + [2]
    assert len(sink.taken) == 12
