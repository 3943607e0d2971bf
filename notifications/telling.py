"""Telling people something: the way in for every app above."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from django.db.models import FilteredRelation, Q

from notifications.kinds import Kind
from notifications.models import GATHERING, Notification
from organizations import live
from organizations.models import User

LIVE_KIND = "notifications"  # with the key of the person; nobody else hears of it


def tell(users: Iterable[User], kind: Kind, *, title: str, url: str, key: str, now: datetime, text: str = "") -> None:
    """Write one row per active person in the transaction of the caller, and tell open pages after its commit.

    key: names what happened; the same key again tells nobody twice. Two queries, for one person or a hundred.
    """
    people = {user.pk: user for user in users}
    chosen = _mail_choices(people, kind)
    Notification.objects.bulk_create(
        (
            Notification(
                user_id=pk,
                kind=kind,
                title=title[:200],
                text=text[:500],
                url=url,
                key=key,
                at=now,
                mail_due_at=now + GATHERING if by_mail else None,
            )
            for pk, by_mail in chosen.items()
        ),
        ignore_conflicts=True,
    )
    for pk in chosen:
        live.announce(people[pk].organization_id, LIVE_KIND, pk)


def _mail_choices(people: Collection[int], kind: Kind) -> dict[int, bool]:
    """By key, whether each wants `kind` by mail; of those who are still there, since what is settled must be kept."""
    if not people:
        return {}
    own = FilteredRelation("mail_choices", condition=Q(mail_choices__kind=kind))
    present = User.objects.filter(pk__in=people, is_active=True).annotate(own=own)
    return {
        pk: kind.manner.by_mail if choice is None else choice
        for pk, choice in present.values_list("pk", "own__by_mail").order_by("pk")
    }
