"""The process that waits for news."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import models


class WatcherQuerySet(models.QuerySet["Watcher"]):
    def take(self, holder: str, now: datetime, *, watching: int, wanted: int) -> bool:
        """Become the watcher, or stay it; False while another one lives."""
        self.get_or_create(pk=Watcher.ONLY, defaults={"holder": holder, "started_at": now, "seen_at": now})
        mine = self.filter(pk=Watcher.ONLY, holder=holder)
        if mine.update(seen_at=now, watching=watching, wanted=wanted):
            return True
        gone = self.filter(pk=Watcher.ONLY, seen_at__lte=now - Watcher.GONE_AFTER)
        return gone.update(holder=holder, started_at=now, seen_at=now, watching=watching, wanted=wanted) > 0

    def leave(self, holder: str) -> None:
        """Let the next one begin at once."""
        self.filter(pk=Watcher.ONLY, holder=holder).delete()


class Watcher(models.Model):
    """The process that waits for news on all mailboxes, as it was last seen. There is at most one row.

    A second process waits until the first has not been seen for a while, and takes over.

    holder:   names the process.
    watching: mailboxes on which it waits for news; `wanted` is on how many it should.
    """

    ONLY: Final = 1
    GONE_AFTER: Final = timedelta(seconds=30)

    holder = models.CharField(max_length=200)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    watching = models.PositiveIntegerField(default=0)
    wanted = models.PositiveIntegerField(default=0)

    objects = WatcherQuerySet.as_manager()

    def __str__(self) -> str:
        return self.holder

    def is_alive(self, now: datetime) -> bool:
        return now - self.seen_at < self.GONE_AFTER
