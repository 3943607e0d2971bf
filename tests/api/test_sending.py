"""Sending by programs: keys that answer the same again, priorities, other times, many at once (I4, I5, R20)."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Mailbox, MailboxGrant
from delivery import cancelling
from delivery.models import OutboxMessage, OutboxRecipient
from delivery.receipts import MAX_BATCH, BatchAnswer, OutboxReceipt
from delivery.states import Origin, Priority, State
from delivery.tasks import submit_message
from tests.api.conftest import Api, assert_problem, fields
from tests.delivery.moving import put
from tests.simultaneously import simultaneously

pytestmark = pytest.mark.django_db

BOB = {"address": "bob@example.org"}
KEY = {"Idempotency_Key": "order-1"}


@pytest.fixture
def api(api_of, alice) -> Api:
    return api_of(alice)


@pytest.fixture
def send(api, mailbox):
    """`send(key="order-1", **changes)`: Alice's program asks for a mail to Bob."""

    def call(key: str = "order-1", **changes: object):
        body = {"mailbox": mailbox.pk, "to": [BOB], "subject": "Order", "text": "On its way.", **changes}
        return api.post("/outbox", body, Idempotency_Key=key)

    return call


def in_days(days: float) -> str:
    return (timezone.now() + timedelta(days=days)).isoformat(timespec="seconds")


# --- The same key ------------------------------------------------------------------------------------------------


@pytest.mark.proves("I4", "R20")
def test_the_same_key_gives_the_same_octets_whatever_became_of_the_mail(api, alice, sending_mailbox, sink):
    body = {"mailbox": sending_mailbox.pk, "to": [BOB], "cc": [{"address": "carol@example.org"}], "text": "Hello"}
    first = api.post("/outbox", body, **KEY)
    submit_message(first.data["id"])
    assert OutboxRecipient.objects.filter(state=State.SENT).count() == 2
    second = api.post("/outbox", body, **KEY)
    assert (second.status_code, second.content) == (201, first.content)
    assert (first.headers.get("Idempotent-Replayed"), second["Idempotent-Replayed"]) == (None, "true")
    OutboxReceipt.model_validate(second.data)


@pytest.mark.proves("I4")
def test_the_answer_stays_the_same_after_the_right_to_send_ended(api_of, bob, shared_mailbox):
    grants = MailboxGrant.objects.filter(user=bob)
    grants.update(may_send=True)
    api, body = api_of(bob), {"mailbox": shared_mailbox.pk, "to": [BOB]}
    first = api.post("/outbox", body, **KEY)
    grants.update(may_send=False)
    assert api.post("/outbox", body, **KEY).content == first.content
    assert_problem(api.post("/outbox", body, Idempotency_Key="order-2"), 403, "may-not-send")


@pytest.mark.proves("I4")
def test_the_same_mail_written_differently_is_the_same_mail(api, mailbox):
    plain = {"mailbox": mailbox.pk, "to": [BOB], "text": "Hello"}
    spelled = {"text": "Hello", "cc": [], "priority": "normal", "to": [{"address": "bob@example.org", "name": ""}]}
    first = api.post("/outbox", plain, **KEY)
    raw = json.dumps({**spelled, "mailbox": mailbox.pk}, indent=2).encode()
    assert api.call("POST", "/outbox", raw=raw, **KEY).content == first.content


@pytest.mark.proves("I4", "R20")
@pytest.mark.parametrize(
    "change", [{"text": "Other"}, {"to": [{"address": "eve@example.org"}]}, {"priority": "bulk"}, {"html": "<p>x</p>"}]
)
def test_any_other_mail_under_the_key_is_refused_and_the_first_is_named(send, change):
    first = send()
    answer = send(**change)
    assert_problem(answer, 409, "key-reused")
    assert answer.data["earlier"] == first.data["id"]
    assert OutboxMessage.objects.count() == 1


@pytest.mark.proves("I4")
def test_a_refused_request_leaves_its_key_free_for_the_corrected_one(send):
    assert fields(send(to=[])) == ["to"]
    assert send().status_code == 201


@pytest.mark.proves("I4", "R20")
@pytest.mark.django_db(transaction=True)
def test_parallel_duplicates_make_one_row_and_one_answer(send, monkeypatch):
    monkeypatch.setattr("delivery.outbox.wake_for", lambda mailbox: None)
    answers = simultaneously(*[send] * 6)
    assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
    assert OutboxMessage.objects.count() == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 5


