"""`/people` and `/roles` of the API, to read (spec A2, A3, L1)."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Prefetch
from django.shortcuts import get_object_or_404
from ninja import Query, Router
from pydantic import BaseModel, Field

from organizations.calls import ApiRequest, Listing, Text, needs
from organizations.models import Role, RoleMembership, User
from organizations.operations import OFFERED, Operation
from organizations.paging import in_key_order
from organizations.scopes import Scope

router = Router(tags=["People"])
reads = needs(Scope.PEOPLE_READ, Operation.MANAGE_PEOPLE)


class PersonDocument(BaseModel):
    id: int
    name: str
    email: str = Field(examples=["anna@example.com"])
    is_active: bool
    time_zone: str
    date_joined: datetime
    roles: list[int]


class PersonList(BaseModel):
    items: list[PersonDocument]
    next: str | None = Field(description="The `cursor` of the next page; null on the last.")


class RoleDocument(BaseModel):
    id: int
    name: str
    is_administrators: bool = Field(description="The built-in role, which holds every operation.")
    members: list[int]
    operations: list[str]


class RoleList(BaseModel):
    items: list[RoleDocument]
    next: str | None = Field(description="The `cursor` of the next page; null on the last.")


class PeopleListing(Listing):
    email: Text = Field("", max_length=254, description="Only the person with this address.")


@router.get("/people", auth=reads, operation_id="people_list", response=PersonList)
def people_list(request: ApiRequest, listing: Query[PeopleListing]) -> PersonList:
    """The people of the organization, deactivated ones too."""
    found = User.objects.filter(organization_id=request.user.organization_id)
    if listing.email:
        found = found.filter(email__iexact=listing.email)
    memberships = Prefetch("memberships", RoleMembership.objects.order_by("role_id"))
    page = in_key_order(found.prefetch_related(memberships), listing.checked_cursor, size=listing.limit)
    return PersonList(items=[_person(user) for user in page.rows], next=page.next or None)


@router.get("/people/{int:pk}", auth=reads, operation_id="people_get", response=PersonDocument)
def people_get(request: ApiRequest, pk: int) -> PersonDocument:
    """One person."""
    return _person(get_object_or_404(User, pk=pk, organization_id=request.user.organization_id))


@router.get("/roles", auth=reads, operation_id="roles_list", response=RoleList)
def roles_list(request: ApiRequest, listing: Query[Listing]) -> RoleList:
    """The roles of the organization, with their members and what they may do."""
    found = Role.objects.filter(organization_id=request.user.organization_id)
    found = found.prefetch_related("memberships", "operation_grants")
    page = in_key_order(found, listing.checked_cursor, size=listing.limit)
    return RoleList(items=[_role(role) for role in page.rows], next=page.next or None)


def _person(user: User) -> PersonDocument:
    return PersonDocument(
        id=user.pk,
        name=user.name,
        email=user.email,
        is_active=user.is_active,
        time_zone=user.time_zone,
        date_joined=user.date_joined,
        roles=[membership.role_id for membership in user.memberships.all()],
    )


def _role(role: Role) -> RoleDocument:
    granted = sorted(grant.operation for grant in role.operation_grants.all())
    return RoleDocument(
        id=role.pk,
        name=role.name,
        is_administrators=role.is_administrators,
        members=sorted(membership.user_id for membership in role.memberships.all()),
        operations=list(OFFERED) if role.is_administrators else granted,
    )
