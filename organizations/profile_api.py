"""`/profile` of the API: one's own name, time zone and language, and what one may do (spec A6, L1)."""

from __future__ import annotations

from typing import Annotated, Literal

from ninja import Router
from pydantic import BaseModel, ConfigDict, Field

from organizations import profile
from organizations.calls import ApiRequest, Asked, Text, form_values, invalid_form, needs
from organizations.forms import ProfileForm
from organizations.models import User
from organizations.resources import PersonName
from organizations.scopes import Scope
from protocols.message.languages import LANGUAGES

router = Router(tags=["Profile"])


class OwnOrganization(BaseModel):
    id: int
    name: str


class ProfileDocument(BaseModel):
    """Who the token acts as."""

    id: int
    name: str
    email: str = Field(description="Changed by administrators alone.", examples=["anna@example.com"])
    time_zone: str = Field(description="Days in filters begin at its midnight.", examples=["Europe/Berlin"])
    language: str = Field(description="Of what is written into the mail you send.", examples=["de"])
    undo_seconds: int = Field(description="How long mail that you send from the pages can be taken back.")
    organization: OwnOrganization
    roles: list[int]
    operations: list[str] = Field(description="All that you hold, through roles too.")


class ProfileChanges(Asked):
    """What changes; the rest stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Anna Berg", "time_zone": "Europe/Berlin"}]})

    name: PersonName = ""
    time_zone: Annotated[Text, Field(min_length=1, max_length=63, description="A name of the IANA database.")] = ""
    language: Annotated[Text, Field(min_length=1, max_length=10, description=f"One of {', '.join(LANGUAGES)}.")] = ""
    undo_seconds: Literal[0, 5, 10, 20, 30] = 10


@router.get("/profile", auth=needs(Scope.PROFILE_READ), operation_id="profile_get", response=ProfileDocument)
def profile_get(request: ApiRequest) -> ProfileDocument:
    """Your profile, and what you may do. The token may be narrower."""
    return _document(request.user)


@router.patch("/profile", auth=needs(Scope.PROFILE_WRITE), operation_id="profile_update", response=ProfileDocument)
def profile_update(request: ApiRequest, body: ProfileChanges) -> ProfileDocument:
    """Change your name, your time zone or your language."""
    own = User.objects.select_related("organization").get(pk=request.user.pk)
    form = ProfileForm(form_values(ProfileForm(instance=own), body.sent), instance=own)
    if not form.is_valid():
        raise invalid_form(form)
    profile.keep(form, request=request)
    return _document(own)


def _document(user: User) -> ProfileDocument:
    return ProfileDocument(
        id=user.pk,
        name=user.name,
        email=user.email,
        time_zone=user.time_zone,
        language=user.language,
        undo_seconds=user.undo_seconds,
        organization=OwnOrganization(id=user.organization_id, name=user.organization.name),
        roles=sorted(role.pk for role in user.roles.all()),
        operations=sorted(user.operations),
    )