@pytest.mark.proves("I4")
@pytest.mark.django_db(transaction=True)
def test_of_parallel_requests_for_different_mail_under_one_key_one_wins(api, mailbox, monkeypatch):
    monkeypatch.setattr("delivery.outbox.wake_for", lambda mailbox: None)
    bodies = [{"mailbox": mailbox.pk, "to": [BOB], "text": text} for text in ("one", "two", "three")]
    answers = simultaneously(*[lambda body=body: api.post("/outbox", body, **KEY) for body in bodies])
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert OutboxMessage.objects.count() == 1


@pytest.mark.proves("I4")
def test_a_key_of_a_resend_stands_for_that_resend_alone(api, make_message, mailbox, alice):
    one, other = make_message(mailbox, alice), make_message(mailbox, alice)
    first = api.post(f"/outbox/{one.pk}/resend", **KEY)
    again = api.post(f"/outbox/{one.pk}/resend", **KEY)
    assert (again.content, again["Idempotent-Replayed"]) == (first.content, "true")
    assert_problem(api.post(f"/outbox/{other.pk}/resend", **KEY), 409, "key-reused")


# --- Priority and time -------------------------------------------------------------------------------------------


@pytest.mark.proves("I5")
def test_a_programs_mail_says_so_and_goes_behind_a_persons(send):
    first, bulk = send(), send("order-2", priority="bulk")
    assert (first.data["priority"], bulk.data["priority"]) == ("normal", "bulk")
    rows = list(OutboxMessage.objects.order_by("pk").values_list("origin", "priority"))
    assert rows == [(Origin.API, Priority.PROGRAM), (Origin.API, Priority.BULK)]
    assert Priority.PERSON < Priority.PROGRAM < Priority.BULK


@pytest.mark.proves("I5")
def test_a_mail_is_scheduled_listed_moved_and_hurried(api, send):
    moment = in_days(2)
    queued = send(scheduled_for=moment)
    pk = queued.data["id"]
    send("order-2")
    assert [row["id"] for row in api.get("/outbox?scheduled=true").data["items"]] == [pk]
    later = in_days(3)
    moved = api.patch(f"/outbox/{pk}", {"scheduled_for": later})
    assert moved.data["scheduled_for"] != queued.data["scheduled_for"]
    assert moved.data["recipient_list"][0]["not_before"] == moved.data["scheduled_for"]
    assert send(scheduled_for=moment).content == queued.content
    assert api.post(f"/outbox/{pk}/decide", {"decision": "send-now"}).data["scheduled_for"] is None
    assert api.get("/outbox?scheduled=true").data["items"] == []


@pytest.mark.parametrize("moment", ["2026-11-23T08:00:00", "2026-11-23", "tomorrow", 1795e6, "2026-13-01T00:00:00Z"])
def test_a_moment_needs_its_offset(send, moment):
    assert fields(send(scheduled_for=moment)) == ["scheduled_for"]


@pytest.mark.parametrize("days", [-1, 400])
def test_a_moment_that_cannot_be_is_refused_at_its_field(send, days):
    assert fields(send(scheduled_for=in_days(days))) == ["scheduled_for"]
    assert not OutboxMessage.objects.exists()


def test_what_has_left_cannot_be_put_to_another_time(api, send):
    pk = send(scheduled_for=in_days(1)).data["id"]
    put(OutboxRecipient.objects.all(), State.SENT, claim=1)
    answer = api.patch(f"/outbox/{pk}", {"scheduled_for": in_days(2)})
    assert_problem(answer, 409, "too-late")
    assert "already been handed over" in answer.data["detail"]


# --- Taking back -------------------------------------------------------------------------------------------------


@pytest.mark.proves("I5")
def test_certain_recipients_are_taken_back(api, send):
    pk = send(cc=[{"address": "carol@example.org"}]).data["id"]
    answer = api.post(f"/outbox/{pk}/cancel", {"addresses": ["carol@example.org"]})
    assert answer.data["recipients"] == {"queued": 1, "cancelled": 1}
    too_late = api.post(f"/outbox/{pk}/cancel", {"addresses": ["carol@example.org"]})
    assert_problem(too_late, 409, "too-late")
    assert too_late.data["detail"] == cancelling.TOO_LATE[State.CANCELLED]
    assert api.post(f"/outbox/{pk}/cancel").data["recipients"] == {"cancelled": 2}


