"""What a person may want, and what of it has to arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import time_machine
from django.utils import timezone

from accounts.models import Mailbox
from delivery import outbox, tasks
from delivery.models import OutboxMessage
from delivery.states import State
from delivery.wanted import Wanted
from organizations.models import User
from protocols.message.addresses import Address


@dataclass(frozen=True, slots=True)
class World:
    """Who sends, from where. `run` is in every address, so that runs do not meet in the sink. token: of the API."""

    author: User
    mailbox: Mailbox
    run: int
    token: str

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

    def message(self, number: int = 0) -> OutboxMessage:
        """What was queued under this number, as the database has it."""
        return OutboxMessage.objects.get(submission_key=self.key(number))


Press = Callable[[World], object]


@dataclass(frozen=True)
class Scenario:
    """press:  what the person does, as often as the page shows an error: the second time must not count.
    ends:      the states in which each name may end when nothing comes in between; who is sent has got it once.
    before:    what has happened already.
    again:     what happens once it was stopped, in place of pressing again.
    messages:  how many there are in the end.
    files:     a copy has to be in the Sent folder.
    sink:      the server it goes to, by name.
    wrong:     what else may be wrong in the end, a line each.
    """

    name: str
    press: Press
    ends: dict[str, frozenset[State]]
    before: Press = lambda world: None
    again: Press | None = None
    messages: int = 1
    files: bool = False
    sink: str = "pipelining"
    wrong: Callable[[World], Iterable[str]] = lambda world: ()


SCENARIOS: Final[list[Scenario]] = []


def scenario(name: str, ends: dict[str, State | frozenset[State]], **options: Any) -> Callable[[Press], Press]:
    """Keep what the decorated function does, with the `options` of a `Scenario`."""
    sets = {one: frozenset({state}) if isinstance(state, State) else state for one, state in ends.items()}

    def keep(press: Press) -> Press:
        SCENARIOS.append(Scenario(name, press, sets, **options))
        return press

    return keep


def all_sent(*names: str) -> dict[str, State | frozenset[State]]:
    return dict.fromkeys(names, State.SENT)


def beat_in(wait: timedelta) -> None:
    """Let beat sweep after a while."""
    with time_machine.travel(timezone.now() + wait):
        tasks.sweep_outbox()
