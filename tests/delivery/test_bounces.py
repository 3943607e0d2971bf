"""What comes back: a delivery report changes the recipient it speaks of, once, and nobody else."""

from __future__ import annotations

import logging
import re
import time
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from django.db import OperationalError, models
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox
from delivery import bounces, deciding, suppression
from delivery.bounce_words import words_for
from delivery.bounces import read_arrivals
from delivery.models import OutboxMessage, OutboxRecipient, Suppression
from delivery.outbox import CannotBeQueued
from delivery.states import MOVES, State
from delivery.tasks import read_arrivals as read_arrivals_task
from delivery.tasks import submit_message
from mailstore.models import Arrival, Folder, Message
from mailstore.packs import PackWriter
from notifications.models import Notification
from organizations.models import OperationGrant
from organizations.operations import Operation
from protocols.message.octets import Octets
from protocols.message.reports import Action, Kind, Reason, RecipientReport, Report
from tests.delivery.conftest import states
from tests.delivery.moving import put
from tests.delivery.reporting import GONE, report
from tests.delivery.storing import store

pytestmark = pytest.mark.django_db

Row = TypeVar("Row", bound=models.Model)


def read() -> int:
    return read_arrivals(timezone.now())


@pytest.mark.proves("I7")
def test_a_hard_bounce_reaches_the_recipient_it_speaks_of_and_the_author(sent, arrived, mailbox, alice):
    message = sent("bob@partner.example", "carol@partner.example")
    arrival = arrived(mailbox, report("BOB@partner.example"))
    assert read() == 1
    assert states(message) == {"bob@partner.example": State.BOUNCED, "carol@partner.example": State.SENT}
    bob = message.recipients.get(address="bob@partner.example")
    assert (bob.bounce, bob.bounce_reason, bob.report, bob.last_reply) == ("hard", "userunknown", arrival, GONE)
    assert bob.note == "It came back. The address does not exist. Later mail will come back too."
    told = Notification.objects.get()
    assert (told.user, told.title) == (alice, "A message of yours came back")
    assert "bob@partner.example" in told.text
    assert told.url == reverse("delivery:message", args=[message.pk])


@pytest.mark.proves("I7")
def test_reading_it_again_changes_and_tells_nothing(sent, arrived, mailbox):
    message = sent("bob@partner.example")
    arrived(mailbox, report())
    read_arrivals_task()
    at = message.recipients.get().state_at
    Arrival.objects.update(is_read_for_reports=False)
    read_arrivals_task()
    assert message.recipients.get().state_at == at
    assert Notification.objects.count() == 1


@pytest.mark.proves("I7")
def test_a_soft_bounce_says_that_later_mail_may_arrive(sent, arrived, mailbox):
    message = sent("bob@partner.example")
    arrived(mailbox, report(status="5.2.2", diagnostic="552 5.2.2 Mailbox full"))
    read()
    bob = message.recipients.get()
    assert (bob.state, bob.bounce) == (State.BOUNCED, "soft")
    assert bob.note == "It came back. The recipient's mailbox is full."


@pytest.mark.proves("I7")
def test_a_delay_is_noted_and_is_no_failure(sent, arrived, mailbox):
    message = sent("bob@partner.example")
    arrived(mailbox, report(action="delayed", status="4.4.1", diagnostic="connection timed out"))
    assert read() == 1
    bob = message.recipients.get()
    assert (bob.state, bob.bounce) == (State.SENT, "")
    assert bob.note == "Delayed. The recipient's server could not be reached. The servers go on trying."
    assert not Notification.objects.exists()


@pytest.mark.proves("I3")
def test_a_bounce_settles_what_was_uncertain(sent, arrived, mailbox):
    message = sent("bob@partner.example", state=State.UNCERTAIN)
    arrived(mailbox, report())
    read()
    assert states(message) == {"bob@partner.example": State.BOUNCED}


@pytest.mark.parametrize("state", sorted(set(State) - {State.SENT, State.UNCERTAIN, State.SENDING}))
def test_what_has_not_left_does_not_come_back(sent, arrived, mailbox, state):
    message = sent("bob@partner.example", state=state)
    arrived(mailbox, report())
    assert read() == 0
    assert states(message) == {"bob@partner.example": state}
    assert not Arrival.objects.filter(is_read_for_reports=False).exists()


