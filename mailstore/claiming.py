"""The right to sync a mailbox, or to compare it: due, nobody else has it, and its server takes one more (spec G7).

The rows decide, not the queue: whoever is free takes what has been due the longest. A claim is made on the row as it
was read: its fencing number must not have moved.
"""

from __future__ import annotations

import os
import socket
from datetime import datetime
from typing import Final

from django.db import transaction

from accounts.models import Mailbox
from accounts.sessions import KEPT
from mailstore import hosts
from mailstore.models import Comparison, SyncSchedule
from mailstore.writing import Claim
from organizations.faultpoints import faultpoint

LOOKED_AT: Final = 20  # rows per look; those of servers that just filled up are passed over


def claim(mailbox_pk: int, now: datetime) -> Claim | None:
    """Take one mailbox, or None: it is not due, somebody has it, it is gone, or its server takes no more now."""
    due = SyncSchedule.objects.due(now)
    row = due.filter(pk=mailbox_pk).select_related("mailbox").first()
    return _take(row, now) if row is not None else None


def claim_next(now: datetime) -> Claim | None:
    """Take the mailbox that has been due the longest, of all organizations and servers; None where none can be had."""
    due = SyncSchedule.objects.due(now)
    rows = due.filter(hosts.may_be_admitted(now)).select_related("mailbox").order_by("due_at", "pk")
    for row in list(rows[:LOOKED_AT]):
        claimed = _take(row, now)
        if claimed is not None:
            return claimed
    return None


def claim_news(mailbox_pk: int, now: datetime) -> tuple[Claim, Mailbox] | None:
    """Take a mailbox whose server told of news; None where there are none any more, or somebody syncs it.

    A session that was kept is no new connection, so its server need not have room for one.
    """
    news = SyncSchedule.objects.with_news(now)
    related = ("mailbox__organization", "mailbox__provider")
    row = news.filter(pk=mailbox_pk).select_related(*related).first()
    if row is None:
        return None
    claimed = _claimed(row, _fence(row, now)) if KEPT.holds(row.mailbox) else _take(row, now)
    return (claimed, row.mailbox) if claimed is not None else None


def claim_comparison(mailbox_pk: int, now: datetime) -> int | None:
    """Take the comparison of a mailbox; return its fencing number.

    None: nobody asked, somebody has it, or its server takes no more now, and beat tries again.
    """
    with transaction.atomic():
        mailbox = Mailbox.objects.filter(comparison__in=Comparison.objects.waiting(now).filter(pk=mailbox_pk)).first()
        if mailbox is None or not hosts.admit(mailbox, now, asked=True):
            return None
        fence = Comparison.objects.claim(mailbox_pk, now)
        if fence is None:
            transaction.set_rollback(True)  # somebody was quicker: leave no lane taken
            return None
    faultpoint("comparison claimed")
    return fence


def holder() -> str:
    """Names this process, for whoever has to find it."""
    return f"{socket.gethostname()}, process {os.getpid()}"


def _take(row: SyncSchedule, now: datetime) -> Claim | None:
    """Claim `row` where its server has room."""
    asked = row.requested_at is not None or row.news_at is not None
    with transaction.atomic():
        if not hosts.admit(row.mailbox, now, asked=asked):
            return None
        fence = _fence(row, now)
        if fence is None:
            transaction.set_rollback(True)  # somebody was quicker: leave no lane taken
    return _claimed(row, fence)


def _fence(row: SyncSchedule, now: datetime) -> int | None:
    return SyncSchedule.objects.take(row.pk, row.fence, now, holder=holder())


def _claimed(row: SyncSchedule, fence: int | None) -> Claim | None:
    if fence is None:
        return None
    faultpoint("claim taken")
    return Claim(row.pk, fence)
