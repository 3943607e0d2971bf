"""Telling a worker that a row waits, after the commit. A broker that is down costs time, never the row (fault R3)."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Protocol

from django.db import transaction
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

log = logging.getLogger(__name__)


class Nudgeable(Protocol):
    """A Celery task that takes a primary key."""

    name: str

    def apply_async(self, args: tuple[int], /, *, retry: bool, eta: datetime | None = None) -> object: ...


def nudge(task: Nudgeable, pk: int, *, at: datetime | None = None) -> None:
    """Queue `task` for `pk` once the present transaction is committed; the sweeper finds what this could not tell.

    at: not before this moment, which has to be near: a worker keeps the task in memory until then.
    """
    transaction.on_commit(lambda: _try(task, pk, at))


def _try(task: Nudgeable, pk: int, at: datetime | None) -> None:
    """Try once: a page waits for this, and beat looks for the row within a minute anyway."""
    try:
        if at is None:
            task.apply_async((pk,), retry=False)
        else:
            task.apply_async((pk,), retry=False, eta=at)
    except (KombuError, RedisError, OSError) as exc:
        log.warning("No nudge for %s %s, the sweeper will find it: %s", task.name, pk, type(exc).__name__)