# --- Many at once ------------------------------------------------------------------------------------------------


def item(number: int, **changes: object) -> dict[str, object]:
    return {"key": f"news-{number}", "to": [{"address": f"reader{number}@example.org"}], "subject": "News", **changes}


@pytest.fixture
def batch(api, mailbox):
    Mailbox.objects.filter(pk=mailbox.pk).update(is_default=True)
    return lambda *items: api.post("/outbox/batch", {"messages": list(items)})


@pytest.mark.proves("I5")
def test_each_of_many_has_its_own_outcome_in_the_order_of_the_request(batch, mailbox):
    answer = batch(
        item(1),
        item(2, to=[{"address": "nobody"}]),
        item(3, mailbox=mailbox.pk, priority="normal"),
        item(4, subject=7),
        item(5, mailbox=999),
        {"to": []},
        item(6, scheduled_for=in_days(1)),
    )
    assert answer.status_code == 200
    BatchAnswer.model_validate(answer.data)
    items = answer.data["items"]
    assert [one["status"] for one in items] == [201, 422, 201, 422, 422, 422, 201]
    assert [one["key"] for one in items] == ["news-1", "news-2", "news-3", "news-4", "news-5", "", "news-6"]
    assert [one["problem"]["errors"][0]["field"] for one in items if one["problem"]] == [
        "to",
        "subject",
        "mailbox",
        "key",
    ]
    assert [one["message"]["priority"] for one in items if one["message"]] == ["bulk", "normal", "bulk"]
    assert OutboxMessage.objects.count() == 3


@pytest.mark.proves("I4", "R20")
def test_a_repeated_batch_queues_nothing_twice_and_takes_what_is_new(batch):
    first = batch(item(1), item(2)).data["items"]
    second = batch(item(1), item(2, subject="Other"), item(3)).data["items"]
    assert second[0] == {**first[0], "replayed": True}
    assert second[1]["status"] == 409
    assert second[1]["problem"]["earlier"] == first[1]["message"]["id"]
    assert (second[2]["status"], second[2]["replayed"]) == (201, False)
    assert OutboxMessage.objects.count() == 3


@pytest.mark.proves("I4")
def test_one_key_twice_in_a_batch_is_one_mail(batch):
    same = batch(item(1), item(1)).data["items"]
    assert same[0]["message"] == same[1]["message"]
    assert [one["replayed"] for one in same] == [False, True]
    other = batch(item(2), item(2, subject="Other"), item(3)).data["items"]
    assert [one["status"] for one in other] == [201, 409, 201]
    assert OutboxMessage.objects.count() == 3


@pytest.mark.proves("I4")
@pytest.mark.django_db(transaction=True)
def test_parallel_batches_with_the_same_keys_queue_each_once(batch, monkeypatch):
    monkeypatch.setattr("delivery.outbox.wake_for", lambda mailbox: None)
    items = [item(number) for number in range(5)]
    answers = simultaneously(*[lambda: batch(*items)] * 3)
    assert {answer.status_code for answer in answers} == {200}
    told = [[one["message"] for one in answer.data["items"]] for answer in answers]
    assert told[0] == told[1] == told[2]
    assert OutboxMessage.objects.count() == 5


@pytest.mark.parametrize("number", [0, MAX_BATCH + 1])
def test_a_batch_holds_one_to_a_hundred(batch, number):
    assert fields(batch(*[item(one) for one in range(number)])) == ["messages"]


@pytest.mark.django_db(transaction=True)
def test_a_batch_asks_the_database_as_often_for_many_as_for_few(batch, assert_queries, monkeypatch):
    monkeypatch.setattr("delivery.outbox.wake_for", lambda mailbox: None)
    numbers = iter(range(10_000))
    sizes = iter([12, 12, 20])
    assert_queries.constant(lambda: batch(*[item(next(numbers)) for _ in range(next(sizes))]), lambda: None)


def test_who_may_not_send_from_one_is_told_for_that_one(api_of, bob, shared_mailbox, make_mailbox):
    own = make_mailbox("bob@example.org", bob)
    answer = api_of(bob).post(
        "/outbox/batch", {"messages": [item(1, mailbox=shared_mailbox.pk), item(2, mailbox=own.pk)]}
    )
    assert [one["status"] for one in answer.data["items"]] == [403, 201]
