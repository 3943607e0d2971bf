"""`/outbox`: a mail is queued once, however often it is asked for (spec I1, I4, E5, L1)."""

from __future__ import annotations

import base64
from email import message_from_bytes

import pytest
from django.utils import timezone

from accounts.models import Mailbox
from delivery.forms import MAX_ATTACHMENTS_SIZE
from delivery.models import OutboxMessage, OutboxRecipient
from delivery.states import State
from emailsettings.api.gate import LARGER_BODIES, LARGEST_BODY
from emailsettings.body_limits import limit_at
from mailservers.models import MailServer
from organizations.scopes import Scope
from protocols.message.content import open_message
from tests.api.conftest import Api, assert_problem, fields
from tests.delivery.moving import put
from tests.simultaneously import simultaneously

pytestmark = pytest.mark.proves("L1")

MAIL = {"to": [{"name": "Bob", "address": "bob@example.org"}], "subject": "Order", "text": "On its way."}
KEY = {"Idempotency_Key": "order-1"}


@pytest.fixture
def api(api_of, alice, mailbox) -> Api:
    return api_of(alice)


def mail(sender: Mailbox, **changes: object) -> dict[str, object]:
    return {**MAIL, "mailbox": sender.pk, **changes}


def test_a_mail_is_queued_and_told_about(api, mailbox):
    html, file = "<p>On its way.</p>", {"filename": "a.txt", "content": base64.b64encode(b"octets").decode()}
    answer = api.post("/outbox", mail(mailbox, html=html, attachments=[file]), **KEY)
    assert answer.status_code == 201
    assert answer.data["recipients"] == {"queued": 1}
    assert answer.data["recipient_list"][0]["address"] == "bob@example.org"
    content = open_message(bytes(OutboxMessage.objects.get().raw))
    assert (content.text.strip(), content.html.strip(), content.attachments[0].filename) == (
        "On its way.",
        html,
        "a.txt",
    )
    told = api.get(f"/outbox/{answer.data['id']}").data
    assert {name: told[name] for name in answer.data if name != "recipient_list"} == {
        name: value for name, value in answer.data.items() if name != "recipient_list"
    }


@pytest.mark.proves("B7", "E8")
def test_a_program_names_where_answers_go_and_the_server_of_the_mailbox_decides_about_from(api, mailbox, organization):
    reply_to = {"name": "Orders", "address": "orders@example.org"}
    unsubscribe = ["https://example.org/leave", "mailto:leave@example.org"]
    body = mail(mailbox, reply_to=reply_to, automatic=True, unsubscribe=unsubscribe)
    queued = api.post("/outbox", body, Idempotency_Key="off")
    assert queued.data["sender_step"] == "mailbox"
    server = MailServer.objects.create(
        organization=organization, name="Office", host="a.example", sends_from_reply_to=1
    )
    Mailbox.objects.filter(pk=mailbox.pk).update(mail_server=server)
    decided = api.post("/outbox", body, Idempotency_Key="on")
    assert decided.data["sender_step"] == "reply_to"
    assert "gave this one" in " ".join(api.get(f"/outbox/{decided.data['id']}").data["reasons"])
    off, on = (message_from_bytes(bytes(message.raw)) for message in OutboxMessage.objects.order_by("pk"))
    assert (off["From"], off["Reply-To"]) == ("Alice <alice@example.org>", "Orders <orders@example.org>")
    assert (on["From"], on["Reply-To"]) == ("Orders <orders@example.org>", None)
    assert (on["Auto-Submitted"], on["List-Unsubscribe-Post"]) == ("auto-generated", "List-Unsubscribe=One-Click")


@pytest.mark.proves("T19")
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"from_address": "boss@example.org"}, "mailbox"),
        ({"reply_to": {"address": "nobody@"}}, "reply_to"),
        ({"unsubscribe": ["http://example.org/leave"]}, "unsubscribe"),
    ],
)
def test_a_strange_sender_is_refused_with_its_field(api, mailbox, change, field):
    answer = api.post("/outbox", mail(mailbox, **change), **KEY)
    assert answer.status_code == 422
    assert any(name.startswith(field) for name in fields(answer))
    assert not OutboxMessage.objects.exists()


@pytest.mark.proves("E8")
def test_a_mailbox_that_is_switched_off_sends_nothing_and_is_nobodys_default(api, mailbox):
    Mailbox.objects.filter(pk=mailbox.pk).update(sends=False)
    assert "switched off" in api.post("/outbox", mail(mailbox), **KEY).content.decode()
    assert fields(api.call("PUT", "/default-sender", {"mailbox": mailbox.pk})) == ["mailbox"]