def test_a_report_that_is_faster_than_the_outcome_waits_for_it(sent, arrived, mailbox):
    message = sent("bob@partner.example", state=State.SENDING)
    arrived(mailbox, report())
    assert read() == 0
    put(message.recipients.all(), State.SENT)
    assert read() == 1
    assert states(message) == {"bob@partner.example": State.BOUNCED}


@pytest.mark.proves("I7")
def test_only_addresses_that_it_was_sent_to_are_believed(sent, arrived, mailbox):
    message = sent("list@partner.example")
    arrived(mailbox, report("member@elsewhere.example"))
    assert read() == 0
    assert states(message) == {"list@partner.example": State.SENT}


@pytest.mark.proves("I7", "T19")
def test_a_report_to_another_organization_changes_nothing(sent, arrived, make_mailbox, dana):
    message = sent("bob@partner.example")
    foreign = make_mailbox("dana@elsewhere.example", dana, organization=dana.organization)
    sent("x@partner.example", mailbox=foreign, message_id="other@example.org")
    arrived(foreign, report())
    assert read() == 0
    assert states(message) == {"bob@partner.example": State.SENT}


@pytest.mark.proves("I7")
def test_a_report_with_another_message_id_is_tied_by_subject_and_recipient(sent, arrived, mailbox):
    message = sent("bob@partner.example")
    other = sent("bob@partner.example", message_id="second@example.org", subject="Invoice")
    arrived(mailbox, report(returned="Message-ID: <rewritten@provider.example>\r\nSubject: Offer"))
    assert read() == 1
    assert states(message) == {"bob@partner.example": State.BOUNCED}
    assert states(other) == {"bob@partner.example": State.SENT}


@pytest.mark.parametrize("age", [timedelta(0), timedelta(days=8)])
def test_a_subject_that_fits_two_messages_or_an_old_one_ties_to_none(sent, arrived, mailbox, age):
    messages = [sent("bob@partner.example", message_id=f"{number}@example.org") for number in range(1 if age else 2)]
    OutboxRecipient.objects.update(state_at=timezone.now() - age)
    arrived(mailbox, report(returned="Subject: Offer"))
    assert read() == 0
    assert [states(message) for message in messages] == [{"bob@partner.example": State.SENT}] * len(messages)


def test_other_mail_changes_nothing_and_is_read_once(sent, arrived, mailbox):
    message = sent("bob@partner.example")
    for raw in (b"Subject: Hello\r\n\r\nHello", report(action="relayed", status="2.0.0")):
        arrived(mailbox, raw)
    assert read() == 0
    assert states(message) == {"bob@partner.example": State.SENT}
    assert not Arrival.objects.filter(is_read_for_reports=False).exists()


def test_an_arrival_whose_octets_are_gone_holds_back_nobody(sent, arrived, mailbox, caplog):
    message = sent("bob@partner.example")
    lost = arrived(mailbox, b"Subject: lost\r\n\r\n")
    Message.objects.filter(pk=lost.pk).update(pack="missing.pack")
    arrived(mailbox, report())
    with caplog.at_level(logging.WARNING):
        assert read() == 1
    assert f"Message {lost.pk} was not read for reports" in caplog.text
    assert states(message) == {"bob@partner.example": State.BOUNCED}


def test_of_hundreds_of_recipients_the_author_is_told_once(sent, arrived, mailbox):
    addresses = [f"b{number}@partner.example" for number in range(3)]
    sent(*addresses)
    for address in addresses:
        arrived(mailbox, report(address))
    read()
    assert Notification.objects.count() == 1


@pytest.mark.proves("I9")
def test_whoever_tries_again_reaches_those_it_came_back_from(make_message, sending_mailbox, alice, arrived, sink):
    message = make_message(sending_mailbox, alice, "bob@partner.example", message_id="offer@example.org")
    submit_message(message.pk)
    arrived(sending_mailbox, report())
    read()
    with pytest.raises(CannotBeQueued, match="Take the address off the list first"):
        deciding.try_again(message, alice, timezone.now())
    suppression.remove(Suppression.objects.get(), alice)
    assert deciding.try_again(message, alice, timezone.now()) == 1
    queued = message.recipients.get()
    assert (queued.bounce, queued.bounce_reason, queued.report, queued.note) == ("", "", None, "")
    submit_message(message.pk)
    assert states(message) == {"bob@partner.example": State.SENT}
    assert sink.taken[0].raw == sink.taken[1].raw


