"""`/audit-log` of the API: who did what, with the filters of the page (spec A8, L1)."""

from __future__ import annotations

from datetime import datetime

from ninja import Query, Router
from pydantic import BaseModel, Field, JsonValue

from organizations import audit_log
from organizations.audit_forms import AuditFilterForm
from organizations.audit_words import words_for
from organizations.calls import LARGEST_KEY, ApiRequest, Day, Listing, Text, invalid_form, needs
from organizations.models import AuditEntry
from organizations.operations import Operation
from organizations.paging import newest_first
from organizations.scopes import Scope

router = Router(tags=["Organization"])


class AuditListing(Listing):
    """The filters of the page; each narrows further."""

    person: int | None = Field(
        None, ge=0, le=LARGEST_KEY, description="Who did it; 0 for the system and for people removed since."
    )
    action: Text = Field("", max_length=60, examples=["mailbox.deleted"])
    object: Text = Field("", max_length=101, description="One thing: its kind, a colon, its id, as in `mailbox:12`.")
    name: Text = Field("", max_length=320, description="The whole name of what it was done to.")
    outcome: AuditEntry.Outcome | None = None
    since: Day | None = Field(None, description="First day, in your time zone.")
    until: Day | None = Field(None, description="Last day.")

    def asked(self) -> dict[str, str]:
        """As the page's form sends it."""
        given = self.model_dump(exclude={"cursor", "limit"}, exclude_none=True)
        return {name: str(value) for name, value in given.items()}


class AuditObject(BaseModel):
    kind: str = Field(examples=["mailbox"])
    id: str
    name: str = Field(description="What it was called then.")


class AuditDocument(BaseModel):
    """One entry; none is ever changed."""

    id: int
    at: datetime
    person: int | None = Field(description="Who did it; null for the system and for people removed since.")
    person_name: str = Field(description="What they were called then.")
    action: str = Field(examples=["mailbox.deleted"])
    words: str = Field(description="The action as the page calls it.", examples=["Email account deleted"])
    object: AuditObject | None
    outcome: AuditEntry.Outcome
    address: str | None = Field(description="The IP address that it came from.")
    detail: dict[str, JsonValue] = Field(description="What else is known, by action; never a secret.")


class AuditList(BaseModel):
    items: list[AuditDocument]
    next: str | None = Field(description="The `cursor` of the next page; null on the last.")


@router.get(
    "/audit-log",
    auth=needs(Scope.AUDIT_LOG_READ, Operation.MANAGE_PEOPLE),
    operation_id="audit_log_list",
    response=AuditList,
)
def audit_log_list(request: ApiRequest, listing: Query[AuditListing]) -> AuditList:
    """The audit log, newest first."""
    organization = request.user.organization
    form = AuditFilterForm(listing.asked(), organization=organization)
    if not form.is_valid():
        raise invalid_form(form)
    found = audit_log.search(organization, form.filters())
    page = newest_first(found, "at", listing.checked_cursor, size=listing.limit)
    return AuditList(items=[_document(entry) for entry in page.rows], next=page.next or None)


def _document(entry: AuditEntry) -> AuditDocument:
    about = AuditObject(kind=entry.object_type, id=entry.object_id, name=entry.object_label)
    return AuditDocument(
        id=entry.pk,
        at=entry.at,
        person=entry.actor_id,
        person_name=entry.actor_label,
        action=entry.action,
        words=words_for(entry.action),
        object=about if entry.object_type else None,
        outcome=AuditEntry.Outcome(entry.outcome),
        address=entry.address,
        detail=entry.detail,
    )
