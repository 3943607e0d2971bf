"""The page of a message whose outcome is not known: what is said, the three ways out, and two people at once."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import MailboxGrant
from delivery import deciding
from delivery.deciding import About
from delivery.models import NOTICE_RETRY_PERIOD, Look, OutboxMessage, OutboxRecipient
from delivery.states import Origin, State
from delivery.tasks import resolve_uncertain, submit_message
from notifications.models import Notification
from organizations.models import AuditEntry, OperationGrant
from organizations.operations import Operation
from tests.delivery.conftest import states
from tests.simultaneously import simultaneously

pytestmark = pytest.mark.django_db

BOB, CAROL = "bob@example.org", "carol@example.org"


@pytest.fixture
def message(make_message, sending_mailbox, alice, sink):
    """For Bob and Carol; the answer was lost."""
    made = make_message(sending_mailbox, alice, BOB, CAROL, subject="Offer")
    sink.after_dot = "drop"
    submit_message(made.pk)
    sink.after_dot = "answer"
    return made


@pytest.fixture
def alices(client_of, alice):
    return client_of(alice)


def page_of(client, message) -> str:
    return client.get(reverse("delivery:message", args=[message.pk])).content.decode()


def decide(client, message, decision: str, **values: object) -> str:
    address = reverse("delivery:settle-uncertain", args=[message.pk, decision])
    return client.post(address, values, follow=True).content.decode()


def version_of(message) -> int:
    return max(message.recipients.values_list("claim", flat=True))


# --- What the page says -------------------------------------------------------------------------------------------


@pytest.mark.proves("I3", "R19")
def test_the_page_tells_how_far_it_came_and_the_consequence_of_each_way_out(alices, message, sink):
    page = page_of(alices, message)
    for words in (
        "Nobody knows whether it was sent.",
        f"All of the message was out to 127.0.0.1:{sink.port} at",
        "before the server said yes or no",
        "Not yet.",
        "Looks in the Sent folder and in stored mail now. Nothing is sent.",
        "Nothing is sent, and it counts as sent.",
        "under the same Message-ID. Whoever has it already may get it twice.",
    ):
        assert words in page


@pytest.mark.proves("R19")
def test_each_look_stands_there_with_what_it_found(alices, message, time_machine):
    time_machine.move_to(timezone.now(), tick=True)
    for minutes in (1, 5):
        time_machine.shift(timedelta(minutes=minutes))
        resolve_uncertain(message.pk)
    page = page_of(alices, message)
    assert "Nothing found" in page
    assert "has no incoming server, so there is no Sent folder to look in." in page
    assert "Stored mail: no copy of it." in page
    assert "Earlier looks (1)" in page
    assert "Next look" in page


@pytest.mark.proves("A7", "R19")
def test_a_notification_leads_to_the_page(alices, message, alice):
    told = Notification.objects.get(user=alice)
    assert told.url == reverse("delivery:message", args=[message.pk])


def test_who_may_only_read_sees_what_is_known_and_no_way_out(
    client_of, make_message, shared_mailbox, alice, bob, charlie
):
    made = make_message(shared_mailbox, alice, BOB)
    OutboxRecipient.objects.all().move(State.QUEUED, State.UNCERTAIN, timezone.now(), note="The answer was lost.")
    page = page_of(client_of(bob), made)
    assert "The answer was lost." in page
    assert "Send again" not in page
    for decision in ("check-again", "mark-sent", "send-again"):
        address = reverse("delivery:settle-uncertain", args=[made.pk, decision])
        assert client_of(bob).post(address).status_code == 403
        assert client_of(charlie).post(address).status_code == 404
        assert client_of(alice).get(address).status_code == 405
    assert client_of(alice).post(reverse("delivery:settle-uncertain", args=[made.pk, "guess"])).status_code == 404
    assert states(made) == {BOB: State.UNCERTAIN}


# --- Notices ------------------------------------------------------------------------------------------------------


@pytest.fixture
def notice(make_message, sending_mailbox):
    """A notice of the system whose answer was lost; Alice owns the account it left from."""
    made = make_message(sending_mailbox, None, BOB, origin=Origin.NOTICE, subject="3 notifications")
    made.recipients.all().move(State.QUEUED, State.UNCERTAIN, timezone.now(), note="The answer was lost.")
    return made


@pytest.mark.proves("I3", "A4")
def test_a_notice_is_settled_by_who_sees_all_mail_and_manages_the_accounts(client_of, notice, alice, charlie):
    OperationGrant.objects.create(operation=Operation.VIEW_EMAIL_LOGS, user=charlie)
    for person in (alice, charlie):
        assert "You know that it arrived" not in page_of(client_of(person), notice)
        address = reverse("delivery:settle-uncertain", args=[notice.pk, "mark-sent"])
        assert client_of(person).post(address).status_code == 403
    OperationGrant.objects.create(operation=Operation.MANAGE_EMAIL_ACCOUNTS, user=charlie)
    assert "You know that it arrived" in page_of(client_of(charlie), notice)
    assert "Marked as sent." in decide(client_of(charlie), notice, "mark-sent")
    assert states(notice) == {BOB: State.SENT}


def test_a_notice_that_is_sent_again_leaves_for_the_system_and_soon(client_of, notice, administrator, sink):
    assert "Queued again, under the same Message-ID." in decide(client_of(administrator), notice, "send-again")
    [queued] = notice.recipients.all()
    assert queued.expires_at - queued.not_before == NOTICE_RETRY_PERIOD
    submit_message(notice.pk)
    assert [taken.recipients for taken in sink.taken] == [[BOB]]


def test_a_notice_is_not_sent_again_from_an_account_that_is_gone(client_of, notice, administrator):
    OutboxMessage.objects.filter(pk=notice.pk).update(mailbox=None)
    assert "The email account it left from cannot send now." in decide(client_of(administrator), notice, "send-again")
    assert states(notice) == {BOB: State.UNCERTAIN}


# --- The three ways out -------------------------------------------------------------------------------------------


@pytest.mark.proves("I3", "R19")
def test_it_was_sent_settles_the_ticked_ones_and_leaves_the_others(alices, message):
    page = decide(alices, message, "mark-sent", chooses=1, recipient=[BOB], version=version_of(message))
    assert "Marked as sent." in page
    assert states(message) == {BOB: State.SENT, CAROL: State.UNCERTAIN}
    assert "Of the others the outcome is known" in page


def test_nobody_ticked_changes_nothing_and_says_what_to_do(alices, message):
    for decision in ("mark-sent", "send-again"):
        page = decide(alices, message, decision, chooses=1, version=version_of(message))
        assert "tick the recipients that it is about" in page
    assert set(states(message).values()) == {State.UNCERTAIN}


@pytest.mark.proves("I3", "R19")
def test_send_again_goes_out_under_the_same_message_id_to_the_ticked_ones(alices, message, sink):
    decide(alices, message, "send-again", chooses=1, recipient=[CAROL], version=version_of(message))
    submit_message(message.pk)
    assert states(message) == {BOB: State.UNCERTAIN, CAROL: State.SENT}
    assert [taken.recipients for taken in sink.taken] == [[BOB, CAROL], [CAROL]]
    assert sink.taken[0].raw == sink.taken[1].raw


def test_send_again_keeps_a_moment_that_is_still_to_come(alices, message, alice):
    later = timezone.now() + timedelta(days=3)
    message.scheduled_for = later
    message.save()
    decide(alices, message, "send-again")
    assert set(message.recipients.values_list("not_before", flat=True)) == {later}


@pytest.mark.proves("I3")
def test_check_again_looks_at_once_and_sends_nothing(alices, message, sink):
    decide(alices, message, "check-again")
    assert "It is being looked for now." in page_of(alices, message)
    resolve_uncertain(message.pk)
    assert message.looks.get().result == Look.Result.NOTHING
    assert len(sink.taken) == 1
    assert AuditEntry.objects.filter(action="outbox.looked_for").count() == 1


# --- Two people ---------------------------------------------------------------------------------------------------


@pytest.mark.proves("R20", "I3")
def test_a_decision_about_an_attempt_that_one_has_not_seen_changes_nothing(alices, message, sink, alice):
    """Bob's page is old: Alice has sent it again, and that answer was lost too."""
    old = version_of(message)
    decide(alices, message, "send-again", version=old)
    sink.after_dot = "drop"
    submit_message(message.pk)
    for decision in ("send-again", "mark-sent"):
        page = decide(alices, message, decision, version=old)
        assert "it had moved on meanwhile" in page
    assert set(states(message).values()) == {State.UNCERTAIN}
    decide(alices, message, "mark-sent", version=version_of(message))
    assert set(states(message).values()) == {State.SENT}


