"""The right to sync a mailbox: due, nobody else has it, and its server takes one more (spec G7).

The rows decide, not the queue: whoever is free takes what has been due the longest.
"""

from __future__ import annotations

import os
import socket
from datetime import datetime
from typing import Final

from django.db import transaction

from mailstore import hosts
from mailstore.models import SyncSchedule
from mailstore.writing import Claim
from organizations.faultpoints import faultpoint

LOOKED_AT: Final = 20  # rows per look; those of servers that just filled up are passed over


def claim(mailbox_pk: int, now: datetime) -> Claim | None:
    """Take one mailbox, or None: it is not due, somebody has it, it is gone, or its server takes no more now."""
    taken = _claim(mailbox_pk, now)
    if taken is not None:
        faultpoint("claim taken")
    return taken


def _claim(mailbox_pk: int, now: datetime) -> Claim | None:
    with transaction.atomic():
        schedule = SyncSchedule.objects.select_related("mailbox").filter(pk=mailbox_pk).first()
        if schedule is None or schedule.due_at > now or schedule.is_running(now):
            return None
        if not hosts.admit(schedule.mailbox, now, asked=schedule.requested_at is not None):
            return None
        fence = SyncSchedule.objects.claim(mailbox_pk, now, holder=holder())
        if fence is None:
            transaction.set_rollback(True)  # it is not due after all: leave no lane taken
            return None
        return Claim(mailbox_pk, fence)


def claim_next(now: datetime) -> Claim | None:
    """Take the mailbox that has been due the longest, of all organizations and servers; None where none can be had."""
    due = SyncSchedule.objects.due(now).filter(hosts.may_be_admitted(now)).order_by("due_at", "pk")
    for pk in list(due.values_list("pk", flat=True)[:LOOKED_AT]):
        claimed = claim(pk, now)
        if claimed is not None:
            return claimed
    return None


def holder() -> str:
    """Names this process, for whoever has to find it."""
    return f"{socket.gethostname()}, process {os.getpid()}"
