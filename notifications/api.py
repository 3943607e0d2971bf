"""`/notifications` of the API: what the bell and the page behind it do, each person's own (spec A7, L1)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query, Router
from pydantic import BaseModel, ConfigDict, Field

from notifications import choosing, reading
from notifications.forms import MailChoicesForm
from notifications.kinds import Kind
from notifications.models import MailChoice, Notification
from organizations.calls import ApiRequest, Asked, Listing, form_values, invalid_form, needs
from organizations.paging import newest_first
from organizations.scopes import Scope

router = Router(tags=["Profile"])
reads, writes = needs(Scope.NOTIFICATIONS_READ), needs(Scope.NOTIFICATIONS_WRITE)


class NotificationListing(Listing):
    unread: bool = Field(False, description="Only those that are unread.")


class NotificationDocument(BaseModel):
    id: int
    kind: Kind
    title: str = Field(examples=["An email account needs attention"])
    text: str
    link: str = Field(description="The page that it leads to.")
    at: datetime
    read_at: datetime | None = Field(description="Null: unread. Ninety days after it was read it is forgotten.")


class NotificationList(BaseModel):
    items: list[NotificationDocument]
    next: str | None = Field(description="The `cursor` of the next page; null on the last.")


class Unread(BaseModel):
    unread: int = Field(description="As far as the bell counts: 100 stands for a hundred or more.")


class Marked(BaseModel):
    marked: int = Field(description="How many were unread.")


def _by_mail(kind: Kind) -> str:
    return f"{kind.label}. {kind.manner.about}"


class MailChoices(BaseModel):
    """Which kinds are mailed too; each stands on the page in any case."""

    mailbox_disconnected: bool = Field(description=_by_mail(Kind.MAILBOX_DISCONNECTED))
    mailbox_connected: bool = Field(description=_by_mail(Kind.MAILBOX_CONNECTED))
    message_failed: bool = Field(description=_by_mail(Kind.MESSAGE_FAILED))
    message_uncertain: bool = Field(description=_by_mail(Kind.MESSAGE_UNCERTAIN))


class MailChoiceChanges(Asked):
    """What changes; the rest stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"mailbox_connected": True}]})

    mailbox_disconnected: Annotated[bool, Field(description=_by_mail(Kind.MAILBOX_DISCONNECTED))] = False
    mailbox_connected: Annotated[bool, Field(description=_by_mail(Kind.MAILBOX_CONNECTED))] = False
    message_failed: Annotated[bool, Field(description=_by_mail(Kind.MESSAGE_FAILED))] = False
    message_uncertain: Annotated[bool, Field(description=_by_mail(Kind.MESSAGE_UNCERTAIN))] = False


@router.get("/notifications", auth=reads, operation_id="notifications_list", response=NotificationList)
def notifications_list(request: ApiRequest, listing: Query[NotificationListing]) -> NotificationList:
    """What you were told, newest first."""
    own = Notification.objects.of(request.user)
    if listing.unread:
        own = own.unread()
    page = newest_first(own, "at", listing.checked_cursor, size=listing.limit)
    return NotificationList(items=[_document(row, request) for row in page.rows], next=page.next or None)


@router.get("/notifications/unread", auth=reads, operation_id="notifications_unread", response=Unread)
def notifications_unread(request: ApiRequest) -> Unread:
    """How many are unread: what the bell shows."""
    return Unread(unread=Notification.objects.of(request.user).unread_count())


@router.post("/notifications/read", auth=writes, operation_id="notifications_read_all", response=Marked)
def notifications_read_all(request: ApiRequest) -> Marked:
    """Mark all of yours as read."""
    return Marked(marked=reading.read_all(request.user, timezone.now()))


@router.post(
    "/notifications/{int:pk}/read", auth=writes, operation_id="notifications_read", response=NotificationDocument
)
def notifications_read(request: ApiRequest, pk: int) -> NotificationDocument:
    """Mark one as read. Harmless when repeated."""
    notification = get_object_or_404(Notification.objects.of(request.user).select_related("user"), pk=pk)
    reading.read_one(notification, timezone.now())
    notification.refresh_from_db(fields=["read_at"])
    return _document(notification, request)


@router.get("/notifications/choices", auth=reads, operation_id="notification_choices_get", response=MailChoices)
def notification_choices_get(request: ApiRequest) -> MailChoices:
    """Which kinds reach you by mail too."""
    return _choices(request)


@router.patch("/notifications/choices", auth=writes, operation_id="notification_choices_update", response=MailChoices)
def notification_choices_update(request: ApiRequest, body: MailChoiceChanges) -> MailChoices:
    """Choose which kinds reach you by mail too."""
    form = MailChoicesForm(form_values(MailChoicesForm(user=request.user), body.sent), user=request.user)
    if not form.is_valid():
        raise invalid_form(form)
    choosing.choose(request.user, form.wanted, request=request)
    return _choices(request)


def _choices(request: ApiRequest) -> MailChoices:
    return MailChoices(**{kind.value: by_mail for kind, by_mail in MailChoice.objects.of(request.user).items()})


def _document(notification: Notification, request: HttpRequest) -> NotificationDocument:
    return NotificationDocument(
        id=notification.pk,
        kind=Kind(notification.kind),
        title=notification.title,
        text=notification.text,
        link=request.build_absolute_uri(notification.url),
        at=notification.at,
        read_at=notification.read_at,
    )
