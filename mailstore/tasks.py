"""Tasks of receiving: thin, by primary key, harmless when repeated, late or lost."""

from __future__ import annotations

from datetime import datetime, timedelta

from celery import shared_task
from django.utils import timezone

from mailstore import carrying_out, claiming, clocks, comparing, leftovers, news, syncing
from mailstore.models import ChangeQueue, Comparison, SyncSchedule
from mailstore.waking import wake
from organizations.nudging import nudge

COMPARISONS_AT_ONCE = 20  # that a beat looks for again, where a nudge was lost
NUDGES_AT_ONCE = 2_000
NUDGED_WITHIN = timedelta(seconds=10)  # a nudge is answered, or lost


@shared_task(name="mailstore.sync_due_mailboxes", ignore_result=True)
def sync_due_mailboxes() -> None:
    """Wake a worker where anything is due; it wakes the next one. Two beats, or none for an hour, do no harm."""
    now = timezone.now()
    clocks.put_right(now)
    if SyncSchedule.objects.due(now).exists():
        wake(sync_next)
    _nudge_again(now)
    for pk in Comparison.objects.waiting(now).values_list("pk", flat=True)[:COMPARISONS_AT_ONCE]:
        nudge(compare_mailbox, pk)


def _nudge_again(now: datetime) -> None:
    """Look for what somebody waits for and whose nudge was lost, or found the mailbox busy."""
    lately = now - NUDGED_WITHIN
    rows = SyncSchedule.objects.with_news(now).filter(news_at__lte=lately)
    for pk in list(rows.values_list("pk", flat=True)[:NUDGES_AT_ONCE]):
        nudge(fetch_news, pk)
    requests = SyncSchedule.objects.due(now).filter(requested_at__lte=lately)
    for pk in list(requests.values_list("pk", flat=True)[:NUDGES_AT_ONCE]):
        nudge(sync_mailbox, pk)


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

    For those whom somebody waits for, in a slot that is kept free for them: the others are taken in their turn by
    `sync_next`, and so is what takes longer.
    """
    claimed = claiming.claim(pk, timezone.now())
    if claimed is not None:
        syncing.sync(claimed.mailbox_pk, claimed.fence, prompt=True)
        wake(sync_next)


@shared_task(name="mailstore.fetch_news", ignore_result=True)
def fetch_news(pk: int) -> None:
    """Look at the INBOX of one mailbox whose server told of news, unless somebody syncs it or did so already."""
    claimed = claiming.claim_news(pk, timezone.now())
    if claimed is not None and not news.fetch(*claimed):
        wake(sync_next)
        for task in (fetch_news, sync_mailbox):
            nudge(task, pk)  # what is not to be done any more finds nothing to claim


@shared_task(name="mailstore.compare_mailbox", ignore_result=True)
def compare_mailbox(pk: int) -> None:
    """Compare one mailbox with its server, if somebody asked and nobody does."""
    fence = claiming.claim_comparison(pk, timezone.now())
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


@shared_task(name="mailstore.remove_leftovers", ignore_result=True)
def remove_leftovers() -> None:
    """Remove the packs of deleted and emptied mailboxes where that was interrupted."""
    leftovers.sweep(timezone.now())
