"""Keeps what became of each sync, for the log of a mailbox."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Exists, F

from mailstore.models import SyncRun, SyncSchedule
from mailstore.writing import Claim

KEPT_FOR: Final = timedelta(days=90)


def note_run(claim: Claim, now: datetime, words: str, *, came_through: bool = False, arrived: int = 0) -> None:
    """Write down how a run ended, while its claim still holds. A run like the one before it is counted into its row."""
    words = words[:300]
    runs = SyncRun.objects.filter(mailbox_id=claim.mailbox_pk)
    held = SyncSchedule.objects.holding(claim.mailbox_pk, claim.fence)
    newest = runs.first()
    if newest is not None and not arrived and _alike(newest, words, came_through=came_through):
        runs.filter(Exists(held), pk=newest.pk).update(count=F("count") + 1, ended_at=now)
        return
    with transaction.atomic():
        # Locked, so that a mailbox that is being deleted waits or is gone already.
        started_at = held.select_for_update().values_list("started_at", flat=True).first()
        if started_at is None:
            return
        SyncRun.objects.create(
            mailbox_id=claim.mailbox_pk,
            started_at=started_at,
            ended_at=now,
            came_through=came_through,
            arrived=arrived,
            words=words,
        )
        runs.filter(ended_at__lt=now - KEPT_FOR).delete()


def _alike(run: SyncRun, words: str, *, came_through: bool) -> bool:
    return not run.arrived and run.words == words and run.came_through == came_through
