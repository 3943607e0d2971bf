"""The suppression list: what enters it, what it holds back, and what no forger can put there."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from delivery import deciding, suppression
from delivery.bounces import read_arrivals
from delivery.models import OutboxRecipient, Suppression
from delivery.outbox import CannotBeQueued, queue_message
from delivery.states import Cause, State
from delivery.tasks import submit_message
from delivery.tracing import envelope_id, enveloped_identifier, wanted_reports
from delivery.wanted import Wanted
from mailstore.models import Arrival, Message
from protocols.message.addresses import Address
from tests.delivery.conftest import states
from tests.delivery.moving import put
from tests.delivery.reporting import complaint, enveloped, marked, report

pytestmark = pytest.mark.django_db
BOB = "bob@partner.example"
CAROL = "carol@partner.example"


def read() -> int:
    return read_arrivals(timezone.now())


def listed() -> dict[str, str]:
    return dict(Suppression.objects.values_list("address", "cause"))


@pytest.fixture
def suppressed(organization):
    """`suppressed("bob@partner.example")`: on the list of the organization, by hand."""

    def put(*addresses: str) -> None:
        for address in addresses:
            Suppression.objects.create(
                organization=organization, address=address, cause=Cause.BY_HAND, since=timezone.now()
            )

    return put


# --- What enters it ---------------------------------------------------------------------------------------------


@pytest.mark.proves("I7")
def test_a_hard_bounce_enters_the_list_with_its_mail_and_its_report(sent, arrived, mailbox, organization):
    message = sent(BOB)
    arrival = arrived(mailbox, report("BOB@partner.example", returned=marked(message)))
    assert read() == 1
    row = Suppression.objects.get()
    assert (row.organization, row.address, row.cause, row.reason) == (organization, BOB, "bounce", "userunknown")
    assert (row.message, row.report) == (message, arrival)
    assert suppression.why(row) == "Mail to it came back. The address does not exist."


@pytest.mark.proves("I7")
def test_a_soft_bounce_never_enters_it(sent, arrived, mailbox):
    message = sent(BOB)
    arrived(mailbox, report(status="5.2.2", diagnostic="552 5.2.2 Mailbox full", returned=marked(message)))
    assert read() == 1
    assert states(message) == {BOB: State.BOUNCED}
    assert listed() == {}


@pytest.mark.proves("I7")
def test_a_complaint_enters_it_and_the_mail_stays_sent(sent, arrived, mailbox):
    message = sent(BOB)
    arrived(mailbox, complaint(message))
    assert read() == 1
    assert states(message) == {BOB: State.SENT}
    assert listed() == {BOB: "complaint"}


@pytest.mark.proves("I7")
def test_a_report_that_is_read_again_puts_nobody_back_whom_somebody_took_off(sent, arrived, mailbox, alice):
    message = sent(BOB)
    arrived(mailbox, report(returned=marked(message)))
    read()
    suppression.remove(Suppression.objects.get(), alice)
    assert deciding.try_again(message, alice, timezone.now()) == 1
    put(message.recipients.all(), State.SENT)
    Arrival.objects.update(is_read_for_reports=False)
    arrived(mailbox, report(returned=marked(message)))  # the same octets in another folder
    assert read() == 0
    assert states(message) == {BOB: State.SENT}
    assert listed() == {}


# --- What a forger cannot do ------------------------------------------------------------------------------------


@pytest.mark.proves("I7")
def test_a_recipient_cannot_silence_another_one_of_the_same_mail(sent, arrived, mailbox):
    """Carol got the mail, so she knows its mark; what she writes about Bob is shown and believed no further."""
    message = sent(BOB, CAROL)
    arrived(mailbox, report(BOB, returned=marked(message)))
    arrived(mailbox, complaint(message))
    read()
    assert listed() == {}


@pytest.mark.proves("I7")
def test_a_server_on_the_way_is_believed_about_each_of_many(sent, arrived, mailbox):
    """Only such a server knows the envelope id, which stands in no header."""
    message = sent(BOB, CAROL)
    arrived(mailbox, report(BOB, head=enveloped(message), returned="Subject: whatever"))
    assert read() == 1
    assert states(message) == {BOB: State.BOUNCED, CAROL: State.SENT}
    assert listed() == {BOB: "bounce"}


@pytest.mark.proves("I7")
def test_what_anybody_can_guess_suppresses_nobody(sent, arrived, mailbox):
    message = sent(BOB)
    arrived(mailbox, report(returned="Subject: Offer"))
    read()
    assert states(message) == {BOB: State.BOUNCED}
    assert listed() == {}


@pytest.mark.proves("I7")
def test_marks_and_envelope_ids_of_others_are_worth_nothing(sent, arrived, mailbox, settings):
    message = sent(BOB)
    with_their_key = settings.SECRET_KEY
    settings.SECRET_KEY = "another installation"
    forged = [report(returned=marked(message)), report(head=enveloped(message), returned="Subject: x")]
    settings.SECRET_KEY = with_their_key
    for raw in forged:
        arrived(mailbox, raw.replace(b"Subject: Offer", b"Subject: whatever"))
    assert read() == 0
    assert (states(message), listed()) == ({BOB: State.SENT}, {})


def test_a_submission_names_its_envelope_unless_nothing_is_to_come_back(sent):
    message = sent(BOB)
    wanted_of_servers = wanted_reports(message)
    assert wanted_of_servers is not None
    assert enveloped_identifier(wanted_of_servers.envelope_id) == "offer@example.org"
    assert wanted_of_servers.envelope_id not in bytes(message.raw).decode()
    assert wanted_reports(sent(BOB, has_null_sender=True)) is None
    assert envelope_id(f"{'x' * 90}@example.org") == ""


def test_a_key_from_before_is_still_known(sent, arrived, mailbox, settings):
    message = sent(BOB)
    raw = report(returned=marked(message))
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the next one"
    arrived(mailbox, raw)
    assert read() == 1
    assert listed() == {BOB: "bounce"}


@pytest.mark.proves("I7")
def test_a_report_that_comes_after_servers_have_given_up_suppresses_nobody(sent, arrived, mailbox):
    message = sent(BOB)
    OutboxRecipient.objects.update(state_at=timezone.now() - timedelta(days=7))
    arrived(mailbox, report(returned=marked(message)))
    read()
    assert states(message) == {BOB: State.BOUNCED}
    assert listed() == {}


@pytest.mark.proves("I7")
def test_an_address_that_has_answered_since_is_alive(sent, arrived, stored, mailbox):
    message = sent(BOB)
    OutboxRecipient.objects.update(state_at=timezone.now() - timedelta(hours=1))
    copy = stored(mailbox, b"Message-ID: <offer@example.org>\r\n\r\nOffer")
    Message.objects.filter(pk=copy.pk).update(message_id="offer@example.org", from_address="alice@example.org")
    answer = stored(mailbox, b"From: bob@partner.example\r\n\r\nThanks")
    Message.objects.filter(pk=answer.pk).update(conversation=copy.conversation, from_address="Bob@partner.example")
    arrived(mailbox, report(returned=marked(message)))
    read()
    assert listed() == {}


@pytest.mark.proves("I7", "T19")
def test_another_organization_is_not_concerned(sent, arrived, make_mailbox, dana, suppressed, make_message):
    foreign = make_mailbox("dana@elsewhere.example", dana, organization=dana.organization)
    message = sent(BOB)
    make_message(foreign, dana, "x@partner.example")
    arrived(foreign, report(returned=marked(message)))
    assert read() == 0
    assert listed() == {}
    suppressed(BOB)
    assert suppression.among(dana.organization_id, [BOB]) == {}


# --- What it holds back -----------------------------------------------------------------------------------------


def wanted(author, mailbox, *addresses: str, key: str = "key") -> Wanted:
    return Wanted(
        author=author,
        mailbox=mailbox,
        to=[Address("", address) for address in addresses],
        subject="Offer",
        text="Please.",
        submission_key=key,
    )


@pytest.mark.proves("I7")
def test_who_is_on_the_list_gets_a_row_that_says_so_and_the_others_their_mail(sending_mailbox, alice, sink, suppressed):
    suppressed(BOB)
    message = queue_message(wanted(alice, sending_mailbox, "Bob@partner.example", CAROL))
    assert states(message) == {"Bob@partner.example": State.FAILED, CAROL: State.QUEUED}
    bob = message.recipients.get(address="Bob@partner.example")
    assert bob.bounce_reason == "suppressed"
    assert bob.note == "Not sent: the address is on the suppression list. Put there by hand."
    submit_message(message.pk)
    assert [taken.recipients for taken in sink.taken] == [[CAROL]]
    assert states(message) == {"Bob@partner.example": State.FAILED, CAROL: State.SENT}


@pytest.mark.proves("I7")
def test_who_comes_onto_the_list_while_queued_gets_nothing(sending_mailbox, alice, sink, suppressed):
    message = queue_message(wanted(alice, sending_mailbox, BOB, CAROL))
    suppressed(BOB)
    submit_message(message.pk)
    assert [taken.recipients for taken in sink.taken] == [[CAROL]]
    assert states(message) == {BOB: State.FAILED, CAROL: State.SENT}
    assert message.recipients.get(address=BOB).bounce_reason == "suppressed"


def test_where_all_are_on_the_list_no_server_is_asked(sending_mailbox, alice, sink, suppressed):
    message = queue_message(wanted(alice, sending_mailbox, BOB))
    suppressed(BOB)
    submit_message(message.pk)
    assert sink.taken == []
    assert states(message) == {BOB: State.FAILED}
    assert message.attempts.get().ended_at is not None


@pytest.mark.proves("I7")
def test_a_resend_and_a_second_try_leave_them_out_too(make_message, sending_mailbox, alice, sink, suppressed):
    message = make_message(sending_mailbox, alice, BOB, CAROL, recipient={"state": State.SENT})
    suppressed(BOB)
    copy = deciding.resend(message, alice, timezone.now())
    assert states(copy) == {BOB: State.FAILED, CAROL: State.QUEUED}
    with pytest.raises(CannotBeQueued, match="suppression list"):
        deciding.try_again(copy, alice, timezone.now())
    Suppression.objects.all().delete()
    assert deciding.try_again(copy, alice, timezone.now()) == 1
    assert states(copy) == {BOB: State.QUEUED, CAROL: State.QUEUED}


def test_the_list_is_asked_once_for_any_number_of_recipients(sending_mailbox, alice):
    with CaptureQueriesContext(connection) as captured:
        queue_message(wanted(alice, sending_mailbox, *(f"b{number}@partner.example" for number in range(200))))
    assert sum("delivery_suppression" in query["sql"] for query in captured.captured_queries) == 1


# --- By hand ----------------------------------------------------------------------------------------------------


def test_pasted_text_is_read_however_it_comes():
    pasted = suppression.read_pasted(
        'email,reason\n"Bob Brown" <Bob@Partner.Example>, carol@partner.example;dora@xn--mller-kva.example\n'
        "mailto:ed@partner.example\nbob@partner.example\tagain\n@nobody bob@@partner.example\n"
    )
    assert pasted.addresses == [BOB, CAROL, "dora@xn--mller-kva.example", "ed@partner.example"]
    assert pasted.wrong == ["@nobody", "bob@@partner.example"]


def test_an_address_that_stands_there_keeps_why_and_since_when(alice, suppressed):
    suppressed(BOB)
    before = Suppression.objects.get()
    assert (
        suppression.add([BOB, *(f"b{number}@partner.example" for number in range(2000))], "", alice, timezone.now())
        == 2000
    )
    assert Suppression.objects.get(address=BOB).since == before.since
