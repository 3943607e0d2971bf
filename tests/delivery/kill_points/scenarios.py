"""What a person may want sent, and what of it has to arrive: from the pressed button to the filed copy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import time_machine
from django.db import transaction
from django.utils import timezone

from accounts.models import Mailbox
from delivery import deciding, outbox, tasks
from delivery.models import OutboxMessage
from delivery.states import State
from delivery.wanted import Wanted
from organizations.models import User
from protocols.message.addresses import Address


@dataclass(frozen=True)
class World:
    """Who sends, from where. `run` is in every address, so that runs do not meet in the sink."""

    author: User
    mailbox: Mailbox
    run: int

    def address(self, name: str) -> str:
        return f"{name}-{self.run}@partner.example"

    def key(self, number: int = 0) -> str:
        return f"form-{self.run}-{number}"

    def queue(self, *names: str, text: str = "Hello", number: int = 0, **options: Any) -> OutboxMessage:
        """Press Send: the same again with the same number is the same form."""
        wanted = Wanted(
            author=self.author,
            mailbox=self.mailbox,
            to=[Address("", self.address(name)) for name in names],
            subject=f"Run {self.run}, {number}",
            text=text,
            submission_key=self.key(number),
            **options,
        )
        return outbox.queue_message(wanted)


Press = Callable[[World], object]


@dataclass(frozen=True)
class Scenario:
    """press:  what the person does, as often as the page shows an error: the second time must not count.
    ends:      the state of each name when nothing comes in between; those who are sent have got it once.
    before:    what has happened already.
    messages:  how many there are in the end.
    files:     a copy has to be in the Sent folder.
    sink:      the server it goes to, by name.
    """

    name: str
    press: Press
    ends: dict[str, State]
    before: Press = lambda world: None
    messages: int = 1
    files: bool = False
    sink: str = "pipelining"


SCENARIOS: Final[list[Scenario]] = []


def scenario(name: str, ends: dict[str, State], **options: Any) -> Callable[[Press], Press]:
    """Keep what the decorated function does, with the `options` of a `Scenario`."""

    def keep(press: Press) -> Press:
        SCENARIOS.append(Scenario(name, press, ends, **options))
        return press

    return keep


def all_sent(*names: str) -> dict[str, State]:
    return dict.fromkeys(names, State.SENT)


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


def beat_in(wait: timedelta) -> None:
    with time_machine.travel(timezone.now() + wait):
        tasks.sweep_outbox()


def _queue_one(world: World) -> None:
    world.queue("unknown")


@scenario("tried again after a failure", {"unknown": State.FAILED}, before=_queue_one)
def _(world: World) -> None:
    message = OutboxMessage.objects.get(submission_key=world.key())
    deciding.try_again(message, world.author, timezone.now())


def _queue_known(world: World) -> None:
    world.queue("bob")


@scenario("sent once more as a new message", all_sent("bob"), before=_queue_known, messages=2)
def _(world: World) -> None:
    message = OutboxMessage.objects.get(submission_key=world.key())
    deciding.resend(message, world.author, timezone.now(), submission_key=world.key(1))
