"""From, Reply-To and envelope sender: who decides, what the log says, and who may not write under which address."""

from __future__ import annotations

from email import message_from_bytes

import pytest
from django.utils import timezone

from delivery.explaining import story_of
from delivery.models import OutboxMessage
from delivery.outbox import CannotBeQueued, queue_message
from delivery.senders import NotAnIdentity, ReplyPolicy, SenderChoice, SenderStep, decide, is_still_allowed
from delivery.states import Origin, State
from delivery.tasks import submit_message
from delivery.wanted import Wanted
from mailservers.models import MailServer
from organizations.models import OperationGrant
from organizations.operations import Operation
from protocols.message.addresses import Address

ON = ReplyPolicy(is_on=True, default_reply_address="help@example.org", login="login@example.org")
GIVEN = Address("Orders", "orders@example.org")
BOX = ("alias@example.org", "box@example.org")


def by(choice: SenderChoice, policy: ReplyPolicy = ON, *, program: bool = True):
    return decide(choice, by_policy=program, name="Box", identities=BOX, policy=policy)


# --- The chain --------------------------------------------------------------------------------------------------


@pytest.mark.proves("B7")
@pytest.mark.parametrize(
    ("reply_to", "default", "login", "expected", "step"),
    [
        (GIVEN, "help@example.org", "login@example.org", "orders@example.org", SenderStep.REPLY_TO),
        (None, "help@example.org", "login@example.org", "help@example.org", SenderStep.DEFAULT_REPLY),
        (None, "", "login@example.org", "login@example.org", SenderStep.LOGIN),
        (None, "", "", "alias@example.org", SenderStep.MAILBOX),
    ],
)
def test_a_server_that_sends_from_the_reply_address_asks_one_after_the_other(reply_to, default, login, expected, step):
    sender = by(SenderChoice(reply_to=reply_to), ReplyPolicy(True, default, login))
    assert (sender.from_.address, sender.step) == (expected, step)
    assert sender.reply_to == ()
    assert sender.envelope == "alias@example.org"  # reports come back to where they are read


@pytest.mark.proves("B7")
def test_a_server_that_does_not_sends_from_the_mailbox_and_answers_go_to_the_reply_address():
    sender = by(SenderChoice(reply_to=GIVEN), ReplyPolicy(False, "help@example.org", "l@example.org"))
    assert (sender.from_, sender.step) == (Address("Box", "alias@example.org"), SenderStep.MAILBOX)
    assert sender.reply_to == (GIVEN,)


@pytest.mark.proves("B7")
def test_the_policy_has_no_say_where_a_person_chose_from():
    sender = by(SenderChoice(address="BOX@example.org", reply_to=GIVEN), program=False)
    assert (sender.from_.address, sender.step, sender.reply_to) == ("box@example.org", SenderStep.CHOSEN, (GIVEN,))


def test_answers_that_go_to_from_anyway_need_no_reply_to():
    assert by(SenderChoice(reply_to=Address("", "Alias@example.org"))).reply_to == ()


@pytest.mark.proves("T19")
@pytest.mark.parametrize("program", [True, False])
def test_an_address_that_is_none_of_the_mailbox_is_refused(program):
    with pytest.raises(NotAnIdentity, match=r"boss@example\.org.* is not an address of this email account"):
        by(SenderChoice(address="boss@example.org"), program=program)


@pytest.mark.proves("T19")
@pytest.mark.parametrize(
    ("address", "step", "policy", "expected"),
    [
        ("BOX@example.org", SenderStep.CHOSEN, ReplyPolicy(), True),
        ("gone@example.org", SenderStep.CHOSEN, ON, False),
        ("gone@example.org", SenderStep.MAILBOX, ON, False),
        ("any@example.org", SenderStep.REPLY_TO, ON, True),
        ("any@example.org", SenderStep.REPLY_TO, ReplyPolicy(), False),
        ("help@example.org", SenderStep.DEFAULT_REPLY, ON, True),
        ("old@example.org", SenderStep.DEFAULT_REPLY, ON, False),
        ("login@example.org", SenderStep.LOGIN, ON, True),
        ("old@example.org", SenderStep.LOGIN, ON, False),
        ("", SenderStep.LOGIN, ReplyPolicy(is_on=True), False),
    ],
)
def test_what_is_queued_goes_out_only_under_a_from_that_is_still_allowed(address, step, policy, expected):
    assert is_still_allowed(address, step, identities=BOX, policy=policy) is expected


# --- Through the outbox -----------------------------------------------------------------------------------------


@pytest.fixture
def server(sending_mailbox, sink) -> MailServer:
    """The organization's server, through which Alice's mailbox sends; it sends from the reply address."""
    server = MailServer.objects.create(
        organization=sending_mailbox.organization,
        name="Office",
        host="127.0.0.1",
        port=sink.port,
        security="none",
        sends_from_reply_to=True,
        default_reply_address="help@example.org",
    )
    sending_mailbox.mail_server = server
    sending_mailbox.save()
    return server


