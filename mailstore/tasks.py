"""Tasks of receiving: thin, by primary key, harmless when repeated, late or lost."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.db.models import Q
from django.utils import timezone

from mailstore import syncing
from mailstore.models import SyncSchedule

NUDGES_AT_ONCE = 2_000
NUDGE_AGAIN_AFTER = timedelta(minutes=5)


@shared_task(name="mailstore.sync_due_mailboxes", ignore_result=True)
def sync_due_mailboxes() -> None:
    """Put due mailboxes into the queue, the longest due first, each once until its nudge has grown old."""
    now = timezone.now()
    not_queued = Q(nudged_at=None) | Q(nudged_at__lte=now - NUDGE_AGAIN_AFTER)
    due = SyncSchedule.objects.due(now).filter(not_queued).order_by("due_at")
    for pk in list(due.values_list("pk", flat=True)[:NUDGES_AT_ONCE]):
        # Conditional, so that two beats queue it once.
        if SyncSchedule.objects.filter(not_queued, pk=pk).update(nudged_at=now):
            sync_mailbox.delay(pk)


@shared_task(name="mailstore.sync_mailbox", ignore_result=True)
def sync_mailbox(pk: int) -> None:
    """Sync one mailbox if it is due and nobody does; otherwise nothing is said to any server."""
    fence = SyncSchedule.objects.claim(pk, timezone.now())
    if fence is not None:
        syncing.sync(pk, fence)