@pytest.mark.proves("I7", "I9")
def test_the_page_says_why_and_leads_whoever_may_read_it_to_the_report(
    sent, arrived, mailbox, alice, administrator, client_of
):
    message = sent("bob@partner.example")
    arrival = arrived(mailbox, report())
    read()
    url = reverse("delivery:message", args=[message.pk])
    page = client_of(alice).get(url).content.decode()
    assert "Came back" in page
    assert "The address does not exist." in page
    assert "User unknown" in page
    assert "bob@partner.example stands on the suppression list, so it does not go there again." in page
    link = f"{reverse('mailstore:conversation', args=[arrival.conversation_id])}?message={arrival.pk}"
    assert link in page
    OperationGrant.objects.get_or_create(user=administrator, operation=Operation.VIEW_EMAIL_LOGS)
    page = client_of(administrator).get(url).content.decode()
    assert "The address does not exist." in page
    assert link not in page


def test_the_log_finds_what_came_back(sent, arrived, mailbox, alice, client_of):
    sent("bob@partner.example")
    arrived(mailbox, report())
    read()
    client = client_of(alice)
    assert "Offer" in client.get("/logs/email", {"state": "bounced"}).content.decode()
    assert "1 came back" in client.get(reverse("email-settings")).content.decode()


def test_every_reason_of_a_failure_has_words():
    for reason in set(Reason) - {Reason.UNDEFINED, Reason.DELIVERED, Reason.FEEDBACK, Reason.VACATION}:
        told = RecipientReport("bob@partner.example", Action.FAILED, Kind.SOFT, reason)
        assert "did not say why" not in words_for(told)


def test_the_states_that_a_bounce_leads_to_are_the_table(sent):
    assert {origin for origin, to in MOVES.items() if State.BOUNCED in to} == {State.SENT, State.UNCERTAIN}
    assert MOVES[State.BOUNCED] == {State.QUEUED}


def test_folders_do_not_matter(sent, arrived, mailbox):
    """A report that a filter put into the spam folder counts as well."""
    message = sent("bob@partner.example")
    arrival = arrived(mailbox, report())
    junk = Folder.objects.create(mailbox=mailbox, raw_name=b"Junk", name="Junk")
    Message.objects.filter(pk=arrival.pk).update(folder=junk)
    assert read() == 1
    assert states(message) == {"bob@partner.example": State.BOUNCED}


def test_all_that_came_since_the_last_time_is_read_in_one_run(sent, arrived, mailbox, monkeypatch):
    monkeypatch.setattr(bounces, "AT_ONCE", 2)
    waiting = sent("dora@partner.example", state=State.SENDING, message_id="early@example.org")
    message = sent("bob@partner.example")
    arrived(mailbox, report("dora@partner.example", returned="Message-ID: <early@example.org>"))
    for number in range(5):
        arrived(mailbox, f"Subject: Letter {number}\r\n\r\nHello\r\n".encode())
    arrived(mailbox, report())
    assert read() == 1
    assert (states(message), states(waiting)) == (
        {"bob@partner.example": State.BOUNCED},
        {"dora@partner.example": State.SENDING},
    )
    assert Arrival.objects.filter(is_read_for_reports=False).count() == 1  # it waits for the outcome


def test_a_run_ends_after_its_time_and_the_next_one_goes_on(sent, arrived, mailbox, monkeypatch):
    message = sent("bob@partner.example")
    arrived(mailbox, b"Subject: Lunch\r\n\r\nAt noon?\r\n")
    arrived(mailbox, report())
    with monkeypatch.context() as patched:
        patched.setattr(bounces, "LONGEST_RUN", -1.0)
        assert read() == 0
    assert states(message) == {"bob@partner.example": State.SENT}
    assert read() == 1