@pytest.fixture
def queue(sending_mailbox, alice):
    """`queue(choice, **changes)`: queue a plain mail to Bob."""

    def call(choice: SenderChoice = SenderChoice(), **changes: object) -> OutboxMessage:  # noqa: B008
        wanted = {
            "subject": "Offer",
            "text": "Hello\n",
            "submission_key": "key-1",
            "to": [Address("", "bob@example.org")],
        }
        return queue_message(Wanted(author=alice, mailbox=sending_mailbox, sender=choice, **{**wanted, **changes}))

    return call


@pytest.mark.proves("B7")
def test_the_reply_address_of_a_program_stands_in_from_and_the_log_says_why(queue, server, sink, alice):
    message = queue(SenderChoice(reply_to=GIVEN), origin=Origin.API)
    submit_message(message.pk)
    [received] = sink.taken
    parsed = message_from_bytes(received.raw)
    assert parsed["From"] == "Orders <orders@example.org>"
    assert parsed["Reply-To"] is None
    assert received.sender == "alice@example.org"
    message.refresh_from_db()
    assert message.sender_step == SenderStep.REPLY_TO
    assert "Its mail server sends from the reply address" in " ".join(story_of(message, alice, timezone.now()).reasons)


@pytest.mark.proves("B7", "T19")
def test_switching_the_policy_off_between_queueing_and_sending_fails_what_it_allowed(queue, server, sink):
    message = queue(SenderChoice(reply_to=GIVEN), origin=Origin.API)
    server.sends_from_reply_to = False
    server.save()
    submit_message(message.pk)
    recipient = message.recipients.get()
    assert recipient.state == State.FAILED
    assert "not permitted to send as Orders <orders@example.org>" in recipient.note
    assert sink.taken == []


@pytest.mark.proves("E8", "T19")
def test_the_default_sender_address_stands_in_from_until_it_is_taken_away(queue, sending_mailbox, sink):
    sending_mailbox.sender_address = "alias@example.org"
    sending_mailbox.save()
    first = queue()
    submit_message(first.pk)
    [received] = sink.taken
    assert message_from_bytes(received.raw)["From"] == "Alice <alias@example.org>"
    assert received.sender == "alias@example.org"
    second = queue(submission_key="key-2")
    sending_mailbox.sender_address = ""
    sending_mailbox.save()
    submit_message(second.pk)
    assert "not permitted to send as" in second.recipients.get().note
    assert len(sink.taken) == 1


@pytest.mark.proves("T19")
def test_a_strange_from_is_refused_before_anything_is_queued(queue):
    with pytest.raises(CannotBeQueued, match="is not an address of this email account"):
        queue(SenderChoice(address="boss@example.org"))
    assert not OutboxMessage.objects.exists()


@pytest.mark.proves("I8")
def test_automatic_mail_says_so_and_tells_how_to_leave_the_list(queue):
    message = queue(
        automatic=True,
        unsubscribe=["https://example.org/leave?who=" + "x" * 300, "mailto:leave@example.org"],
    )
    raw = bytes(message.raw)
    parsed = message_from_bytes(raw)
    assert parsed["Auto-Submitted"] == "auto-generated"
    assert parsed["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    addresses = " ".join(parsed["List-Unsubscribe"].split())
    assert addresses == f"<https://example.org/leave?who={'x' * 300}>, <mailto:leave@example.org>"


@pytest.mark.proves("T4")
@pytest.mark.parametrize(
    "address", ["https://example.org/\r\nBcc: eve@example.org", "https://a.example/> <x", "http://example.org", "x"]
)
def test_an_address_for_leaving_the_list_begins_no_header(queue, address):
    with pytest.raises(CannotBeQueued) as refused:
        queue(unsubscribe=[address])
    assert refused.value.field == "list_unsubscribe"


# --- Setting it -------------------------------------------------------------------------------------------------


@pytest.mark.proves("E8")
def test_the_sender_address_is_chosen_on_the_send_tab(client_of, mailbox, alice):
    page = f"/mailboxes/{mailbox.pk}/settings/send"
    typed = {"sends": "on", "display_name": "Alice", "appends_sent": "on"}
    client = client_of(alice)
    assert client.post(page, typed | {"sender_address": "nobody"}).status_code == 422
    assert client.post(page, typed | {"sender_address": "sales@example.org"}).status_code == 302
    mailbox.refresh_from_db()
    assert mailbox.identities == ("sales@example.org", "alice@example.org")
    client.post(page, typed | {"sender_address": "ALICE@example.org"})
    mailbox.refresh_from_db()
    assert mailbox.identities == ("alice@example.org",)


@pytest.mark.proves("T19", "E8")
def test_only_who_manages_accounts_names_an_address_for_a_shared_server(client_of, server, sending_mailbox, alice):
    page = f"/mailboxes/{sending_mailbox.pk}/settings/send"
    typed = {"sends": "on", "display_name": "Alice", "sender_address": "boss@example.org"}
    client_of(alice).post(page, typed)
    sending_mailbox.refresh_from_db()
    assert sending_mailbox.sender_address == ""
    OperationGrant.objects.create(user=alice, operation=Operation.MANAGE_EMAIL_ACCOUNTS)
    client_of(alice).post(page, typed | {"mail_server": server.pk})
    sending_mailbox.refresh_from_db()
    assert sending_mailbox.sender_address == "boss@example.org"
