"""`/mailboxes/{id}/access` of the API: who may use a mailbox, as on its access page (spec F1 to F4, L1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Annotated

from django.db import transaction
from django.http import Http404
from django.utils import timezone
from ninja import Router, Status
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from accounts.api import changeable_or_404, reads, writes
from accounts.models import MailboxGrant
from accounts.resources import RightName
from accounts.rights import Right
from accounts.settings_audit import note_reading
from accounts.sharing import CannotShare, Sharing
from organizations.calls import ApiRequest, Asked, Key, invalid
from organizations.models import Role, User

router = Router(tags=["Mailboxes"])

Rights = Annotated[list[RightName], Field(max_length=3)]


class GrantDocument(BaseModel):
    """What one person, or everybody in one role, may do with the mailbox."""

    id: int
    person: int | None
    role: int | None
    name: str
    rights: list[RightName]
    granted_at: datetime
    ends_at: datetime | None
    has_ended: bool


class AccessDocument(BaseModel):
    is_shared: bool = Field(description="While it is off, grants are kept and none counts.")
    owner: int | None
    grants: list[GrantDocument]


class Switch(Asked):
    is_shared: bool


class NewGrant(Asked):
    """For a person or a role."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"person": 2, "rights": ["access", "send"]}]})

    person: Key | None = None
    role: Key | None = None
    rights: Rights
    ends_at: Annotated[AwareDatetime, Field(strict=False)] | None = None


class GrantChanges(Asked):
    """The rights that it holds from now on, and when it ends; what is missing stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"rights": ["access"]}]})

    rights: Rights | None = None
    ends_at: Annotated[AwareDatetime, Field(strict=False)] | None = None


@router.get("/mailboxes/{int:pk}/access", auth=reads, operation_id="access_get", response=AccessDocument)
def access_get(request: ApiRequest, pk: int) -> AccessDocument:
    """Who may use the mailbox, for those who may change its settings."""
    note_reading(request, changeable_or_404(request, pk), request.user)
    return _document(request, pk)


@router.patch("/mailboxes/{int:pk}/access", auth=writes, operation_id="access_switch", response=AccessDocument)
def access_switch(request: ApiRequest, pk: int, body: Switch) -> AccessDocument:
    """Allow shared access, or stop it. Grants stay as they are."""
    return _changed(request, pk, lambda sharing: sharing.switch(on=body.is_shared))


@router.post("/mailboxes/{int:pk}/access", auth=writes, operation_id="access_give", response={201: AccessDocument})
def access_give(request: ApiRequest, pk: int, body: NewGrant) -> Status[AccessDocument]:
    """Let a person or a role use the mailbox."""
    rights = [Right(right) for right in body.rights]
    return Status(
        201, _changed(request, pk, lambda sharing: sharing.give(_receivers(request, body), rights, body.ends_at))
    )


@router.patch(
    "/mailboxes/{int:pk}/access/{int:grant_pk}", auth=writes, operation_id="access_change", response=AccessDocument
)
def access_change(request: ApiRequest, pk: int, grant_pk: int, body: GrantChanges) -> AccessDocument:
    """Change what one grant gives, or until when. It counts at once."""

    def change(sharing: Sharing) -> None:
        if body.rights is not None:
            sharing.set_rights(grant_pk, [Right(right) for right in body.rights])
        if "ends_at" in body.model_fields_set:
            sharing.set_end(grant_pk, body.ends_at)

    return _changed(request, pk, change)


@router.delete(
    "/mailboxes/{int:pk}/access/{int:grant_pk}", auth=writes, operation_id="access_take", response=AccessDocument
)
def access_take(request: ApiRequest, pk: int, grant_pk: int) -> AccessDocument:
    """End a grant at once."""
    return _changed(request, pk, lambda sharing: sharing.take_away(grant_pk))


def _receivers(request: ApiRequest, body: NewGrant) -> Iterator[User | Role]:
    """Whom the call names, all of them or none. Raises Invalid."""
    kinds: tuple[tuple[str, type[User | Role], int | None], ...] = (
        ("person", User, body.person),
        ("role", Role, body.role),
    )
    for field, kind, pk in kinds:
        if pk is None:
            continue
        found = kind._default_manager.filter(organization_id=request.user.organization_id, pk=pk).first()
        if found is None:
            raise invalid(field, f"There is no such {field} here.")
        yield found


def _changed(request: ApiRequest, pk: int, change: Callable[[Sharing], object]) -> AccessDocument:
    mailbox = changeable_or_404(request, pk)
    try:
        with transaction.atomic():  # several changes of one call count together or not at all
            change(Sharing(mailbox, request.user, timezone.now(), request))
    except CannotShare as exc:
        raise invalid({"to": "person", "ends_on": "ends_at"}.get(exc.field, exc.field), str(exc)) from exc
    except MailboxGrant.DoesNotExist as exc:
        raise Http404("There is no such grant.") from exc
    return _document(request, pk)


def _document(request: ApiRequest, pk: int) -> AccessDocument:
    mailbox, now = changeable_or_404(request, pk), timezone.now()
    grants = mailbox.grants.select_related("user", "role").order_by("pk")
    return AccessDocument(
        is_shared=mailbox.is_shared, owner=mailbox.owner_id, grants=[_grant(grant, now) for grant in grants]
    )


def _grant(grant: MailboxGrant, now: datetime) -> GrantDocument:
    return GrantDocument(
        id=grant.pk,
        person=grant.user_id,
        role=grant.role_id,
        name=str(grant.receiver),
        rights=[right.value for right in Right if right in grant.rights],
        granted_at=grant.granted_at,
        ends_at=grant.ends_at,
        has_ended=grant.has_ended(now),
    )