def test_an_arrival_that_breaks_our_reader_is_logged_once_and_holds_back_nobody(
    sent, arrived, mailbox, monkeypatch, expected_errors
):
    expected_errors("was not read for reports")
    message = sent("bob@partner.example")
    arrived(mailbox, b"Subject: Odd\r\nFrom: MAILER-DAEMON@mail.example.org\r\n\r\nOdd\r\n")
    arrived(mailbox, report())
    real, broken = bounces.classify, []

    def classify(raw: Octets) -> Report:
        if b"Odd" in bytes(raw[:100]):
            broken.append(1)
            raise IndexError("odd")
        return real(raw)

    monkeypatch.setattr(bounces, "classify", classify)
    assert (read(), read()) == (1, 0)
    assert states(message) == {"bob@partner.example": State.BOUNCED}
    assert broken == [1]


def test_a_database_that_is_away_blames_no_arrival(sent, arrived, mailbox, monkeypatch):
    sent("bob@partner.example")
    arrived(mailbox, report())
    with monkeypatch.context() as patched:
        patched.setattr(bounces.Chronicle, "write", lambda *_: (_ for _ in ()).throw(OperationalError("gone")))
        with pytest.raises(OperationalError):
            read()
    assert read() == 1


# --- Many at once -------------------------------------------------------------------------------------------------

MOST_SECONDS = 0.06  # of a processor for one report, on a busy machine; it takes a fifth of that
MOST_MEGABYTES = 40


@pytest.mark.proves("I7")
@pytest.mark.parametrize("number", [100, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_wave_of_reports_takes_bounded_time_and_memory(sent, mailbox, number):
    come_back(sent("bob0@partner.example", message_id="offer-0@example.org"), mailbox, number)
    reverse("delivery:message", args=[1])  # what every process loads once
    Path("/proc/self/clear_refs").write_text("5")  # the kernel measures the peak anew
    memory, began = megabytes("VmRSS"), time.process_time()
    told = runs = 0
    while Arrival.objects.filter(is_read_for_reports=False).exists():
        told, runs = told + read(), runs + 1
    seconds, grown = time.process_time() - began, megabytes("VmHWM") - memory
    print(f"{number} reports: {runs} runs, {1000 * seconds / number:.1f} ms each, {grown:.1f} MB")
    assert told == Suppression.objects.count() == number
    assert not OutboxRecipient.objects.exclude(state=State.BOUNCED).exists()
    assert seconds / number < MOST_SECONDS
    assert grown < MOST_MEGABYTES


def come_back(pattern: OutboxMessage, mailbox: Mailbox, number: int) -> None:
    """Let so many mails like `pattern` have left, and a report arrive about each."""
    [recipient] = pattern.recipients.all()
    copies = [copied(pattern, submission_key=f"w{n}", message_id=f"offer-{n}@example.org") for n in range(1, number)]
    for one in copies:
        one.raw = pattern.raw
    messages = OutboxMessage.objects.bulk_create(copies)
    OutboxRecipient.objects.bulk_create(
        copied(recipient, message_id=message.pk, address=f"bob{n}@partner.example")
        for n, message in enumerate(messages, 1)
    )
    first = store(mailbox, report("bob0@partner.example", returned="Message-ID: <offer-0@example.org>"), uid=1)
    stored = []
    with PackWriter(mailbox.pk, 2) as writer:
        for n in range(1, number):
            raw = report(f"bob{n}@partner.example", returned=f"Message-ID: <offer-{n}@example.org>")
            place = writer.append(raw)
            where = {"pack": place.pack, "offset": place.offset, "stored_size": place.size, "size": len(raw)}
            stored.append(copied(first, uid=n + 1, **where))
        writer.settle()
    Arrival.objects.bulk_create(Arrival(message=one) for one in [first, *Message.objects.bulk_create(stored)])


def copied(row: Row, **changes: object) -> Row:
    """A new row with the same values but for `changes`."""
    fields = {
        field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields if not field.primary_key
    }
    return type(row)(**fields | changes)


def megabytes(what: str) -> float:
    """Of this process."""
    [kilobytes] = re.findall(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kilobytes) / 1024
