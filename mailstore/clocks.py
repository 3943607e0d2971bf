"""After the clock was put back: times written before would keep mailboxes waiting for as long as it jumped (R22).

Put forward it does no harm: what waits is due, and a lease that seems to have passed is fenced.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q

from mailstore.models import LEASE, ChangeQueue, Comparison, MailHost, SyncSchedule, Watcher
from mailstore.models.changes import LEASE as CHANGES_LEASE
from mailstore.runs import LOGIN_WAIT
from mailstore.waits import LONGEST_WAIT

ASTRAY: Final = timedelta(minutes=2)  # by which the clocks of several machines may differ


def put_right(now: datetime) -> None:
    """Free what was claimed in the future, and make due what was put off from there. Nothing is written otherwise.

    A worker that lives loses its claim at worst, and the mailbox is synced anew. A login that was refused keeps its
    distance to the next try: accounts are locked for less.
    """
    ahead, too_far = now + ASTRAY, now + 2 * LONGEST_WAIT
    refused = Q(mailbox__login_refusals__gt=0)
    claimed = SyncSchedule.objects.filter(Q(started_at__gt=ahead) | Q(leased_until__gt=ahead + LEASE))
    free = {"leased_until": None, "started_at": now}
    claimed.filter(refused).update(due_at=now + LOGIN_WAIT, **free)
    claimed.update(due_at=now, **free)
    for mark in ("finished_at", "requested_at", "news_at"):
        SyncSchedule.objects.filter(**{f"{mark}__gt": ahead}).update(**{mark: now})
    ChangeQueue.objects.filter(leased_until__gt=ahead + CHANGES_LEASE).update(leased_until=None)
    ChangeQueue.objects.filter(due_at__gt=too_far).update(due_at=now)
    Comparison.objects.filter(leased_until__gt=ahead + Comparison.LEASE).update(leased_until=None)
    MailHost.objects.filter(retry_at__gt=too_far).update(retry_at=now)
    MailHost.objects.filter(busy_until__gt=too_far).update(busy_until=None)
    Watcher.objects.filter(seen_at__gt=ahead).update(seen_at=now)