@pytest.mark.django_db(transaction=True)
@pytest.mark.proves("R20", "I3")
def test_of_two_people_who_decide_at_once_one_decides_for_all_and_the_other_is_told(
    make_message, shared_mailbox, alice, bob
):
    MailboxGrant.objects.filter(user=bob).update(may_send=True)
    shared_mailbox.smtp_host = "smtp.example.org"
    shared_mailbox.save()
    made = make_message(shared_mailbox, alice, *(f"p{number}@example.org" for number in range(20)))
    made.recipients.all().move(State.QUEUED, State.UNCERTAIN, timezone.now(), claim=7)
    now, seen = timezone.now(), About(seen=7)
    marked, queued = simultaneously(
        lambda: deciding.mark_sent(made, alice, now, seen), lambda: deciding.send_again(made, bob, now, seen)
    )
    assert sorted([marked, queued]) == [0, 20]
    assert set(states(made).values()) == {State.SENT if marked else State.QUEUED}


# --- Always the same Message-ID -----------------------------------------------------------------------------------


@pytest.mark.proves("R19", "I3")
@pytest.mark.parametrize("seed", range(4))
def test_whatever_servers_and_people_do_it_is_the_same_message(
    make_message, sending_mailbox, alice, sink, seed, time_machine
):
    """Losses, refusals, looks and decisions in any order: each time it leaves, the octets are those of the first."""
    time_machine.move_to(timezone.now(), tick=True)
    chance = random.Random(seed)
    sending_mailbox.retries_uncertain = bool(seed % 2)
    sending_mailbox.save()
    message = make_message(sending_mailbox, alice, BOB, CAROL)
    asked: Counter[str] = Counter()
    for _ in range(25):
        sink.after_dot = chance.choice(["answer", "drop", "forget"])
        sink.recipients = {CAROL: "450 4.2.0 Later"} if chance.random() < 0.3 else {}
        before = len(sink.taken)
        submit_message(message.pk)
        for taken in sink.taken[before:]:
            asked.update(taken.recipients)
        time_machine.shift(timedelta(minutes=chance.choice([1, 10, 100])))
        resolve_uncertain(message.pk)
        decision = chance.choice([deciding.send_again, deciding.try_again, deciding.send_now, deciding.check_again])
        decision(message, alice, timezone.now())
    assert sum(asked.values()) > 1
    assert {taken.raw for taken in sink.taken} == {bytes(message.raw)}
    message.refresh_from_db()
    assert message.message_id.encode() in bytes(message.raw)
