"""`/outbox` and `/email-log` of the API (spec I1, I4, I9, L1)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Annotated

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query, Router, Status
from ninja.params.models import Header
from pydantic import Field

from accounts.models import Mailbox
from delivery import deciding, log
from delivery.explaining import story_of
from delivery.models import OutboxMessage
from delivery.outbox import CannotBeQueued, KeyReused, MayNotSend, queue_message
from delivery.resources import (
    Decision,
    NewMessage,
    OutboxDocument,
    OutboxList,
    StateName,
    story_document,
    summary_document,
)
from delivery.states import Origin, Priority
from delivery.wanted import Wanted
from mailstore.models import Message
from organizations.calls import LARGEST_KEY, ApiRequest, Day, Listing, Problem, Text, invalid, needs
from organizations.models import User
from organizations.scopes import Scope

router = Router(tags=["Outbox"])
reads, sends = needs(Scope.OUTBOX_READ), needs(Scope.OUTBOX_SEND)

NO_DEFAULT = (
    "No mailbox was named, and there is no default account that could stand in for it. "
    "Name one, or let an administrator choose the default account."
)
DECISIONS: dict[str, Callable[[OutboxMessage, User, datetime], int]] = {
    "send-now": deciding.send_now,
    "try-again": deciding.try_again,
    "send-again": deciding.send_again,
    "mark-sent": deciding.mark_sent,
    "save-copy": deciding.file_copy_again,
}
IdempotencyKey = Annotated[
    str,
    Header(
        ...,
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Yours, new for each mail: a repeated request with the same key sends nothing twice.",
    ),
]


class LogListing(Listing):
    state: StateName | None = Field(None, description="Any recipient in it.")
    mailbox: int | None = Field(None, ge=1, le=LARGEST_KEY)
    q: Text = Field("", max_length=200, description="In the subject or an address.")
    since: Day | None = Field(None, description="First day, in your time zone.")
    until: Day | None = Field(None, description="Last day.")

    def filters(self) -> log.Filters:
        return log.Filters(
            state=self.state or "",
            mailbox_pk=self.mailbox,
            text=self.q,
            since=_midnight("since", self.since),
            until=_midnight("until", self.until, days=1),
        )


@router.get("/outbox", auth=reads, operation_id="outbox_list", response=OutboxList)
def outbox_list(request: ApiRequest, listing: Query[Listing]) -> OutboxList:
    """What you have sent, newest first."""
    mine = OutboxMessage.objects.visible_to(request.user, timezone.now()).filter(author=request.user)
    return _listed(mine, listing)


@router.post("/outbox", auth=sends, operation_id="outbox_send", response={201: OutboxDocument})
def outbox_send(
    request: ApiRequest, response: HttpResponse, body: NewMessage, idempotency_key: IdempotencyKey
) -> Status[OutboxDocument]:
    """Queue a mail. It is kept before this answers, and sent in the background; look here what became of it.

    The same key with the same body gives the same answer; with another body it is refused (409).
    """
    began = timezone.now()
    mailbox = _mailbox(request, body.mailbox)
    answers = None
    if body.answers is not None:
        readable = Message.objects.readable_by(request.user, began)
        if (answers := readable.filter(pk=body.answers).first()) is None:
            raise invalid("answers", "There is no such message that you may read.")
    wanted = Wanted(
        author=request.user,
        mailbox=mailbox,
        to=body.addresses("to"),
        cc=body.addresses("cc"),
        bcc=body.addresses("bcc"),
        subject=body.subject,
        text=body.text,
        html=body.html,
        attachments=body.files(),
        answers=answers,
        submission_key=_submission_key(idempotency_key),
        origin=Origin.API,
        priority=Priority.PROGRAM,
    )
    message = _queued(lambda: queue_message(wanted))
    return _answered(request, response, message, began)


@router.get("/outbox/{int:pk}", auth=reads, operation_id="outbox_get", response=OutboxDocument)
def outbox_get(request: ApiRequest, pk: int) -> OutboxDocument:
    """One message: each recipient, each attempt, and why it was sent from there."""
    return _document(request, pk)


@router.post("/outbox/{int:pk}/cancel", auth=sends, operation_id="outbox_cancel", response=OutboxDocument)
def outbox_cancel(request: ApiRequest, pk: int) -> OutboxDocument:
    """Take back what still waits in the queue."""
    return _decided(request, pk, deciding.cancel)


@router.post("/outbox/{int:pk}/decide", auth=sends, operation_id="outbox_decide", response=OutboxDocument)
def outbox_decide(request: ApiRequest, pk: int, body: Decision) -> OutboxDocument:
    """Settle what failed, waits, or is uncertain. Nothing uncertain is ever sent again without this."""
    return _decided(request, pk, DECISIONS[body.decision])


@router.post("/outbox/{int:pk}/resend", auth=sends, operation_id="outbox_resend", response={201: OutboxDocument})
def outbox_resend(
    request: ApiRequest, response: HttpResponse, pk: int, idempotency_key: IdempotencyKey
) -> Status[OutboxDocument]:
    """Send the same mail to the same people once more, as a new message."""
    began = timezone.now()
    original = _message_or_404(request, pk)
    key = _submission_key(idempotency_key)
    copy = _queued(lambda: deciding.resend(original, request.user, began, submission_key=key))
    return _answered(request, response, copy, began)


@router.get("/email-log", auth=reads, operation_id="email_log_list", response=OutboxList, tags=["Email log"])
def email_log_list(request: ApiRequest, listing: Query[LogListing]) -> OutboxList:
    """Outgoing mail that you may know of, newest first: of your mailboxes, or of all with the operation."""
    return _listed(log.search(request.user, listing.filters(), timezone.now()), listing)


def _listed(found: QuerySet[OutboxMessage], listing: Listing) -> OutboxList:
    page = log.page(found, after=listing.checked_cursor, size=listing.limit)
    return OutboxList(items=[summary_document(row) for row in page.rows], next=page.next or None)


def _mailbox(request: ApiRequest, pk: int | None) -> Mailbox:
    """The named mailbox, or the organization's default account (spec E5). Raises Invalid."""
    if pk is not None:
        mailbox = Mailbox.objects.visible_to(request.user, timezone.now()).filter(pk=pk).first()
        if mailbox is None:
            raise invalid("mailbox", "There is no such mailbox.")
        return mailbox
    mailbox = Mailbox.objects.in_organization_of(request.user).filter(is_default=True).first()
    if mailbox is None:
        raise invalid("mailbox", NO_DEFAULT)
    return mailbox


