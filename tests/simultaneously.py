"""Threads that start at the same moment, each with a database connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from django.db import connections

Outcome = TypeVar("Outcome")

LONGEST = 60.0  # seconds that all of them may take together


def simultaneously(*actions: Callable[[], Outcome]) -> list[Outcome | Exception]:
    """What each of `actions` returned or raised, in their order. Raises TimeoutError where one does not end."""
    start = threading.Barrier(len(actions))
    outcomes: dict[int, Outcome | Exception] = {}

    def act(place: int, action: Callable[[], Outcome]) -> None:
        start.wait()
        try:
            outcomes[place] = action()
        except Exception as exc:
            outcomes[place] = exc
        finally:
            connections.close_all()

    threads = [threading.Thread(target=act, args=pair, daemon=True) for pair in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONGEST)
    if len(outcomes) < len(actions):
        raise TimeoutError(f"{len(actions) - len(outcomes)} of {len(actions)} did not end within {LONGEST:.0f} s")
    return [outcomes[place] for place in range(len(actions))]
