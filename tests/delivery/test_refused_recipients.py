"""Recipients whom our own mail server refuses for good enter the suppression list like those of a hard bounce (I7)."""

from __future__ import annotations

import pytest
from django.urls import reverse

from delivery import suppression
from delivery.models import Suppression
from delivery.states import Cause, State
from delivery.tasks import submit_message
from mailservers.rulebook import load_rules
from organizations.models import OperationGrant
from organizations.operations import Operation
from tests.delivery.conftest import states

pytestmark = [pytest.mark.django_db, pytest.mark.proves("I7")]

GONE = "550 5.1.1 <Gone@example.org>: No such user here"


@pytest.mark.parametrize("loaded", [True, False])
@pytest.mark.parametrize("others", [(), ("bob@example.org",)])
def test_an_address_that_does_not_exist_enters_the_list_with_the_words_of_the_server(
    make_message, sending_mailbox, alice, sink, others, loaded
):
    if loaded:
        load_rules()
    sink.recipients = {"Gone@example.org": GONE}
    message = make_message(sending_mailbox, alice, "Gone@example.org", *others)
    submit_message(message.pk)
    assert states(message)["Gone@example.org"] == State.FAILED
    row = Suppression.objects.get()
    assert (row.address, row.cause, row.reason) == ("gone@example.org", Cause.BOUNCE, "userunknown")
    assert (row.message, row.note) == (message, GONE)
    assert suppression.why(row) == f"The mail server refused it. The address does not exist. Its words: {GONE}"


def test_the_next_mail_to_it_is_not_even_tried(make_message, sending_mailbox, alice, sink):
    sink.recipients = {"gone@example.org": GONE}
    submit_message(make_message(sending_mailbox, alice, "gone@example.org").pk)
    connections = sink.connections
    second = make_message(sending_mailbox, alice, "gone@example.org")
    submit_message(second.pk)
    assert second.recipients.get().note.startswith("Not sent: the address is on the suppression list.")
    assert sink.connections == connections


@pytest.mark.proves("I9")
def test_it_is_sent_again_only_to_those_who_are_not_on_the_list(make_message, sending_mailbox, alice, client_of, sink):
    sink.recipients = {"gone@example.org": GONE, "full@example.org": "550 5.7.1 Refused as spam"}
    message = make_message(sending_mailbox, alice, "gone@example.org", "full@example.org")
    submit_message(message.pk)
    url = reverse("delivery:message", args=[message.pk])
    page = client_of(alice).get(url).content.decode()
    assert "It goes once more to full@example.org, who did not get it." in page
    assert "Whoever manages the email accounts can take the address off the list first." in page
    Suppression.objects.create(
        organization=message.organization, address="full@example.org", cause=Cause.BY_HAND, since=message.created_at
    )
    page = client_of(alice).get(url).content.decode()
    assert "Send again to those who failed" not in page
    assert "gone@example.org and full@example.org stand on the suppression list" in page


@pytest.mark.proves("I9")
def test_whoever_manages_the_accounts_is_led_to_the_list_and_the_mail_can_then_go_again(
    make_message, sending_mailbox, alice, client_of, sink
):
    OperationGrant.objects.get_or_create(user=alice, operation=Operation.MANAGE_EMAIL_ACCOUNTS)
    sink.recipients = {"gone@example.org": GONE}
    message = make_message(sending_mailbox, alice, "gone@example.org")
    submit_message(message.pk)
    url = reverse("delivery:message", args=[message.pk])
    page = client_of(alice).get(url).content.decode()
    assert f'href="{reverse("delivery:suppressions")}?q=gone%40example.org">Take the address off' in page
    assert "Send again to those who failed" not in page
    Suppression.objects.all().delete()
    assert "Send again to those who failed" in client_of(alice).get(url).content.decode()


@pytest.mark.parametrize(
    "words",
    [
        "450 4.1.1 User unknown just now",
        "450 5.1.1 User unknown",
        "552 5.2.2 Mailbox full",
        "550 5.7.1 Relay access denied",
        "554 5.7.1 Client host blocked using zen.spamhaus.org",
        "550 5.4.5 Daily user sending limit exceeded",
        "554 5.0.0 No",
    ],
)
def test_what_says_nothing_about_later_mail_enters_nobody(make_message, sending_mailbox, alice, sink, words):
    load_rules()
    sink.recipients = {"bob@example.org": words}
    submit_message(make_message(sending_mailbox, alice).pk)
    assert not Suppression.objects.exists()


@pytest.mark.parametrize("phase", ["mail", "end"])
def test_what_was_said_of_the_message_or_its_sender_enters_nobody(make_message, sending_mailbox, alice, sink, phase):
    load_rules()
    setattr(sink, phase, GONE)
    submit_message(make_message(sending_mailbox, alice).pk)
    assert not Suppression.objects.exists()
