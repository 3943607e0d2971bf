"""Telling people something: the way in for every app above."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from notifications.kinds import Kind
from notifications.models import GATHERING, MailChoice, Notification
from organizations import live
from organizations.models import User

LIVE_KIND = "notifications"  # with the key of the person; nobody else hears of it


def tell(users: Iterable[User], kind: Kind, *, title: str, url: str, key: str, now: datetime, text: str = "") -> None:
    """Write one row per active person in the transaction of the caller, and tell open pages after its commit.

    key: names what happened; the same key again tells nobody twice. Two queries, for one person or a hundred.
    """
    people = {user.pk: user for user in users if user.is_active}
    if not people:
        return
    wanting = MailChoice.objects.wanting(kind, people.keys())
    Notification.objects.bulk_create(
        (
            Notification(
                user=user,
                kind=kind,
                title=title[:200],
                text=text[:500],
                url=url,
                key=key,
                at=now,
                mail_due_at=now + GATHERING if user.pk in wanting else None,
            )
            for user in people.values()
        ),
        ignore_conflicts=True,
    )
    for user in people.values():
        live.announce(user.organization_id, LIVE_KIND, user.pk)


def announce_read(user: User) -> None:
    """Other open pages of the person count anew."""
    live.announce(user.organization_id, LIVE_KIND, user.pk)
