"""`/outbox` and `/email-log` of the API: what was sent, and what is to be done about it (spec I1, I9, L1)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Body, Query, Router
from pydantic import Field

from delivery import cancelling, deciding, log, scheduling
from delivery.explaining import story_of
from delivery.models import OutboxMessage
from delivery.outbox import CannotBeQueued, MayNotSend
from delivery.resources import (
    Cancellation,
    Decision,
    OutboxDocument,
    OutboxList,
    listed,
    story_document,
    summary_document,
)
from organizations.calls import ApiRequest, Listing, Problem, invalid, needs
from organizations.models import User
from organizations.paging import newest_first
from organizations.scopes import Scope

router = Router(tags=["Outbox"])
reads, sends = needs(Scope.OUTBOX_READ), needs(Scope.OUTBOX_SEND)

OF_ALL: Final = Cancellation(addresses=None)
DECISIONS: dict[str, Callable[[OutboxMessage, User, datetime], int]] = {
    "send-now": scheduling.send_now,
    "try-again": deciding.try_again,
    "save-copy": deciding.file_copy_again,
}
ABOUT_UNCERTAIN: dict[str, Callable[[OutboxMessage, User, datetime, deciding.About], int]] = {
    "check-again": deciding.check_again,
    "send-again": deciding.send_again,
    "mark-sent": deciding.mark_sent,
}


class OutboxListing(Listing):
    scheduled: bool = Field(False, description="Only what waits for the moment it is scheduled for.")


@router.get("/outbox", auth=reads, operation_id="outbox_list", response=OutboxList)
def outbox_list(request: ApiRequest, listing: Query[OutboxListing]) -> OutboxList:
    """What you have sent, newest first; what is scheduled, also by others whose mailbox you may send from."""
    now = timezone.now()
    if listing.scheduled:
        waiting = scheduling.waiting(request.user, now)
        page = newest_first(waiting, "created_at", listing.checked_cursor, size=listing.limit)
        return OutboxList(items=[summary_document(row) for row in log.rows(page.rows)], next=page.next or None)
    return listed(log.search(request.user, log.Filters(author_pk=request.user.pk), now), listing)


@router.get("/outbox/{int:pk}", auth=reads, operation_id="outbox_get", response=OutboxDocument)
def outbox_get(request: ApiRequest, pk: int) -> OutboxDocument:
    """One message: each recipient, each attempt, and why it was sent from there."""
    return _document(request, pk)


@router.post("/outbox/{int:pk}/cancel", auth=sends, operation_id="outbox_cancel", response=OutboxDocument)
def outbox_cancel(request: ApiRequest, pk: int, body: Body[Cancellation] = OF_ALL) -> OutboxDocument:
    """Take back what still waits in the queue: all of it, or certain recipients. Too late is told as 409."""
    addresses = body.addresses
    return decided(
        request,
        pk,
        lambda message, user, now: cancelling.cancel(message, user, now, addresses=addresses),
        why_not=lambda message: cancelling.why_not_cancelled(message, addresses),
    )


@router.post("/outbox/{int:pk}/decide", auth=sends, operation_id="outbox_decide", response=OutboxDocument)
def outbox_decide(request: ApiRequest, pk: int, body: Decision) -> OutboxDocument:
    """Settle what failed, waits, or is uncertain. Nothing uncertain is ever sent again without this."""
    if body.decision in ABOUT_UNCERTAIN:
        act, about = ABOUT_UNCERTAIN[body.decision], body.about
        return decided(request, pk, lambda message, user, now: act(message, user, now, about), may=deciding.may_settle)
    if body.recipients is not None or body.version is not None:
        field = "recipients" if body.recipients is not None else "version"
        raise invalid(field, "Only decisions about uncertain recipients take this.")
    return decided(request, pk, DECISIONS[body.decision])


def decided(
    request: ApiRequest,
    pk: int,
    act: Callable[[OutboxMessage, User, datetime], int],
    *,
    why_not: Callable[[OutboxMessage], str] | None = None,
    may: Callable[[User, OutboxMessage, datetime], bool] = deciding.may_decide,
) -> OutboxDocument:
    """Let the caller decide about a message. why_not: told where nothing was changed. Raises Problem."""
    message, now = message_or_404(request, pk), timezone.now()
    if not may(request.user, message, now):
        raise Problem(
            403, "may-not-decide", "You may not decide about this message.", "Only its author, or who may send there."
        )
    try:
        changed = act(message, request.user, now)
    except MayNotSend as exc:
        raise Problem(403, "may-not-send", "You may not send from this mailbox.", str(exc)) from exc
    except CannotBeQueued as exc:
        raise invalid(exc.field, str(exc)) from exc
    if not changed and why_not is not None:
        raise Problem(409, "too-late", "Nothing was changed.", why_not(message))
    if not changed:
        raise Problem(
            409, "nothing-changed", "Nothing was changed.", "No recipient of this message is in such a state."
        )
    return _document(request, pk)


def message_or_404(request: ApiRequest, pk: int) -> OutboxMessage:
    related = ("mailbox__mail_server", "author", "organization")
    visible = OutboxMessage.objects.visible_to(request.user, timezone.now())
    return get_object_or_404(visible.select_related(*related), pk=pk)


def _document(request: ApiRequest, pk: int) -> OutboxDocument:
    return story_document(story_of(message_or_404(request, pk), request.user, timezone.now()))