def _queued(queue: Callable[[], OutboxMessage]) -> OutboxMessage:
    try:
        return queue()
    except MayNotSend as exc:
        raise Problem(403, "may-not-send", "You may not send from this mailbox.", str(exc)) from exc
    except KeyReused as exc:
        raise Problem(
            409,
            "key-reused",
            "This Idempotency-Key stands for another mail.",
            f"It has queued message {exc.earlier.pk} already. Use a new key for a new mail.",
            more={"earlier": exc.earlier.pk},
        ) from exc
    except CannotBeQueued as exc:
        raise invalid(exc.field, str(exc)) from exc


def _answered(
    request: ApiRequest, response: HttpResponse, message: OutboxMessage, began: datetime
) -> Status[OutboxDocument]:
    if message.created_at < began:
        response["Idempotent-Replayed"] = "true"
    return Status(201, _document(request, message.pk))


def _decided(request: ApiRequest, pk: int, act: Callable[[OutboxMessage, User, datetime], int]) -> OutboxDocument:
    message, now = _message_or_404(request, pk), timezone.now()
    if not deciding.may_decide(request.user, message, now):
        raise Problem(
            403, "may-not-decide", "You may not decide about this message.", "Only its author, or who may send there."
        )
    try:
        changed = act(message, request.user, now)
    except MayNotSend as exc:
        raise Problem(403, "may-not-send", "You may not send from this mailbox.", str(exc)) from exc
    except CannotBeQueued as exc:
        raise invalid(exc.field, str(exc)) from exc
    if not changed:
        raise Problem(
            409, "nothing-changed", "Nothing was changed.", "No recipient of this message is in such a state."
        )
    return _document(request, pk)


def _message_or_404(request: ApiRequest, pk: int) -> OutboxMessage:
    related = ("mailbox__mail_server", "author", "organization")
    visible = OutboxMessage.objects.visible_to(request.user, timezone.now()).defer("raw")
    return get_object_or_404(visible.select_related(*related), pk=pk)


def _document(request: ApiRequest, pk: int) -> OutboxDocument:
    return story_document(story_of(_message_or_404(request, pk), request.user, timezone.now()))


def _submission_key(key: str) -> str:
    """Apart from those of the browser's forms, and as short as the column."""
    return f"api:{hashlib.sha256(key.encode()).hexdigest()[:60]}"


def _midnight(field: str, day: date | None, *, days: int = 0) -> datetime | None:
    """Where the day begins, or ends, for the person. Raises Invalid for days that no calendar here reaches."""
    if day is None:
        return None
    if not 1970 <= day.year <= 2200:
        raise invalid(field, "Name a day between 1970 and 2200.")
    return timezone.make_aware(datetime.combine(day + timedelta(days=days), time.min))
