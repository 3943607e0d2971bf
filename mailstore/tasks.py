"""Tasks of receiving: thin, by primary key, harmless when repeated, late or lost."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from mailstore import carrying_out, claiming, comparing, syncing
from mailstore.models import ChangeQueue, Comparison, SyncSchedule
from mailstore.waking import wake
from organizations.nudging import nudge

COMPARISONS_AT_ONCE = 20  # that a beat looks for again, where a nudge was lost
NUDGES_AT_ONCE = 2_000


@shared_task(name="mailstore.sync_due_mailboxes", ignore_result=True)
def sync_due_mailboxes() -> None:
    """Wake a worker where anything is due; it wakes the next one. Two beats, or none for an hour, do no harm."""
    if SyncSchedule.objects.due(timezone.now()).exists():
        wake(sync_next)
    for pk in Comparison.objects.waiting(timezone.now()).values_list("pk", flat=True)[:COMPARISONS_AT_ONCE]:
        nudge(compare_mailbox, pk)


@shared_task(name="mailstore.sync_next", ignore_result=True)
def sync_next() -> None:
    """Sync the mailbox that has been due the longest. Another worker is woken before, for the one after it."""
    claimed = claiming.claim_next(timezone.now())
    if claimed is None:
        return
    wake(sync_next)
    try:
        syncing.sync(claimed.mailbox_pk, claimed.fence)
    finally:
        wake(sync_next)  # a server may have room again


@shared_task(name="mailstore.sync_mailbox", ignore_result=True)
def sync_mailbox(pk: int) -> None:
    """Sync one mailbox if it is due and nobody does; otherwise nothing is said to any server.

    For those whom somebody waits for: the others are taken in their turn by `sync_next`.
    """
    claimed = claiming.claim(pk, timezone.now())
    if claimed is not None:
        syncing.sync(claimed.mailbox_pk, claimed.fence)
        wake(sync_next)


@shared_task(name="mailstore.compare_mailbox", ignore_result=True)
def compare_mailbox(pk: int) -> None:
    """Compare one mailbox with its server, if somebody asked and nobody does."""
    fence = Comparison.objects.claim(pk, timezone.now())
    if fence is not None:
        comparing.compare(pk, fence)


@shared_task(name="mailstore.carry_out_due_changes", ignore_result=True)
def carry_out_due_changes() -> None:
    """Put mailboxes whose readers changed something into the queue: after a failure, or where the nudge was lost."""
    due = ChangeQueue.objects.due(timezone.now()).order_by("due_at")
    for pk in list(due.values_list("pk", flat=True)[:NUDGES_AT_ONCE]):
        carry_out_changes.delay(pk)
    carrying_out.forget_settled()


@shared_task(name="mailstore.carry_out_changes", ignore_result=True)
def carry_out_changes(pk: int) -> None:
    """Tell the server what readers changed in one mailbox; a second run finds nothing to claim."""
    fence = ChangeQueue.objects.claim(pk, timezone.now())
    if fence is not None:
        carrying_out.carry_out(pk, fence)
