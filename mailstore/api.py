"""`/messages`, and what `/mailboxes` says about syncs (spec G1, G5, E11, L1)."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import Http404
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query, Router, Status
from pydantic import Field

from accounts.api import changeable_or_404, visible_or_404
from accounts.api import reads as reads_mailboxes
from accounts.api import writes as writes_mailboxes
from accounts.models import Mailbox
from mailstore import message_orders
from mailstore.downloads import attachment_file, message_file
from mailstore.message_orders import Marks, MoveOrder
from mailstore.models import Message, MessageQuerySet
from mailstore.packs import RawUnavailable
from mailstore.resources import (
    MessageDocument,
    MessageList,
    MessageSummary,
    SyncDocument,
    attachments_of,
    message_document,
    message_summary,
    sync_document,
)
from mailstore.schedule import progress, release, request_sync, resume
from mailstore.search_places import unknown_places
from mailstore.search_words import LONGEST_QUERY
from mailstore.searching import newest_found, parse
from organizations.calls import (
    LARGEST_KEY,
    ApiRequest,
    FieldError,
    Invalid,
    Listing,
    Problem,
    Text,
    invalid,
    needs,
    octets,
)
from organizations.paging import newest_first
from organizations.scopes import Scope

router = Router()
reads = needs(Scope.MESSAGES_READ)
writes = needs(Scope.MESSAGES_WRITE)
UNKNOWN_MAILBOX = "There is no such mailbox whose mail you may read."


class MessageListing(Listing):
    mailbox: int | None = Field(None, ge=1, le=LARGEST_KEY, description="Only of this mailbox.")
    folder: int | None = Field(None, ge=1, le=LARGEST_KEY, description="Only in this folder.")
    q: Text = Field(
        "",
        max_length=LONGEST_QUERY,
        description='As in the search box: words, "phrases", from: to: subject: has:attachment before: after: in: -not',
    )


@router.get("/messages", auth=reads, operation_id="messages_list", response=MessageList, tags=["Messages"])
def messages_list(request: ApiRequest, listing: Query[MessageListing]) -> MessageList:
    """Messages that you may read, newest first, in all mailboxes or one, all folders or one; `q` searches."""
    found = _readable(request)
    if listing.mailbox is not None:
        mailboxes = Mailbox.objects.readable_by(request.user, timezone.now())
        if not mailboxes.filter(pk=listing.mailbox).exists():
            raise invalid("mailbox", UNKNOWN_MAILBOX)
        found = found.filter(mailbox_id=listing.mailbox)
    if listing.folder is not None:
        found = found.filter(folder_id=listing.folder)
    if listing.q.strip():
        complaints = parse(listing.q, timezone.get_current_timezone()).complaints
        if complaints := complaints + unknown_places(listing.q, _searched(request, listing.mailbox)):
            raise Invalid(*(FieldError("q", complaint) for complaint in complaints))
        page = newest_found(found, listing.q, listing.checked_cursor, size=listing.limit)
    else:
        page = newest_first(found, "received_at", listing.checked_cursor, size=listing.limit)
    return MessageList(items=[message_summary(message) for message in page.rows], next=page.next or None)


def _searched(request: ApiRequest, mailbox_pk: int | None) -> QuerySet[Mailbox]:
    mailboxes = Mailbox.objects.readable_by(request.user, timezone.now())
    return mailboxes if mailbox_pk is None else mailboxes.filter(pk=mailbox_pk)


@router.get("/messages/{int:pk}", auth=reads, operation_id="messages_get", response=MessageDocument, tags=["Messages"])
def messages_get(request: ApiRequest, pk: int) -> MessageDocument:
    """One message with its text. Looking at it here does not mark it as read."""
    return message_document(_message_or_404(request, pk))


@router.patch(
    "/messages/{int:pk}", auth=writes, operation_id="messages_mark", response=MessageSummary, tags=["Messages"]
)
def messages_mark(request: ApiRequest, pk: int, body: Marks) -> MessageSummary:
    """Mark a message as read or unread, starred or not. The mail server is told a moment later.

    What it refuses is taken back, so look again where it matters.
    """
    return message_summary(message_orders.mark(request, message_orders.changeable_or_404(request, pk), body))


@router.post(
    "/messages/{int:pk}/move", auth=writes, operation_id="messages_move", response=MessageSummary, tags=["Messages"]
)
def messages_move(request: ApiRequest, pk: int, body: MoveOrder) -> MessageSummary:
    """Move a message. It keeps its id; the mail server is told a moment later.

    In a folder that is not downloaded, such as the trash unless it was chosen, it is not found any more.
    """
    return message_summary(message_orders.move(request, message_orders.changeable_or_404(request, pk), body))


@router.delete(
    "/messages/{int:pk}", auth=writes, operation_id="messages_delete", response={204: None}, tags=["Messages"]
)
def messages_delete(request: ApiRequest, pk: int) -> Status[None]:
    """Delete a message for good, here and a moment later on the mail server. It cannot be undone.

    Only from the trash and from spam; elsewhere `POST /messages/{id}/move` with the role trash comes first.
    """
    message_orders.remove(request, message_orders.changeable_or_404(request, pk))
    return Status(204, None)


@router.get(
    "/messages/{int:pk}/raw",
    auth=reads,
    operation_id="messages_raw",
    tags=["Messages"],
    openapi_extra=octets("message/rfc822"),
)
def messages_raw(request: ApiRequest, pk: int) -> HttpResponseBase:
    """The message as it came, octet by octet (RFC 5322)."""
    try:
        return message_file(request, _message_or_404(request, pk), content_type="message/rfc822")
    except RawUnavailable as exc:
        raise _unavailable(exc) from exc


@router.get(
    "/messages/{int:pk}/attachments/{int:number}",
    auth=reads,
    operation_id="messages_attachment",
    tags=["Messages"],
    openapi_extra=octets("*/*"),
)
def messages_attachment(request: ApiRequest, pk: int, number: int) -> HttpResponseBase:
    """A file of a message, decoded."""
    files = attachments_of(_message_or_404(request, pk))
    if not 1 <= number <= len(files):
        raise Http404(f"The message has {len(files)} attachments.")
    try:
        return attachment_file(request, files[number - 1])
    except RawUnavailable as exc:
        raise _unavailable(exc) from exc
    except KeyError as exc:
        raise Http404("The message has no such part.") from exc


@router.get(
    "/mailboxes/{int:pk}/sync",
    auth=reads_mailboxes,
    operation_id="mailboxes_sync_state",
    response=SyncDocument,
    tags=["Mailboxes"],
)
def mailboxes_sync_state(request: ApiRequest, pk: int) -> SyncDocument:
    """How far the present sync is, or how the last one ended."""
    return sync_at(request, pk)


@router.post(
    "/mailboxes/{int:pk}/sync",
    auth=writes_mailboxes,
    operation_id="mailboxes_sync",
    response={202: SyncDocument},
    tags=["Mailboxes"],
)
def mailboxes_sync(request: ApiRequest, pk: int) -> Status[SyncDocument]:
    """Ask for new mail at once. A login that the server refused is not tried before its time."""
    mailbox = visible_or_404(request, pk)
    refuse_send_only(mailbox)
    resume(mailbox.pk)
    request_sync(mailbox.pk)
    return Status(202, sync_at(request, pk))


def refuse_send_only(mailbox: Mailbox) -> None:
    """Raises Problem 409 where there is no server to fetch mail from."""
    if not mailbox.imap_host:
        raise Problem(409, "only-sends", "This mailbox only sends.", "It has no IMAP server to fetch mail from.")


@router.post(
    "/mailboxes/{int:pk}/sync/release",
    auth=writes_mailboxes,
    operation_id="mailboxes_release_sync",
    response=SyncDocument,
    tags=["Mailboxes"],
)
def mailboxes_release_sync(request: ApiRequest, pk: int) -> SyncDocument:
    """Take the mailbox from a process that hangs with it; the next free one goes on. Harmless where nobody syncs it."""
    release(changeable_or_404(request, pk), by=request.user, now=timezone.now(), request=request)
    return sync_at(request, pk)


def sync_at(request: ApiRequest, pk: int) -> SyncDocument:
    mailbox, now = visible_or_404(request, pk), timezone.now()
    may_change = Mailbox.objects.manageable_by(request.user, now).filter(pk=pk).exists()
    return sync_document(progress(getattr(mailbox, "schedule", None), now), with_holder=may_change)


def _readable(request: ApiRequest) -> MessageQuerySet:
    return Message.objects.live().readable_by(request.user, timezone.now())


def _message_or_404(request: ApiRequest, pk: int) -> Message:
    return get_object_or_404(_readable(request), pk=pk)


def _unavailable(reason: RawUnavailable) -> Problem:
    return Problem(404, "content-unavailable", "The content of this message cannot be read.", str(reason))
