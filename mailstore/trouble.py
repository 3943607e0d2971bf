"""What is wrong with the incoming server of a mailbox, in words that say what to do."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format

from accounts.models import Mailbox
from mailservers.diagnosis import diagnose
from mailstore.models import SyncSchedule
from protocols.diagnosis import Diagnosis
from protocols.endpoint import Protocol
from protocols.errors import MailError


def incoming_trouble(mailbox: Mailbox, error: MailError) -> Diagnosis:
    """Explain why a conversation with the incoming server failed. The mailbox has one."""
    endpoint = mailbox.incoming()
    assert endpoint is not None
    return diagnose(
        error,
        protocol=Protocol.IMAP,
        endpoint=endpoint,
        provider_key=mailbox.provider.key if mailbox.provider else "",
        organization=mailbox.organization,
    )


def login_waits(mailbox: Mailbox, now: datetime) -> str:
    """Say when a login that the server refused is tried again; empty where none was refused.

    Accounts are locked for trying too often. So whoever wants to log in beside the sync leaves it, and a sync makes the
    second and last try in its time (fault R16).
    """
    if not mailbox.login_refusals:
        return ""
    due_at = SyncSchedule.objects.filter(pk=mailbox.pk).values_list("due_at", flat=True).first()
    if mailbox.paused_at is not None or due_at is None:
        return "It is not tried again before the right one is stored."
    if due_at <= now:
        return "The next sync tries it once more."
    return f"The next sync tries it once more, not before {date_format(timezone.localtime(due_at), 'H:i T')}."
