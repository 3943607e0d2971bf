"""Telling people that an email account is disconnected, and that it works again (spec A7).

`Mailbox.disconnected_at` says what they know. It changes by conditional updates, in the transaction of what happened,
so that each change of state is told once, however often a broken account is tried.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse

from accounts.models import Mailbox
from accounts.rights import Right
from notifications.kinds import Kind
from notifications.telling import tell
from organizations.holders import holders_of
from organizations.models import User
from organizations.operations import Operation
from protocols.diagnosis import Diagnosis


def people_in_charge(mailbox: Mailbox, now: datetime) -> QuerySet[User]:
    """Its owner. Of the organization's: who may set it up, and who manages email accounts. Active people only."""
    if mailbox.owner_id is not None:
        return User.objects.filter(pk=mailbox.owner_id, is_active=True)
    managers = holders_of(Operation.MANAGE_EMAIL_ACCOUNTS, mailbox.organization_id).values("pk")
    people = User.objects.filter(pk__in=managers)
    if not mailbox.is_shared:
        return people
    keepers = mailbox.grants.giving(Right.SETUP).live_at(now).people().values("pk")
    return people | User.objects.filter(pk__in=keepers)


def tell_disconnected(mailbox: Mailbox, trouble: Diagnosis, now: datetime) -> None:
    """It needs attention: tell the people in charge, unless they know. Three queries, or one."""
    with transaction.atomic():
        untold = Mailbox.objects.filter(pk=mailbox.pk, disconnected_at=None)
        if untold.update(disconnected_at=now):
            cure = trouble.causes[0].cure if trouble.causes else ""
            text = f"{trouble.title.rstrip('.')}. {cure}".strip()
            _tell(mailbox, Kind.MAILBOX_DISCONNECTED, f"{mailbox} needs attention", text, now)


def tell_connected(mailbox: Mailbox, now: datetime) -> None:
    """Nothing is wrong with it any more: tell those in charge if they were told that it was disconnected."""
    with transaction.atomic():
        cured = Mailbox.objects.filter(attention__isnull=True, paused_at=None)
        if cured.filter(pk=mailbox.pk, disconnected_at__isnull=False).update(disconnected_at=None):
            _tell(mailbox, Kind.MAILBOX_CONNECTED, f"{mailbox} works again", "It is connected.", now)


def _tell(mailbox: Mailbox, kind: Kind, title: str, text: str, now: datetime) -> None:
    tell(
        people_in_charge(mailbox, now),
        kind,
        title=title,
        text=text,
        url=reverse("accounts:settings", args=[mailbox.pk]),
        key=f"mailbox-{mailbox.pk}-{kind}-{now.timestamp():.6f}",
        now=now,
    )