@pytest.mark.proves("I4")
def test_the_same_key_and_mail_is_one_mail(api, mailbox):
    first, second = (api.post("/outbox", mail(mailbox), **KEY) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.data["id"] == first.data["id"]
    assert second["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert OutboxMessage.objects.count() == 1


@pytest.mark.proves("I4")
def test_the_same_key_for_another_mail_is_refused(api, mailbox):
    first = api.post("/outbox", mail(mailbox), **KEY)
    answer = api.post("/outbox", mail(mailbox, text="Something else"), **KEY)
    assert_problem(answer, 409, "key-reused")
    assert answer.data["earlier"] == first.data["id"]
    assert OutboxMessage.objects.count() == 1


def test_keys_of_different_people_have_nothing_to_do_with_each_other(api, api_of, administrator, make_mailbox, mailbox):
    other = make_mailbox("ada@example.org", administrator)
    assert api.post("/outbox", mail(mailbox), **KEY).status_code == 201
    assert api_of(administrator).post("/outbox", mail(other), **KEY).status_code == 201
    assert OutboxMessage.objects.count() == 2


@pytest.mark.parametrize("key", [None, "", "a b", "é", "x" * 256])
def test_a_key_is_needed(api, mailbox, key):
    answer = api.post("/outbox", mail(mailbox), **({"Idempotency_Key": key} if key is not None else {}))
    assert fields(answer) == ["Idempotency-Key"]
    assert not OutboxMessage.objects.exists()


@pytest.mark.proves("I4")
@pytest.mark.django_db(transaction=True)
def test_two_requests_at_the_same_moment_queue_once(api, mailbox, monkeypatch):
    monkeypatch.setattr("delivery.outbox.wake_for", lambda mailbox: None)
    answers = simultaneously(*[lambda: api.post("/outbox", mail(mailbox), **KEY)] * 2)
    assert [answer.status_code for answer in answers] == [201, 201]
    assert len({answer.data["id"] for answer in answers}) == 1
    assert OutboxMessage.objects.count() == 1


@pytest.mark.proves("E5")
def test_without_a_mailbox_it_leaves_from_the_default_account(api, mailbox):
    answer = api.post("/outbox", MAIL, **KEY)
    assert fields(answer) == ["mailbox"]
    assert "default account" in answer.data["errors"][0]["message"]
    Mailbox.objects.filter(pk=mailbox.pk).update(is_default=True)
    assert api.post("/outbox", MAIL, **KEY).data["mailbox"] == mailbox.pk


def test_who_may_not_send_is_told_so(api_of, bob, shared_mailbox, mailbox):
    api = api_of(bob)
    assert_problem(api.post("/outbox", mail(shared_mailbox), **KEY), 403, "may-not-send")
    assert fields(api.post("/outbox", mail(mailbox), **KEY)) == ["mailbox"]
    assert not OutboxMessage.objects.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"to": []}, "to"),
        ({"to": [{"address": "nobody"}]}, "to"),
        ({"to": "bob@example.org"}, "to"),
        ({"to": [{"address": "bob@example.org"}] * 501}, "to"),
        ({"subject": "a\r\nBcc: x@example.org"}, "subject"),
        ({"attachments": [{"filename": "a", "content": "%%%"}]}, "attachments.0.content"),
        ({"answers": 999}, "answers"),
        ({"mailbox": 999}, "mailbox"),
        ({"mailbox": -1}, "mailbox"),
        ({"bccc": []}, "bccc"),
    ],
)
def test_what_is_wrong_is_named_with_its_field(api, mailbox, change, field):
    assert field in fields(api.post("/outbox", mail(mailbox, **change), **KEY))
    assert not OutboxMessage.objects.exists()


