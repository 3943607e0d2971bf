"""Automatic mail never begins a loop, and never feeds one (RFC 3834, threat T24)."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from django.utils import timezone

from delivery import loops
from delivery.models import AutomaticMail, OutboxMessage, Suppression
from delivery.notices import mail
from delivery.outbox import queue_message
from delivery.states import Automatic, Cause, Origin, State
from delivery.tasks import submit_message
from delivery.wanted import Wanted
from mailstore.models import Message
from notifications.kinds import Kind
from notifications.models import Notification
from notifications.telling import tell
from organizations.models import Organization
from protocols.message.addresses import Address
from tests.api.conftest import api_of, assert_problem
from tests.delivery.conftest import states
from tests.delivery.reporting import marked
from tests.protocols.message.test_loops import FIXTURES
from tests.simultaneously import simultaneously

__all__ = ["api_of"]

pytestmark = pytest.mark.django_db
BOB = "bob@partner.example"
QUESTION = b"Return-Path: <bob@partner.example>\r\nFrom: Bob <bob@partner.example>\r\nTo: alice@example.org\r\n"
QUESTION += b"Subject: When?\r\nMessage-ID: <when@partner.example>\r\n\r\nWhen do you open?\r\n"
keys = itertools.count()


def answer(api, mailbox, message: Message, to: str = BOB):
    body = {
        "mailbox": mailbox.pk,
        "to": [{"address": to}],
        "subject": "Re: When?",
        "text": "At nine.",
        "answers": message.pk,
        "automatic": True,
    }
    return api.post("/outbox", body, Idempotency_Key=f"answer-{next(keys)}")


def told(api, mailbox, to: str = BOB):
    """A mail that a program sends by itself, and that answers nothing."""
    body = {
        "mailbox": mailbox.pk,
        "to": [{"address": to}],
        "subject": "Report",
        "text": "All is well.",
        "automatic": True,
    }
    return api.post("/outbox", body, Idempotency_Key=f"report-{next(keys)}")


@pytest.mark.proves("T24", "I8")
def test_an_automatic_answer_says_what_it_is_and_wants_nothing_back(api_of, alice, sending_mailbox, stored, sink):
    queued = answer(api_of(alice), sending_mailbox, stored(sending_mailbox, QUESTION))
    assert queued.status_code == 201
    message = OutboxMessage.objects.get()
    assert message.automatic == Automatic.REPLIED
    submit_message(message.pk)
    [taken] = sink.taken
    assert taken.sender == "<>"  # the null reverse-path
    assert b"\r\nAuto-Submitted: auto-replied\r\n" in taken.raw
    assert b"\r\nIn-Reply-To: <when@partner.example>\r\n" in taken.raw


@pytest.mark.proves("T24")
def test_none_of_the_24_kinds_of_programs_gets_an_answer(api_of, alice, sending_mailbox, stored):
    api = api_of(alice)
    own = marked(stored_mark(alice, sending_mailbox))
    for head, _ in FIXTURES.values():
        raw = head.replace("desk@example.org", "alice@example.org").replace("Desk@Example.org", "Alice@example.org")
        raw = raw.replace("X-Emailsettings-Id: ours@example.org signature", own.partition("\r\n")[2])
        message = stored(
            sending_mailbox, raw.replace("\r\n", "\n").replace("\n", "\r\n").encode() + b"\r\n\r\nHello\r\n"
        )
        refused = answer(api, sending_mailbox, message, to="bob@x.example")
        assert_problem(refused, 409, "automatic-mail-refused")
        assert refused.data["detail"].startswith("No program answers this message: ")
    assert not OutboxMessage.objects.filter(automatic=Automatic.REPLIED).exists()
    assert not AutomaticMail.objects.exists()


def stored_mark(alice, mailbox) -> OutboxMessage:
    """A mail that has left, whose mark may come back."""
    return queue_message(Wanted(author=alice, mailbox=mailbox, to=[Address("", BOB)], submission_key="a"))


@pytest.mark.proves("T24")
def test_each_sender_gets_one_automatic_answer_a_day(api_of, alice, sending_mailbox, stored):
    api = api_of(alice)
    assert answer(api, sending_mailbox, stored(sending_mailbox, QUESTION)).status_code == 201
    again = answer(api, sending_mailbox, stored(sending_mailbox, QUESTION.replace(b"<when@", b"<and@")))
    assert_problem(again, 409, "automatic-mail-refused")
    assert again.data["reason"] == "once-a-day"
    AutomaticMail.objects.update(at=timezone.now() - timedelta(hours=25))
    assert answer(api, sending_mailbox, stored(sending_mailbox, QUESTION)).status_code == 201


@pytest.mark.proves("T24")
def test_an_automatic_answer_goes_to_nobody_else(api_of, alice, sending_mailbox, stored):
    refused = answer(api_of(alice), sending_mailbox, stored(sending_mailbox, QUESTION), to="carol@partner.example")
    assert_problem(refused, 409, "automatic-mail-refused")
    assert refused.data["reason"] == "others"


def test_what_cannot_be_read_is_not_answered_by_a_program(api_of, alice, sending_mailbox, stored):
    message = stored(sending_mailbox, QUESTION)
    Message.objects.filter(pk=message.pk).update(pack="9-9.pack")
    assert answer(api_of(alice), sending_mailbox, message).data["reason"] == "unreadable"


def test_a_person_answers_whom_she_likes(api_of, alice, sending_mailbox, stored):
    message = stored(sending_mailbox, b"From: bob@partner.example\r\nAuto-Submitted: auto-replied\r\n\r\nAway\r\n")
    body = {
        "mailbox": sending_mailbox.pk,
        "to": [{"address": BOB}],
        "subject": "Re",
        "text": "x",
        "answers": message.pk,
    }
    assert api_of(alice).post("/outbox", body, Idempotency_Key="p").status_code == 201
    assert OutboxMessage.objects.get().automatic == ""


@pytest.mark.proves("T24")
def test_two_programs_that_answer_everything_exchange_one_mail(
    api_of, alice, dana, make_mailbox, sending_mailbox, stored, sink, settings
):
    """A person writes to one of them; each answers by itself whatever arrives, through an installation of its own."""
    other = make_mailbox(
        "shop@partner.example",
        dana,
        organization=dana.organization,
        smtp_host="127.0.0.1",
        smtp_port=sink.port,
        smtp_security="none",
    )
    robots = {
        "alice@example.org": (api_of(alice), sending_mailbox, "one secret"),
        "shop@partner.example": (api_of(dana), other, "another secret"),
    }
    opening = b"Return-Path: <alice@example.org>\r\nFrom: alice@example.org\r\nTo: shop@partner.example\r\n"
    opening += b"Message-ID: <1@mail.example>\r\nSubject: Hello\r\n\r\nHello\r\n"
    waiting = [("shop@partner.example", "alice@example.org", opening)]
    exchanged = 0
    while waiting and exchanged < 10:
        at, sender, raw = waiting.pop()
        api, mailbox, secret = robots[at]
        settings.SECRET_KEY = secret
        queued = answer(api, mailbox, stored(mailbox, raw), to=sender)
        if queued.status_code != 201:
            continue
        submit_message(queued.data["id"])
        exchanged += 1
        taken = sink.taken[-1]
        delivered = b"Return-Path: <%s>\r\n" % taken.sender.strip("<>").encode() + taken.raw
        waiting += [(address, at, delivered) for address in taken.recipients]
    assert exchanged == 1


@pytest.mark.proves("T24", "I8")
def test_a_program_may_write_so_often_to_one_address_a_day(api_of, alice, mailbox, organization):
    Organization.objects.filter(pk=organization.pk).update(automatic_per_recipient=2)
    api = api_of(alice)
    assert [told(api, mailbox).status_code for _ in range(2)] == [201, 201]
    assert OutboxMessage.objects.first().automatic == Automatic.GENERATED
    assert b"Auto-Submitted: auto-generated" in bytes(OutboxMessage.objects.first().raw)
    refused = told(api, mailbox, to="BOB@partner.example")
    assert_problem(refused, 409, "automatic-mail-refused")
    assert refused.data["reason"] == "recipient-limit"
    assert OutboxMessage.objects.count() == 2
    assert told(api, mailbox, to="carol@partner.example").status_code == 201


@pytest.mark.proves("T24")
def test_a_conversation_holds_so_many_automatic_mails_a_day(api_of, alice, sending_mailbox, stored, organization):
    Organization.objects.filter(pk=organization.pk).update(automatic_per_thread=2)
    first = stored(sending_mailbox, QUESTION)
    reasons = []
    for number in range(3):
        raw = QUESTION.replace(b"bob@", b"bob%d@" % number)
        message = stored(sending_mailbox, raw)
        Message.objects.filter(pk=message.pk).update(conversation=first.conversation)
        message.refresh_from_db()
        answered = answer(api_of(alice), sending_mailbox, message, to=f"bob{number}@partner.example")
        reasons.append(answered.data.get("reason"))
    assert reasons == [None, None, "thread-limit"]


@pytest.mark.proves("T24")
@pytest.mark.django_db(transaction=True)
def test_two_workers_never_both_take_the_last_place(alice, mailbox, organization):
    Organization.objects.filter(pk=organization.pk).update(automatic_per_recipient=1)

    def send(key: str) -> OutboxMessage:
        wanted = Wanted(
            author=alice, mailbox=mailbox, to=[Address("", BOB)], submission_key=key, automatic=True, origin=Origin.API
        )
        return queue_message(wanted)

    outcomes = simultaneously(lambda: send("a"), lambda: send("b"), lambda: send("c"))
    assert sorted(type(one).__name__ for one in outcomes) == ["MustNotGo", "MustNotGo", "OutboxMessage"]
    assert OutboxMessage.objects.count() == 1


def test_the_same_key_gives_the_same_answer_and_is_counted_once(api_of, alice, sending_mailbox, stored):
    message = stored(sending_mailbox, QUESTION)
    body = {
        "mailbox": sending_mailbox.pk,
        "to": [{"address": BOB}],
        "text": "At nine.",
        "answers": message.pk,
        "automatic": True,
    }
    api = api_of(alice)
    first, second = (api.post("/outbox", body, Idempotency_Key="once") for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.data["id"] == second.data["id"]
    assert AutomaticMail.objects.count() == 1


# --- Notices of the product -------------------------------------------------------------------------------------


@pytest.fixture
def default_account(make_mailbox, organization):
    return make_mailbox("office@example.org", is_default=True)


def notify(person, key: str) -> None:
    tell([person], Kind.MESSAGE_FAILED, title="It was not sent", text="", url="/", key=key, now=timezone.now())
    Notification.objects.filter(mailed_at=None).update(mail_due_at=timezone.now())


@pytest.mark.proves("T24")
def test_notices_are_counted_and_wait_where_there_were_too_many(alice, default_account, organization):
    Organization.objects.filter(pk=organization.pk).update(automatic_per_recipient=1)
    now = timezone.now()
    notify(alice, "one")
    assert mail(alice.pk, now)
    assert OutboxMessage.objects.get().automatic == Automatic.GENERATED
    notify(alice, "two")
    assert mail(alice.pk, now)
    assert OutboxMessage.objects.count() == 1
    waiting = Notification.objects.get(key="two")
    assert waiting.mailed_at is None
    assert waiting.mail_due_at > now
    assert mail(alice.pk, now + timedelta(hours=25))
    assert OutboxMessage.objects.count() == 2


def test_no_notice_is_mailed_to_an_address_on_the_list(alice, default_account, organization):
    Suppression.objects.create(organization=organization, address=alice.email, cause=Cause.BOUNCE, since=timezone.now())
    notify(alice, "one")
    assert mail(alice.pk, timezone.now())
    assert not OutboxMessage.objects.exists()
    assert Notification.objects.get().mail_due_at is None


def test_what_is_counted_no_more_is_removed(api_of, alice, mailbox):
    told(api_of(alice), mailbox)
    loops.forget(timezone.now() + timedelta(days=2))
    assert AutomaticMail.objects.count() == 1
    loops.forget(timezone.now() + timedelta(days=4))
    assert not AutomaticMail.objects.exists()


def test_who_is_left_out_is_not_counted(api_of, alice, mailbox, organization):
    Suppression.objects.create(organization=organization, address=BOB, cause=Cause.BOUNCE, since=timezone.now())
    queued = told(api_of(alice), mailbox)
    assert states(OutboxMessage.objects.get(pk=queued.data["id"])) == {BOB: State.FAILED}
    assert not AutomaticMail.objects.exists()
