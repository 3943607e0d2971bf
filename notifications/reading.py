"""Marking notifications as read: the way in for the pages and the API. Other open pages of the person count anew."""

from __future__ import annotations

from datetime import datetime

from notifications.models import Notification
from notifications.telling import LIVE_KIND
from organizations import live
from organizations.models import User


def read_one(notification: Notification, now: datetime) -> None:
    """Harmless when repeated: the first moment stays."""
    if Notification.objects.filter(pk=notification.pk).mark_read(now):
        _announce(notification.user)


def read_all(user: User, now: datetime) -> int:
    """Return how many were unread."""
    if number := Notification.objects.of(user).mark_read(now):
        _announce(user)
    return number


def _announce(user: User) -> None:
    live.announce(user.organization_id, LIVE_KIND, user.pk)
