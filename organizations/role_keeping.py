"""Making, renaming and deleting roles. Who is in them: `people`; what they give: `granting` (spec A3)."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.http import HttpRequest

from organizations import audit, authority
from organizations.models import Organization, Role, User

BUILT_IN = "The role Administrators is built in: it can be neither renamed nor deleted."


class NameTaken(ValueError):
    """Another role of the organization has the name."""


def create(organization: Organization, name: str, *, by: User, request: HttpRequest | None = None) -> Role:
    """A role without members that gives nothing. Raises NameTaken."""
    try:
        with transaction.atomic():
            role = Role.objects.create(organization=organization, name=name)
            _record("role.created", role, by, request)
    except IntegrityError as exc:
        raise NameTaken(name) from exc
    return role


def rename(role: Role, name: str, *, by: User, request: HttpRequest | None = None) -> None:
    """Raises BeyondAuthority, NameTaken."""
    authority.require(refusal_to_keep(by, role))
    if name == role.name:
        return
    before, role.name = role.name, name
    try:
        with transaction.atomic():
            role.save(update_fields=["name"])
            _record("role.renamed", role, by, request, {"before": before, "now": name})
    except IntegrityError as exc:
        raise NameTaken(name) from exc


def delete(role: Role, *, by: User, request: HttpRequest | None = None) -> None:
    """With its memberships and all that it gave. Raises BeyondAuthority."""
    authority.require(refusal_to_keep(by, role))
    members = [str(member) for member in role.members.all()[:100]]
    with transaction.atomic():
        _record("role.deleted", role, by, request, {"members": members})
        role.delete()


def refusal_to_keep(actor: User, role: Role) -> str:
    """Why `actor` may not rename or delete `role`; "" when nothing stands in the way."""
    return BUILT_IN if role.is_administrators else authority.refusal_over_role(actor, role)


def _record(
    action: str, role: Role, by: User, request: HttpRequest | None, detail: dict[str, object] | None = None
) -> None:
    audit.record(action, organization=role.organization, actor=by, target=role, detail=detail, request=request)
