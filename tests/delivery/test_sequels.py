"""Complaints and automatic replies: tied to the mail and the recipient, shown in the log, and no change of state."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from delivery.bounces import read_arrivals
from delivery.models import DeliveryEvent, Suppression
from delivery.states import State
from mailstore.models import Arrival
from notifications.models import Notification
from organizations.models import OperationGrant
from organizations.operations import Operation
from tests.delivery.conftest import states
from tests.delivery.reporting import automatic_reply, complaint, marked, report

pytestmark = pytest.mark.django_db
BOB = "bob@partner.example"
CAROL = "carol@elsewhere.example"


def read() -> int:
    return read_arrivals(timezone.now())


def told() -> list[tuple[str, str]]:
    return list(DeliveryEvent.objects.values_list("address", "kind"))


@pytest.mark.proves("I7")
def test_a_complaint_is_noted_at_the_recipient_and_its_author_is_told(sent, arrived, mailbox, alice):
    message = sent(BOB, CAROL)
    arrived(mailbox, complaint(message))
    assert read() == 1
    assert told() == [(BOB, "complaint")]
    assert states(message) == {BOB: State.SENT, CAROL: State.SENT}
    note = Notification.objects.get()
    assert (note.user, note.title) == (alice, "A message of yours was marked as spam")
    assert BOB in note.text


@pytest.mark.proves("I7")
@pytest.mark.parametrize(
    ("original_recipient", "to"),
    [
        ("", ""),  # most providers say nothing at all
        ("Original-Rcpt-To: <redacted@provider.example>", "To: undisclosed-recipients:;"),
        ("Original-Rcpt-To: <a7f3b2=redacted@partner.example>", "To: <a7f3b2=redacted@partner.example>"),  # RFC 6590
    ],
)
def test_a_concealed_complaint_is_tied_by_our_mark(sent, arrived, mailbox, original_recipient, to):
    message = sent(BOB)
    arrived(mailbox, complaint(message, original_recipient=original_recipient, to=to))
    assert read() == 1
    assert told() == [(BOB, "complaint")]


@pytest.mark.proves("I7")
def test_of_several_recipients_the_one_in_the_readable_domain_complained(sent, arrived, mailbox):
    message = sent(BOB, CAROL)
    concealed = "a7f3b2@elsewhere.example"
    arrived(mailbox, complaint(message, original_recipient=f"Original-Rcpt-To: <{concealed}>", to=f"To: {concealed}"))
    read()
    assert told() == [(CAROL, "complaint")]


@pytest.mark.proves("I7")
def test_a_complaint_that_conceals_one_of_several_is_noted_at_the_mail(sent, arrived, mailbox, alice, client_of):
    message = sent(BOB, CAROL)
    arrived(mailbox, complaint(message, original_recipient="", to=""))
    assert read() == 1
    assert told() == [("", "complaint")]
    assert not Suppression.objects.exists()
    page = client_of(alice).get(reverse("delivery:message", args=[message.pk])).content.decode()
    assert "One of the recipients marked it as spam" in page


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure"])
def test_what_is_no_complaint_is_not_taken_for_one(sent, arrived, mailbox, kind):
    message = sent(BOB)
    arrived(mailbox, complaint(message, kind=kind))
    assert read() == 0
    assert told() == []


@pytest.mark.proves("I7")
@pytest.mark.parametrize(
    ("fields", "text", "words"),
    [
        (
            "Auto-Submitted: auto-replied",
            "Hello,\r\n\r\nthank you for your mail.\r\nI am away until 3 December.\r\n",
            "I am away until 3 December.",
        ),
        ("X-Autoreply: yes", "Ich bin bis 3. Dezember nicht im Büro.\r\n", "Ich bin bis 3. Dezember nicht im Büro."),
        ("X-Auto-Response-Suppress: All", "Thank you for your message to us.\r\n", "Thank you for your message to us."),
        ("Precedence: auto_reply", "Gone.\r\n", "Gone."),
    ],
)
def test_an_automatic_reply_is_shown_at_the_recipient_and_changes_no_state(
    sent, arrived, mailbox, alice, client_of, fields, text, words
):
    message = sent(BOB, CAROL)
    arrived(mailbox, automatic_reply(message, fields=f"{fields}\r\nContent-Type: text/plain; charset=utf-8", text=text))
    assert read() == 1
    assert states(message) == {BOB: State.SENT, CAROL: State.SENT}
    event = DeliveryEvent.objects.get()
    assert (event.address, event.kind, event.words) == (BOB, "auto_reply", words)
    page = client_of(alice).get(reverse("delivery:message", args=[message.pk])).content.decode()
    assert "Answered automatically" in page
    assert words in page
    assert not Notification.objects.exists()


@pytest.mark.proves("F3")
def test_what_an_automatic_reply_says_is_for_readers_of_the_mailbox(sent, arrived, mailbox, administrator, client_of):
    message = sent(BOB)
    arrived(mailbox, automatic_reply(message))
    read()
    OperationGrant.objects.get_or_create(user=administrator, operation=Operation.VIEW_EMAIL_LOGS)
    page = client_of(administrator).get(reverse("delivery:message", args=[message.pk])).content.decode()
    assert "Answered automatically" in page
    assert "until 3 December" not in page


def test_an_answer_from_another_address_is_that_of_the_only_recipient(sent, arrived, mailbox):
    message = sent(BOB)
    arrived(mailbox, automatic_reply(message, "robert.brown@mail.partner.example"))
    read()
    assert told() == [(BOB, "auto_reply")]


@pytest.mark.proves("I7")
def test_everything_is_told_once_however_often_it_is_read(sent, arrived, mailbox):
    message = sent(BOB, CAROL)
    for raw in (
        complaint(message),
        automatic_reply(message),
        report(CAROL, action="delayed", status="4.4.1", diagnostic="timed out", returned=marked(message)),
    ):
        arrived(mailbox, raw)
        arrived(mailbox, raw)  # in the folder for spam, too
    assert read() == 3
    before = told()
    assert sorted(kind for _, kind in before) == ["auto_reply", "complaint", "delayed"]
    Arrival.objects.update(is_read_for_reports=False)
    assert read() == 0
    assert told() == before
    assert Notification.objects.count() == 1


@pytest.mark.proves("I9", "I7")
def test_whoever_decides_is_offered_the_list_for_a_bounce_that_could_be_forged(
    sent, arrived, mailbox, administrator, client_of
):
    message = sent(BOB, CAROL)
    arrived(mailbox, report(BOB, returned=marked(message)))
    read()
    url = reverse("delivery:message", args=[message.pk])
    offer = f"{reverse('delivery:suppression-add')}?address=bob%40partner.example"
    assert offer in client_of(administrator).get(url).content.decode()
    client_of(administrator).post(reverse("delivery:suppression-add"), {"addresses": BOB})
    page = client_of(administrator).get(url).content.decode()
    assert offer not in page
    assert "On the suppression list" in page


def test_a_page_asks_as_much_for_one_recipient_as_for_many(sent, arrived, mailbox, alice, client_of, assert_queries):
    message = sent(*(f"b{number}@partner.example" for number in range(30)))
    arrived(mailbox, complaint(message, original_recipient="Original-Rcpt-To: <b0@partner.example>", to=""))
    read()
    client, url = client_of(alice), reverse("delivery:message", args=[message.pk])

    def grow() -> None:
        for number in range(1, 30):
            address = f"b{number}@partner.example"
            arrived(mailbox, automatic_reply(message, address))
            arrived(mailbox, report(address, returned=marked(message)))
        assert read() == 58

    assert_queries.constant(lambda: client.get(url), grow)
