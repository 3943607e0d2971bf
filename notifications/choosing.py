"""What a person wants by mail: storing the choices."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction
from django.http import HttpRequest

from notifications.kinds import Kind
from notifications.models import MailChoice, Notification
from organizations import audit
from organizations.models import User


def choose(user: User, wanted: Mapping[Kind, bool], *, request: HttpRequest | None = None) -> list[Kind]:
    """Keep the choices and return those that changed. What waits for its mail and is not wanted any more stays here."""
    before = MailChoice.objects.of(user)
    changed = [kind for kind in Kind if wanted[kind] != before[kind]]
    if not changed:
        return []
    rows = [MailChoice(user=user, kind=kind, by_mail=wanted[kind]) for kind in changed]
    unwanted = [kind for kind in changed if not wanted[kind]]
    with transaction.atomic():
        MailChoice.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["user", "kind"], update_fields=["by_mail"]
        )
        Notification.objects.of(user).awaiting_mail().filter(kind__in=unwanted).update(mail_due_at=None)
        audit.record(
            "user.notifications_changed",
            organization=user.organization,
            actor=user,
            target=user,
            detail={
                "before": {kind.value: before[kind] for kind in changed},
                "after": {kind.value: wanted[kind] for kind in changed},
            },
            request=request,
        )
    return changed
