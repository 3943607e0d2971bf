"""Trying the values of a form before they are saved, and noting what came of it (spec B4)."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest
from django.utils import timezone

from mailservers import recent_checks
from mailservers.checking import CheckReport, check_outgoing
from mailservers.forms import MailServerForm
from mailservers.models import MailServer
from organizations import audit, live
from organizations.models import AuditEntry, User
from protocols.steps import Observer


def check_of(form: MailServerForm, user: User) -> Callable[[Observer], CheckReport]:
    """The check of a valid form, to be run outside of any transaction: it waits for the network."""
    endpoint, credentials, provider = form.endpoint(), form.credentials(), form.cleaned_data["provider"]
    sender = credentials.username if credentials and "@" in credentials.username else ""
    return lambda observe: check_outgoing(
        endpoint,
        credentials,
        provider=provider,
        organization=user.organization,
        sender=sender,
        observe=observe,
    )


def note_check(form: MailServerForm, report: CheckReport, user: User, request: HttpRequest) -> None:
    """Remember it for the save that may follow; where the values are the stored ones, on the server's own row."""
    endpoint, now, server = form.endpoint(), timezone.now(), form.instance
    recent_checks.remember(user, endpoint, form.credentials(), report=report, now=now)
    if form.is_as_stored:
        fresh = MailServer.objects.get(pk=server.pk)
        fresh.note_check(report.as_json(), now)
        live.announce(user.organization_id, "mailserver", fresh.pk)
    audit.record(
        "mailserver.checked",
        organization=user.organization,
        actor=user,
        target=server if server.pk else None,
        outcome=AuditEntry.Outcome.DONE if report.ok else AuditEntry.Outcome.FAILED,
        detail={"endpoint": str(endpoint)},
        request=request,
    )
