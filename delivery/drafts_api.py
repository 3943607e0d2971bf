"""`/drafts` of the API: mail that one has begun, which the composer opens too (spec H3, L1)."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated

from django.db import transaction
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query, Router, Status
from pydantic import BaseModel, ConfigDict, Field

from delivery import saved_drafts
from delivery.forms import LONGEST_HTML, MAX_TEXT, PLAIN, RICH
from delivery.from_field import mailbox_key
from delivery.models import SavedDraft
from delivery.resources import File, decoded
from delivery.saved_drafts import DraftsFull, NotADraft
from organizations.calls import ApiRequest, Asked, Key, Listing, Problem, Text, invalid, needs
from organizations.paging import newest_first
from organizations.scopes import Scope

router = Router(tags=["Drafts"])
reads, writes = needs(Scope.DRAFTS_READ), needs(Scope.DRAFTS_WRITE)

Typed = Annotated[Text, Field(max_length=20_000)]


class DraftChanges(Asked):
    """What stands in it; members that are left out stay as they are, or empty. It may be as unfinished as it likes."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"to": "bob@example.com", "subject": "Offer", "text": "Dear Bob,"}]}
    )

    mailbox: Key | None = Field(None, description="To be sent from; whether you may is asked when it is sent.")
    to: Typed = Field("", description="As a person types it: addresses with commas between them.")
    cc: Typed = ""
    bcc: Typed = ""
    subject: Annotated[Text, Field(max_length=900)] = ""
    text: Annotated[Text, Field(max_length=MAX_TEXT)] = ""
    html: Annotated[Text, Field(max_length=LONGEST_HTML)] | None = Field(
        None, description="With it the composer opens it with formatting."
    )
    attachments: Annotated[list[File], Field(max_length=saved_drafts.MOST_FILES)] = Field(
        [], description="All of its files; those that it had go."
    )

    def fields(self) -> dict[str, object]:
        """What was sent, by the names of the composer's form."""
        values = {name: value for name, value in self.sent.items() if name != "attachments"}
        if "mailbox" in values:
            values["mailbox"] = str(self.mailbox or "")
        if "html" in values:
            values |= {"html": self.html or "", "format": RICH if self.html else PLAIN}
        elif "text" in values:
            values["format"] = PLAIN
        return values


class DraftFileDocument(BaseModel):
    filename: str
    content_type: str
    size: int = Field(description="Octets.")


class DraftSummary(BaseModel):
    id: int
    subject: str
    recipients: str = Field(description="The beginning of To.")
    changed_at: datetime


class DraftDocument(BaseModel):
    """A mail that you have begun."""

    id: int
    mailbox: int | None
    to: str
    cc: str
    bcc: str
    subject: str
    text: str
    html: str | None = Field(description="Null: it is written without formatting.")
    original: int | None = Field(description="The message that it answers or passes on.")
    attachments: list[DraftFileDocument]
    changed_at: datetime


class DraftList(BaseModel):
    items: list[DraftSummary]
    next: str | None = Field(description="The `cursor` of the next page; null on the last.")


@router.get("/drafts", auth=reads, operation_id="drafts_list", response=DraftList)
def drafts_list(request: ApiRequest, listing: Query[Listing]) -> DraftList:
    """Your drafts, what was changed last first."""
    page = newest_first(_own(request).defer("fields"), "changed_at", listing.checked_cursor, size=listing.limit)
    columns = ("subject", "recipients", "changed_at")
    items = [
        DraftSummary.model_validate({"id": one.pk} | {name: getattr(one, name) for name in columns})
        for one in page.rows
    ]
    return DraftList(items=items, next=page.next or None)


@router.post("/drafts", auth=writes, operation_id="drafts_create", response={201: DraftDocument})
def drafts_create(request: ApiRequest, body: DraftChanges) -> Status[DraftDocument]:
    """Begin a mail. You find it in the composer, under Drafts; nothing is sent. 409 where there is no room for it."""
    return Status(201, _write(request, SavedDraft(user=request.user, key=uuid.uuid4().hex, kind="compose"), body))


@router.get("/drafts/{int:pk}", auth=reads, operation_id="drafts_get", response=DraftDocument)
def drafts_get(request: ApiRequest, pk: int) -> DraftDocument:
    """One draft with what stands in it."""
    return _document(get_object_or_404(_own(request), pk=pk))


@router.patch("/drafts/{int:pk}", auth=writes, operation_id="drafts_update", response=DraftDocument)
def drafts_update(request: ApiRequest, pk: int, body: DraftChanges) -> DraftDocument:
    """Go on writing. What stands in an open composer is saved over it."""
    return _write(request, get_object_or_404(_own(request).select_related("original"), pk=pk), body)


@router.delete("/drafts/{int:pk}", auth=writes, operation_id="drafts_discard", response={204: None})
def drafts_discard(request: ApiRequest, pk: int) -> Status[None]:
    """Discard it, with its files."""
    get_object_or_404(_own(request), pk=pk).delete()
    return Status(204, None)


def _own(request: ApiRequest) -> QuerySet[SavedDraft]:
    return SavedDraft.objects.filter(user=request.user)


def _write(request: ApiRequest, draft: SavedDraft, body: DraftChanges) -> DraftDocument:
    """Raises Invalid, or Problem where there is no room."""
    files = decoded(body.attachments)
    fields = {**(draft.fields or {}), **body.fields()}
    try:
        with transaction.atomic():
            saved = saved_drafts.save(request.user, draft.key, draft.kind, draft.original, fields, timezone.now())
            if "attachments" in body.sent and saved is not None:
                before = [one.path for one in saved_drafts.files(request.user, saved.key)]
                saved_drafts.keep_files(request.user, saved.key, files, removed=before)
    except DraftsFull as exc:
        raise Problem(409, "drafts-full", "There is no room for this draft.", str(exc)) from exc
    except NotADraft as exc:
        raise invalid("attachments" if "files" in str(exc) else "", str(exc)) from exc
    return _document(get_object_or_404(SavedDraft, user=request.user, key=draft.key))


def _document(draft: SavedDraft) -> DraftDocument:
    fields = draft.fields
    mailbox = mailbox_key(fields.get("mailbox"))
    texts = {name: str(fields.get(name) or "") for name in ("to", "cc", "bcc", "subject", "text")}
    return DraftDocument(
        id=draft.pk,
        mailbox=int(mailbox) if mailbox.isascii() and mailbox.isdigit() else None,
        html=str(fields.get("html") or "") if fields.get("format") == RICH else None,
        original=draft.original_id,
        attachments=_files(draft),
        changed_at=draft.changed_at,
        **texts,
    )


def _files(draft: SavedDraft) -> list[DraftFileDocument]:
    columns = ("filename", "content_type", "size")
    rows = draft.files.filter(is_left_out=False).values(*columns)
    return [DraftFileDocument.model_validate(row) for row in rows]
