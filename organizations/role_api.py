"""`/roles` of the API: what they are called, who is in them, what they give (spec A3, A4, L1)."""

from __future__ import annotations

from django.shortcuts import get_object_or_404
from ninja import Query, Router, Status

from organizations import authority, granting, people, role_keeping
from organizations.api import keeping_an_administrator, offered, person_or_404, reads, writes
from organizations.calls import ApiRequest, Asked, Invalid, Listing, form_values, invalid, invalid_form
from organizations.models import Role
from organizations.operations import Operation
from organizations.paging import in_key_order
from organizations.people_forms import NAME_TAKEN, RoleForm
from organizations.resources import NewRole, RoleChanges, RoleDocument, RoleList, role_document
from organizations.role_keeping import NameTaken

router = Router(tags=["People"])


@router.get("/roles", auth=reads, operation_id="roles_list", response=RoleList)
def roles_list(request: ApiRequest, listing: Query[Listing]) -> RoleList:
    """The roles of the organization, with their members and what they may do."""
    found = Role.objects.filter(organization_id=request.user.organization_id)
    found = found.prefetch_related("memberships", "operation_grants")
    page = in_key_order(found, listing.checked_cursor, size=listing.limit)
    return RoleList(items=[role_document(role) for role in page.rows], next=page.next or None)


@router.post("/roles", auth=writes, operation_id="roles_create", response={201: RoleDocument})
def roles_create(request: ApiRequest, body: NewRole) -> Status[RoleDocument]:
    """Make a role without members that gives nothing."""
    organization, name = request.user.organization, _name(request, body)
    try:
        role = role_keeping.create(organization, name, by=request.user, request=request)
    except NameTaken as exc:
        raise _taken() from exc
    return Status(201, role_document(role))


@router.patch("/roles/{int:pk}", auth=writes, operation_id="roles_update", response=RoleDocument)
def roles_update(request: ApiRequest, pk: int, body: RoleChanges) -> RoleDocument:
    """Rename a role."""
    role = _role_or_404(request, pk)
    authority.require(role_keeping.refusal_to_keep(request.user, role))
    try:
        role_keeping.rename(role, _name(request, body, role), by=request.user, request=request)
    except NameTaken as exc:
        raise _taken() from exc
    return role_document(role)


@router.delete("/roles/{int:pk}", auth=writes, operation_id="roles_delete", response={204: None})
def roles_delete(request: ApiRequest, pk: int) -> Status[None]:
    """Delete a role. Its members lose what it gave."""
    role_keeping.delete(_role_or_404(request, pk), by=request.user, request=request)
    return Status(204, None)


@router.put(
    "/roles/{int:pk}/members/{int:person_pk}", auth=writes, operation_id="roles_add_member", response=RoleDocument
)
def roles_add_member(request: ApiRequest, pk: int, person_pk: int) -> RoleDocument:
    """Put a person into a role that is yours to give. Harmless when repeated."""
    role = _role_or_404(request, pk)
    people.join_role(person_or_404(request, person_pk), role, by=request.user, request=request)
    return role_document(role)


@router.delete(
    "/roles/{int:pk}/members/{int:person_pk}", auth=writes, operation_id="roles_remove_member", response=RoleDocument
)
def roles_remove_member(request: ApiRequest, pk: int, person_pk: int) -> RoleDocument:
    """Take a person out of a role."""
    role = _role_or_404(request, pk)
    with keeping_an_administrator():
        people.leave_role(person_or_404(request, person_pk), role, by=request.user, request=request)
    return role_document(role)


@router.put(
    "/roles/{int:pk}/operations/{operation}", auth=writes, operation_id="roles_give_operation", response=RoleDocument
)
def roles_give_operation(request: ApiRequest, pk: int, operation: Operation) -> RoleDocument:
    """Let everybody in a role do something that you may do. Harmless when repeated."""
    role = _role_or_404(request, pk)
    granting.give(offered(operation), role, by=request.user, request=request)
    return role_document(role)


@router.delete(
    "/roles/{int:pk}/operations/{operation}", auth=writes, operation_id="roles_take_operation", response=RoleDocument
)
def roles_take_operation(request: ApiRequest, pk: int, operation: Operation) -> RoleDocument:
    """Take an operation from a role. What its members have otherwise stays."""
    role = _role_or_404(request, pk)
    granting.take(offered(operation), role, by=request.user, request=request)
    return role_document(role)


def _role_or_404(request: ApiRequest, pk: int) -> Role:
    return get_object_or_404(Role, pk=pk, organization_id=request.user.organization_id)


def _name(request: ApiRequest, body: Asked, role: Role | None = None) -> str:
    """The name that was sent, or the one that `role` has. Raises Invalid."""
    organization = request.user.organization
    before = RoleForm(organization=organization, role=role)
    form = RoleForm(form_values(before, body.sent), organization=organization, role=role)
    if not form.is_valid():
        raise invalid_form(form)
    return str(form.cleaned_data["name"])


def _taken() -> Invalid:
    return invalid("name", NAME_TAKEN)
