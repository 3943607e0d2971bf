"""From the pressed button, or the moment that has come, to the filed copy."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from delivery import deciding
from delivery.states import State
from tests.delivery.kill_points.scenarios.world import World, all_sent, beat_in, scenario


@scenario("one recipient", all_sent("bob"))
def _(world: World) -> None:
    world.queue("bob")


@scenario("one recipient, one command at a time", all_sent("bob"), sink="plain")
def _(world: World) -> None:
    world.queue("bob")


@scenario("one recipient, in chunks", all_sent("bob"), sink="chunking")
def _(world: World) -> None:
    world.queue("bob")


@scenario("many recipients", all_sent(*(f"p{number}" for number in range(12))))
def _(world: World) -> None:
    world.queue(*(f"p{number}" for number in range(12)))


@scenario("some are taken, some refused, some deferred", {**all_sent("bob", "carol", "later"), "unknown": State.FAILED})
def _(world: World) -> None:
    world.queue("bob", "unknown", "later", "carol")


@scenario("some are taken, one command at a time", {**all_sent("bob", "later"), "unknown": State.FAILED}, sink="plain")
def _(world: World) -> None:
    world.queue("bob", "unknown", "later")


@scenario("all are deferred first", all_sent("later", "later-too"))
def _(world: World) -> None:
    world.queue("later", "later-too")


@scenario("nobody is known", {"unknown": State.FAILED})
def _(world: World) -> None:
    world.queue("unknown")


@scenario("a message of many blocks", all_sent("bob"))
def _(world: World) -> None:
    world.queue("bob", text=("A line of text that goes on for a while. " * 2 + "\n") * 4_000)


@scenario("a message of many blocks, in chunks", all_sent("bob", "later"), sink="chunking")
def _(world: World) -> None:
    world.queue("bob", "later", text=("A line of text that goes on for a while. " * 2 + "\n") * 4_000)


@scenario("with a copy in the Sent folder", all_sent("bob"), files=True)
def _(world: World) -> None:
    world.queue("bob")


@scenario("deferred for one, with a copy", all_sent("bob", "later"), files=True)
def _(world: World) -> None:
    world.queue("bob", "later")


@scenario("several messages", all_sent(*(f"p{number}" for number in range(5))), messages=5)
def _(world: World) -> None:
    for number in range(5):
        world.queue(f"p{number}", number=number)


@scenario("five messages over one connection", all_sent(*(f"p{number}" for number in range(5))), messages=5)
def _(world: World) -> None:
    with transaction.atomic():
        for number in range(5):
            world.queue(f"p{number}", number=number)


def _queue_for_later(world: World) -> None:
    world.queue("bob", scheduled_for=timezone.now() + timedelta(minutes=5))


@scenario("scheduled, and found by beat", all_sent("bob"), before=_queue_for_later)
def _(world: World) -> None:
    beat_in(timedelta(minutes=6))


def _queue_with_undo(world: World) -> None:
    world.queue("bob", undo_period=timedelta(seconds=10))


@scenario("the time to undo has passed", all_sent("bob"), before=_queue_with_undo)
def _(world: World) -> None:
    beat_in(timedelta(minutes=1))


def _queue_deferred(world: World) -> None:
    world.queue("bob", "later")


@scenario("deferred, and tried again by beat", all_sent("bob", "later"), before=_queue_deferred, files=True)
def _(world: World) -> None:
    beat_in(timedelta(minutes=6))


def _queue_one(world: World) -> None:
    world.queue("unwelcome")


@scenario("tried again after a failure", {"unwelcome": State.FAILED}, before=_queue_one)
def _(world: World) -> None:
    deciding.try_again(world.message(), world.author, timezone.now())


def _queue_known(world: World) -> None:
    world.queue("bob")


@scenario("sent once more as a new message", all_sent("bob"), before=_queue_known, messages=2)
def _(world: World) -> None:
    deciding.resend(world.message(), world.author, timezone.now(), submission_key=world.key(1))
