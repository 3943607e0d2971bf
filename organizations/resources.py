"""What the API takes and gives about people, invitations and roles."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from organizations.calls import Asked, Key, Text
from organizations.models import Invitation, Role, User
from organizations.operations import OFFERED

PersonName = Annotated[Text, Field(min_length=1, max_length=150)]
RoleName = Annotated[Text, Field(min_length=1, max_length=100)]


class PersonDocument(BaseModel):
    id: int
    name: str
    email: str = Field(examples=["anna@example.com"])
    is_active: bool
    time_zone: str
    date_joined: datetime
    roles: list[int]
    operations: list[str] = Field(description="Given to the person alone; roles give more.")


class PersonList(BaseModel):
    items: list[PersonDocument]
    next: str | None = Field(description="The `cursor` of the next page; null on the last.")


class PersonChanges(Asked):
    """What changes; the rest stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Anna Berg"}]})

    name: PersonName = ""


class NewInvitation(Asked):
    """Whom to invite, and into which roles."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Anna Berg", "email": "anna@example.com", "roles": []}]}
    )

    name: PersonName
    email: Annotated[Text, Field(min_length=1, max_length=254)]
    roles: Annotated[list[Key], Field(max_length=100)] = Field([], description="Only those that are yours to give.")
    sends_mail: bool = Field(True, description="Mail the link to the person; false: you pass it on.")


class Renewal(Asked):
    sends_mail: bool = Field(True, description="Mail the new link to the person; false: you pass it on.")


class InvitationDocument(BaseModel):
    """Somebody who may become a person of the organization, until it runs out."""

    id: int
    name: str
    email: str
    roles: list[int]
    invited_by: int | None
    created_at: datetime
    expires_at: datetime
    mailed_at: datetime | None
    failure: str = Field(description="Why the last mail with the link did not leave, as a sentence; else empty.")


class InvitationWithLink(InvitationDocument):
    link: str = Field(description="Opens the invitation, once. It is shown only now.")


class InvitationList(BaseModel):
    items: list[InvitationDocument]
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


class NewRole(Asked):
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Front desk"}]})

    name: RoleName


class RoleChanges(Asked):
    """What changes; the rest stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Reception"}]})

    name: RoleName = ""


def person_document(user: User) -> PersonDocument:
    return PersonDocument(
        id=user.pk,
        name=user.name,
        email=user.email,
        is_active=user.is_active,
        time_zone=user.time_zone,
        date_joined=user.date_joined,
        roles=sorted(membership.role_id for membership in user.memberships.all()),
        operations=sorted(grant.operation for grant in user.operation_grants.all()),
    )


def invitation_document(invitation: Invitation) -> InvitationDocument:
    return InvitationDocument(
        id=invitation.pk,
        name=invitation.name,
        email=invitation.email,
        roles=sorted(role.pk for role in invitation.roles.all()),
        invited_by=invitation.invited_by_id,
        created_at=invitation.created_at,
        expires_at=invitation.expires_at,
        mailed_at=invitation.mailed_at,
        failure=invitation.failure,
    )


def role_document(role: Role) -> RoleDocument:
    granted = sorted(grant.operation for grant in role.operation_grants.all())
    return RoleDocument(
        id=role.pk,
        name=role.name,
        is_administrators=role.is_administrators,
        members=sorted(membership.user_id for membership in role.memberships.all()),
        operations=list(OFFERED) if role.is_administrators else granted,
    )
