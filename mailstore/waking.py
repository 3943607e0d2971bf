"""Waking workers for due mailboxes: one wake-up waits in the queue at most, however many mailboxes are due.

Each worker that finds work wakes the next one before it begins, so any number of workers is busy after moments; the
queue never holds thousands of hints behind which a person would wait.
"""

from __future__ import annotations

import logging
from typing import Final, Protocol

from celery import current_app
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

QUEUE: Final = "due"


class Wakeable(Protocol):
    """A Celery task without arguments, routed to QUEUE."""

    name: str

    def apply_async(self, *, retry: bool) -> object: ...


def wake(task: Wakeable) -> None:
    """Queue `task` unless it waits there already. Without a broker nothing happens: beat tries again."""
    if current_app.conf.task_always_eager:
        return  # the task would run here and now, and wake itself without end
    try:
        if not _waiting():
            task.apply_async(retry=False)
    except (KombuError, RedisError, OSError) as exc:
        log.warning("No worker was woken, beat will do it: %s", type(exc).__name__)


def _waiting() -> int:
    with current_app.connection_or_acquire() as connection:
        channel = connection.default_channel
        try:
            return int(channel.queue_declare(queue=QUEUE, passive=True).message_count)
        except connection.channel_errors:
            return 0  # no worker has listened to it yet
