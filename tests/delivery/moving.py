"""Recipients where a test wants them: the database takes no other way than that of the table of states."""

from __future__ import annotations

from collections import deque
from typing import Any

from delivery.models import OutboxRecipientQuerySet
from delivery.states import MOVES, State


def put(recipients: OutboxRecipientQuerySet, state: State, **changes: Any) -> None:
    """Bring the rows to `state` by moves that may be, and set `changes` with the last one."""
    rows = list(recipients.order_by().values_list("pk", "state"))
    for origin in {State(each) for _, each in rows}:
        mine = recipients.model.objects.filter(pk__in=[pk for pk, each in rows if each == origin])
        for step in _way(origin, state):
            mine.update(state=step)
        mine.update(**changes)


def _way(origin: State, goal: State) -> list[State]:
    """The shortest way, without its beginning."""
    ways = deque([[origin]])
    while ways:
        way = ways.popleft()
        if way[-1] is goal:
            return way[1:]
        ways.extend([*way, following] for following in sorted(MOVES[way[-1]]) if following not in way)
    raise ValueError(f"Nothing leads from {origin} to {goal}.")
