"""What happens to people after they have joined: changed, deactivated, reactivated, removed (spec A2, A3).

Pages and the API come through here. Each change asks who makes it, and leaves an audit entry.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest

from organizations import audit, authority, departures, roles
from organizations.models import Invitation, Organization, Role, User


def search(organization: Organization, text: str = "") -> QuerySet[User]:
    """People whose name or address holds `text`, whatever its case."""
    people = User.objects.filter(organization=organization)
    return people.filter(Q(name__icontains=text) | Q(email__icontains=text)) if text else people


def rename(person: User, name: str, *, by: User, request: HttpRequest | None = None) -> None:
    """Give `person` another name. Raises BeyondAuthority. Addresses are the subject of `new_address`."""
    authority.require(authority.refusal_to_change(by, person))
    before = person.name
    if before == name:
        return
    person.name = name
    with transaction.atomic():
        person.save(update_fields=["name"])
        _record("user.changed", person, by, request, {"name before": before, "name now": name})


def deactivate(person: User, *, by: User, now: datetime, request: HttpRequest | None = None) -> None:
    """End every session at once and let nobody in any more. Raises BeyondAuthority, LastAdministrator."""
    authority.require(authority.refusal_to_end(by, person))
    if not person.is_active:
        return
    with transaction.atomic():
        roles.deactivate(person)
        User.objects.filter(pk=person.pk).update(session_epoch=F("session_epoch") + 1)
        _withdraw_invitations(person, now)
        _record("user.deactivated", person, by, request)


def reactivate(person: User, *, by: User, request: HttpRequest | None = None) -> None:
    """Let the person sign in again, with the old password. Sessions from before stay closed. Raises BeyondAuthority."""
    authority.require(authority.refusal_to_change(by, person))
    if person.is_active:
        return
    with transaction.atomic():
        person.is_active = True
        person.save(update_fields=["is_active"])
        _record("user.reactivated", person, by, request)


def remove(person: User, *, by: User, now: datetime, request: HttpRequest | None = None) -> None:
    """Delete the person with everything that is hers alone. Raises BeyondAuthority, LastAdministrator."""
    authority.require(authority.refusal_to_end(by, person))
    with transaction.atomic():
        _withdraw_invitations(person, now)
        departures.person_leaving.send(User, user=person)
        _record("user.removed", person, by, request, {"address": person.email})
        person.delete()


def join_role(person: User, role: Role, *, by: User, request: HttpRequest | None = None) -> None:
    """Put `person` into `role`. Raises BeyondAuthority."""
    authority.require(authority.refusal_over_role(by, role))
    if role.memberships.filter(user=person).exists():
        return
    with transaction.atomic():
        roles.add_member(role, person, added_by=by)
        _record("role.member_added", role, by, request, {"person": str(person)})


def leave_role(person: User, role: Role, *, by: User, request: HttpRequest | None = None) -> None:
    """Take `person` out of `role`. Raises BeyondAuthority, LastAdministrator."""
    authority.require(authority.refusal_over_role(by, role))
    if not role.memberships.filter(user=person).exists():
        return
    with transaction.atomic():
        roles.remove_member(role, person)
        _record("role.member_removed", role, by, request, {"person": str(person)})


def _withdraw_invitations(person: User, now: datetime) -> None:
    """Links that somebody keeps who was just sent away must not open the door again."""
    Invitation.objects.open().filter(invited_by=person).update(withdrawn_at=now)


def _record(
    action: str, target: User | Role, by: User, request: HttpRequest | None, detail: dict[str, object] | None = None
) -> None:
    audit.record(action, organization=target.organization, actor=by, target=target, detail=detail, request=request)
