"""After the clock was put back: times written before would keep mailboxes waiting for as long as it jumped (R22).

Put forward it does no harm: what waits is due, and a lease that seems to have passed is fenced.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q

from mailstore.models import LEASE, ChangeQueue, Comparison, MailHost, SyncSchedule, Watcher
from mailstore.models.changes import LEASE as CHANGES_LEASE
from mailstore.runs import LOGIN_WAIT
from mailstore.waits import LONGEST_WAIT
from organizations.clocks import ASTRAY, PRESENT, bring_back


def put_right(now: datetime) -> None:
    """Free what was claimed in the future, and make due what was put off from there. Nothing is written otherwise.

    A worker that lives loses its claim at worst, and the mailbox is synced anew. A login that was refused keeps its
    distance to the next try: accounts are locked for less.
    """
    ahead = now + ASTRAY
    refused = Q(mailbox__login_refusals__gt=0)
    claimed = SyncSchedule.objects.filter(Q(started_at__gt=ahead) | Q(leased_until__gt=ahead + LEASE))
    free = {"leased_until": None, "started_at": now}
    claimed.filter(refused).update(due_at=now + LOGIN_WAIT, **free)
    claimed.update(due_at=now, **free)
    bring_back(SyncSchedule.objects.all(), now, finished_at=PRESENT, requested_at=PRESENT, news_at=PRESENT)
    ChangeQueue.objects.filter(leased_until__gt=ahead + CHANGES_LEASE).update(leased_until=None)
    bring_back(ChangeQueue.objects.all(), now, due_at=2 * LONGEST_WAIT)
    Comparison.objects.filter(leased_until__gt=ahead + Comparison.LEASE).update(leased_until=None)
    bring_back(MailHost.objects.all(), now, retry_at=2 * LONGEST_WAIT)
    MailHost.objects.filter(busy_until__gt=now + 2 * LONGEST_WAIT).update(busy_until=None)
    bring_back(Watcher.objects.all(), now, seen_at=PRESENT)