def test_files_that_are_too_large_together_are_refused(api, mailbox):
    content = base64.b64encode(b"x" * (MAX_ATTACHMENTS_SIZE // 2 + 1)).decode()
    answer = api.post("/outbox", mail(mailbox, attachments=[{"filename": "a", "content": content}] * 2), **KEY)
    assert fields(answer) == ["attachments"]


def test_requests_over_the_limit_are_refused_unread(api, mailbox):
    assert_problem(api.call("POST", "/outbox", raw=b" " * (LARGER_BODIES["outbox_send"] + 1), **KEY), 413, "too-large")
    assert_problem(api.call("PATCH", f"/mailboxes/{mailbox.pk}", raw=b" " * (LARGEST_BODY + 1)), 413, "too-large")


def test_a_refusal_for_size_names_the_limit_of_the_address(api, mailbox):
    answer = api.call("PATCH", f"/mailboxes/{mailbox.pk}", raw=b" " * (LARGEST_BODY + 1))
    assert answer.data["detail"] == "This address takes at most 262,144 octets."
    answer = api.call("POST", "/outbox", raw=b" " * (LARGER_BODIES["outbox_send"] + 1), **KEY)
    assert "31,457,280 octets" in answer.data["detail"]
    assert limit_at(f"/api/v1/mailboxes/{mailbox.pk}") == LARGEST_BODY
    assert limit_at("/api/v1/outbox") == LARGER_BODIES["outbox_send"]


def test_a_body_of_another_type_is_refused(api):
    answer = api.call("POST", "/outbox", raw=b"to=bob", Content_Type="application/x-www-form-urlencoded", **KEY)
    assert_problem(answer, 415, "media-type")


def test_an_unknown_address_and_method_are_problems_too(api):
    assert_problem(api.get("/nothing"), 404, "not-found")
    answer = api.call("PUT", "/outbox")
    assert_problem(answer, 405, "method-not-allowed")
    assert set(answer["Allow"].split(", ")) == {"GET", "POST"}


def test_what_waits_is_cancelled_once(api, make_message, mailbox, alice):
    message = make_message(mailbox, alice)
    assert api.post(f"/outbox/{message.pk}/cancel").data["state"] == "cancelled"
    assert_problem(api.post(f"/outbox/{message.pk}/cancel"), 409, "too-late")


def test_the_uncertain_is_settled_by_a_person(api, make_message, mailbox, alice):
    message = make_message(mailbox, alice)
    put(OutboxRecipient.objects.all(), State.UNCERTAIN)
    assert api.post(f"/outbox/{message.pk}/decide", {"decision": "mark-sent"}).data["state"] == "sent"


def test_a_mail_is_sent_once_more_as_a_new_one(api, make_message, mailbox, alice):
    message = make_message(mailbox, alice)
    first, second = (api.post(f"/outbox/{message.pk}/resend", **KEY) for _ in range(2))
    assert (first.status_code, first.data["resend_of"]) == (201, message.pk)
    assert second.data["id"] == first.data["id"]


def test_reading_the_outbox_does_not_open_sending(api_of, alice, mailbox):
    answer = api_of(alice, Scope.OUTBOX_READ).post("/outbox", mail(mailbox), **KEY)
    assert_problem(answer, 403, "scope-missing")


@pytest.mark.proves("I7")
def test_what_came_back_is_told_with_its_reason(api, mailbox):
    queued = api.post("/outbox", mail(mailbox), **KEY).data["id"]
    put(OutboxRecipient.objects.all(), State.BOUNCED, bounce="hard", bounce_reason="userunknown")
    told = api.get(f"/outbox/{queued}").data
    assert told["state"] == "bounced"
    [recipient] = told["recipient_list"]
    assert (recipient["bounce"], recipient["bounce_reason"]) == ("hard", "userunknown")
    assert [row["id"] for row in api.get("/email-log?state=bounced").data["items"]] == [queued]


@pytest.mark.proves("I3", "R19")
def test_what_is_known_of_the_uncertain_is_told_and_some_of_it_settled(api, make_message, mailbox, alice):
    message = make_message(mailbox, alice, "bob@example.org", "carol@example.org")
    message.recipients.all().move(State.QUEUED, State.UNCERTAIN, timezone.now(), claim=5, note="The answer was lost.")
    message.looks.create(
        at=timezone.now(), result="nothing", findings=["Stored mail: no copy of it."], verdict="That says little."
    )
    told = api.get(f"/outbox/{message.pk}").data["uncertain"]
    assert (told["recipients"], told["version"]) == (["bob@example.org", "carol@example.org"], 5)
    assert told["cause"] == "The answer was lost."
    assert told["looks"][0]["findings"] == ["Stored mail: no copy of it."]
    decide = f"/outbox/{message.pk}/decide"
    assert api.post(decide, {"decision": "check-again"}).data["uncertain"]["next_look"]
    assert_problem(api.post(decide, {"decision": "mark-sent", "version": 4}), 409, "nothing-changed")
    answer = api.post(decide, {"decision": "mark-sent", "version": 5, "recipients": ["bob@example.org"]})
    assert answer.data["uncertain"]["recipients"] == ["carol@example.org"]
    assert api.post(decide, {"decision": "send-again", "version": 5}).data["uncertain"] is None
    assert_problem(api.post(decide, {"decision": "save-copy", "version": 5}), 422, "invalid")
