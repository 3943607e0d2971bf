"""`/suppressions` of the API: who gets no mail, and why (spec I7, L1)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query, Router, Status
from pydantic import BaseModel, ConfigDict, Field

from delivery import suppression
from delivery.addressing import checked_address
from delivery.models import Suppression
from organizations.calls import ApiRequest, Asked, FieldError, Invalid, Listing, Text, needs
from organizations.operations import Operation
from organizations.paging import newest_first
from organizations.scopes import Scope

router = Router(tags=["Suppression list"])
reads = needs(Scope.SUPPRESSIONS_READ, Operation.MANAGE_EMAIL_ACCOUNTS)
writes = needs(Scope.SUPPRESSIONS_WRITE, Operation.MANAGE_EMAIL_ACCOUNTS)

CauseName = Literal["bounce", "complaint", "by_hand"]


class SuppressionListing(Listing):
    q: Text = Field("", max_length=320, description="A part of the address.")
    cause: CauseName | None = Field(None, description="Only those that stand there for this.")

    def filters(self) -> suppression.Filters:
        return suppression.Filters(text=self.q, cause=self.cause or "")


class SuppressionDocument(BaseModel):
    """An address that gets no mail. Recipients with it are `failed` with the reason `suppressed`; others get theirs."""

    id: int
    address: str
    cause: CauseName = Field(description="bounce: mail came back for good. complaint: it was marked as spam.")
    reason: str = Field(description="Of a bounce: userunknown, hostunknown ...; else empty.")
    why: str = Field(description="The same as a sentence.")
    note: str = Field(description="What was noted by whoever put it there.")
    since: datetime
    message: int | None = Field(description="The mail in `/outbox` that came back or was complained about.")
    report: int | None = Field(description="The message that told so.")
    added_by: int | None = Field(description="The person who put it there; null where a report did.")


class SuppressionList(BaseModel):
    items: list[SuppressionDocument]
    next: str | None = Field(description="The `cursor` of the next page; null on the last.")


class NewSuppressions(Asked):
    """Addresses to put on the list."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"addresses": ["bob@example.com"], "note": "Asked for it by phone"}]}
    )

    addresses: Annotated[
        list[Annotated[Text, Field(min_length=3, max_length=320)]],
        Field(min_length=1, max_length=suppression.MOST_AT_ONCE),
    ]
    note: Annotated[Text, Field(max_length=300, pattern=r"^[^\x00\r\n]*$")] = ""

    def keys(self) -> list[str]:
        """The addresses as the list keeps them, each once. Raises Invalid with a sentence for each that is none."""
        good: dict[str, None] = {}
        errors = []
        for address in self.addresses:
            try:
                good.setdefault(Suppression.key(checked_address(address)))
            except ValueError as exc:
                errors.append(FieldError("addresses", f"“{address}” is not an email address: {exc}"))
        if errors:
            raise Invalid(*errors)
        return list(good)


class Added(BaseModel):
    added: int = Field(description="How many were not on the list before.")


@router.get("/suppressions", auth=reads, operation_id="suppressions_list", response=SuppressionList)
def suppressions_list(request: ApiRequest, listing: Query[SuppressionListing]) -> SuppressionList:
    """Addresses that get no mail, newest first."""
    found = suppression.search(request.user.organization, listing.filters())
    page = newest_first(found, "since", listing.checked_cursor, size=listing.limit)
    return SuppressionList(items=[_document(row) for row in page.rows], next=page.next or None)


@router.post("/suppressions", auth=writes, operation_id="suppressions_add", response={201: Added})
def suppressions_add(request: ApiRequest, body: NewSuppressions) -> Status[Added]:
    """Put addresses on the list. One that stands there already keeps why and since when."""
    added = suppression.add(body.keys(), body.note.strip(), request.user, timezone.now(), request)
    return Status(201, Added(added=added))


@router.get("/suppressions/{int:pk}", auth=reads, operation_id="suppressions_get", response=SuppressionDocument)
def suppressions_get(request: ApiRequest, pk: int) -> SuppressionDocument:
    """One address of the list."""
    return _document(_own_or_404(request, pk))


@router.delete("/suppressions/{int:pk}", auth=writes, operation_id="suppressions_remove", response={204: None})
def suppressions_remove(request: ApiRequest, pk: int) -> Status[None]:
    """Take an address off the list. What was not sent meanwhile stays unsent until it is sent again."""
    suppression.remove(_own_or_404(request, pk), request.user, request)
    return Status(204, None)


def _own_or_404(request: ApiRequest, pk: int) -> Suppression:
    own = Suppression.objects.of(request.user.organization).select_related("organization")
    return get_object_or_404(own, pk=pk)


def _document(row: Suppression) -> SuppressionDocument:
    own = {name: getattr(row, name) for name in ("address", "cause", "reason", "note", "since")}
    keys = {"message": row.message_id, "report": row.report_id, "added_by": row.added_by_id}
    return SuppressionDocument.model_validate({"id": row.pk, "why": suppression.why(row)} | own | keys)
