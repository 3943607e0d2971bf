"""Downloading nothing until somebody resumes it (spec E10). Pages and the API come through here."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest

from accounts.models import Mailbox
from organizations import audit, live
from organizations.models import User


class CannotResume(ValueError):
    """The server refused the password: only another one ends the pause, or the account would be locked."""


def pause(mailbox: Mailbox, *, by: User, now: datetime, request: HttpRequest | None = None) -> bool:
    """False where it was paused already. A sync that runs comes to its end."""
    if not Mailbox.objects.filter(pk=mailbox.pk, paused_at=None).update(paused_at=now):
        return False
    _tell(mailbox, "mailbox.paused", by, request)
    return True


def resume(mailbox: Mailbox, *, by: User, request: HttpRequest | None = None) -> bool:
    """False where it was not paused. Raises CannotResume."""
    if mailbox.login_refusals:
        raise CannotResume("The server refused the password. Store the right one; that resumes it.")
    if mailbox.paused_at is None:
        return False
    mailbox.paused_at, mailbox.attention, mailbox.attention_since = None, None, None
    mailbox.save(update_fields=["paused_at", "attention", "attention_since"])
    _tell(mailbox, "mailbox.resumed", by, request)
    return True


def _tell(mailbox: Mailbox, action: str, by: User, request: HttpRequest | None) -> None:
    audit.record(action, organization=by.organization, actor=by, target=mailbox, request=request)
    live.announce(mailbox.organization_id, "mailbox", mailbox.pk)
