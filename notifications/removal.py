"""Forgetting what was read long ago, in small bites that hold no table for long."""

from __future__ import annotations

from datetime import datetime

from notifications.models import Notification

AT_ONCE = 1000


def remove_outlived(now: datetime) -> int:
    """Delete what was read more than 90 days ago; return how many rows that were. What is unread stays."""
    removed = 0
    while keys := list(Notification.objects.outlived(now).values_list("pk", flat=True)[:AT_ONCE]):
        removed += Notification.objects.filter(pk__in=keys).delete()[0]
    return removed
