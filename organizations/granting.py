"""Giving and taking operations (spec A4)."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest

from organizations import audit, authority
from organizations.models import OperationGrant, Role, User
from organizations.operations import Operation


def give(operation: Operation, holder: User | Role, *, by: User, request: HttpRequest | None = None) -> None:
    """Harmless when `holder` has it. Raises BeyondAuthority."""
    authority.require(authority.refusal_to_grant(by, operation, holder))
    with transaction.atomic():
        _, is_new = OperationGrant.objects.get_or_create(
            operation=operation, **_to(holder), defaults={"granted_by": by}
        )
        if is_new:
            _record("operation.given", operation, holder, by, request)


def take(operation: Operation, holder: User | Role, *, by: User, request: HttpRequest | None = None) -> None:
    """What `holder` has through a role stays. Raises BeyondAuthority."""
    authority.require(authority.refusal_to_grant(by, operation, holder))
    with transaction.atomic():
        if OperationGrant.objects.filter(operation=operation, **_to(holder)).delete()[0]:
            _record("operation.taken", operation, holder, by, request)


def _to(holder: User | Role) -> dict[str, User | Role]:
    return {"role": holder} if isinstance(holder, Role) else {"user": holder}


def _record(action: str, operation: Operation, holder: User | Role, by: User, request: HttpRequest | None) -> None:
    detail: dict[str, object] = {"operation": operation.label}
    audit.record(action, organization=holder.organization, actor=by, target=holder, detail=detail, request=request)
