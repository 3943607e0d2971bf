"""What programs ask for, and to whom nothing goes: the API and the suppression list."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from delivery import bounces, suppression
from delivery.models import DeliveryEvent, OutboxMessage, Suppression
from delivery.states import Sequel, State
from mailstore.models import Arrival
from notifications.models import Notification
from tests.delivery.kill_points.scenarios.world import World, all_sent, beat_in, scenario
from tests.delivery.reporting import enveloped, report
from tests.delivery.storing import store


def call(world: World, path: str, body: dict[str, object], key: str = "") -> Any:
    """POST to the API as a program does; return the answer."""
    headers = {"Authorization": f"Bearer {world.token}", "Host": "localhost"} | (
        {"Idempotency-Key": key} if key else {}
    )
    return Client().post(f"/api/v1/{path}", json.dumps(body), content_type="application/json", headers=headers)


def mail(world: World, name: str) -> dict[str, object]:
    return {"mailbox": world.mailbox.pk, "to": [{"address": world.address(name)}], "subject": "Order", "text": "Hello"}


@scenario("asked for by a program", all_sent("bob"))
def _(world: World) -> None:
    known = OutboxMessage.objects.filter(author=world.author).exists()
    answer = call(world, "outbox", mail(world, "bob"), key=world.key())
    [message] = OutboxMessage.objects.filter(author=world.author)
    assert (answer.status_code, answer.json()["id"]) == (201, message.pk)
    assert "Idempotent-Replayed" in answer or not known


@scenario("many asked for in one call", all_sent("p0", "p1", "p2"), messages=3)
def _(world: World) -> None:
    many = [mail(world, f"p{number}") | {"key": world.key(number)} for number in range(3)]
    wrong = mail(world, "p3") | {"key": world.key(3), "to": [{"address": "nobody"}]}
    answer = call(world, "outbox/batch", {"messages": [*many, wrong]})
    items = answer.json()["items"]
    assert [item["status"] for item in items] == [201, 201, 201, 422]
    written = set(OutboxMessage.objects.filter(author=world.author).values_list("pk", flat=True))
    assert {item["message"]["id"] for item in items[:3]} == written


def _suppress(world: World) -> None:
    suppression.add([Suppression.key(world.address("unwanted"))], "", world.author, timezone.now())


@scenario(
    "one of them is on the suppression list",
    {**all_sent("bob"), "unwanted": State.FAILED},
    before=_suppress,
    files=True,
)
def _(world: World) -> None:
    world.queue("bob", "unwanted")


def _queue_and_suppress(world: World) -> None:
    world.queue("bob", "unwanted", undo_period=timedelta(seconds=10))
    _suppress(world)


@scenario(
    "one of them came onto the suppression list while it waited",
    {**all_sent("bob"), "unwanted": State.FAILED},
    before=_queue_and_suppress,
)
def _(world: World) -> None:
    beat_in(timedelta(minutes=1))


def _come_back(world: World) -> None:
    message = world.queue("bob", "carol")
    raw = report(world.address("bob"), head=enveloped(message))
    Arrival.objects.create(message=store(world.mailbox, raw, uid=1))


def _told_once(world: World) -> Iterator[str]:
    counts = {
        "events": DeliveryEvent.objects.filter(kind=Sequel.BOUNCED).count(),
        "suppressions": Suppression.objects.count(),
        "notices": Notification.objects.count(),
    }
    yield from (f"{number} {what} in place of one" for what, number in counts.items() if number != 1)


@scenario(
    "a report that it came back", {"bob": State.BOUNCED, "carol": State.SENT}, before=_come_back, wrong=_told_once
)
def _(world: World) -> Iterable[object]:
    return [bounces.read_arrivals(timezone.now())]
