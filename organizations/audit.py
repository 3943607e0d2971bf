"""Write to the audit log. The one way in."""

from __future__ import annotations

from django.db import models
from django.http import HttpRequest

from organizations.models import AuditEntry, Organization, User


def record(
    action: str,
    *,
    organization: Organization,
    actor: User | None,
    target: models.Model | None = None,
    outcome: AuditEntry.Outcome = AuditEntry.Outcome.DONE,
    detail: dict[str, object] | None = None,
    request: HttpRequest | None = None,
) -> AuditEntry:
    """Append one entry. `action` reads "mailbox.created"; `detail` holds names and numbers, never a secret."""
    return AuditEntry.objects.create(
        organization=organization,
        actor=actor,
        actor_label=str(actor) if actor else "System",
        action=action,
        object_type=target._meta.model_name or "" if target else "",
        object_id=str(target.pk) if target else "",
        object_label=str(target)[:320] if target else "",
        outcome=outcome,
        detail=detail or {},
        address=request.META.get("REMOTE_ADDR") or None if request else None,
    )
