"""`/default-sender` of the API: what stands in From when a person begins to write (spec E5, L1)."""

from __future__ import annotations

from django.utils import timezone
from ninja import Router
from pydantic import BaseModel, ConfigDict, Field

from accounts.api import reads, refuse_bound_token, writes
from accounts.models import Mailbox
from accounts.rights import Right
from accounts.send_form import choose_default_sender
from organizations.calls import ApiRequest, Asked, Key, invalid

router = Router(tags=["Mailboxes"])


class DefaultSenderDocument(BaseModel):
    """Your own choice; everybody has one."""

    mailbox: int | None = Field(description="Null: none is chosen, or you may no longer send from it.")


class DefaultSenderChoice(Asked):
    model_config = ConfigDict(json_schema_extra={"examples": [{"mailbox": 1}]})

    mailbox: Key | None = Field(description="One that you may send from; null: none.")


@router.get("/default-sender", auth=reads, operation_id="default_sender_get", response=DefaultSenderDocument)
def default_sender_get(request: ApiRequest) -> DefaultSenderDocument:
    """The mailbox that stands in From when you begin a new message on the pages."""
    sending = Mailbox.objects.allowing(Right.SEND, request.user, timezone.now()).filter(sends=True)
    chosen = sending.filter(default_senders__user=request.user).first()
    return DefaultSenderDocument(mailbox=chosen.pk if chosen else None)


@router.put("/default-sender", auth=writes, operation_id="default_sender_set", response=DefaultSenderDocument)
def default_sender_set(request: ApiRequest, body: DefaultSenderChoice) -> DefaultSenderDocument:
    """Choose it, or none. Mail that is sent here without `mailbox` leaves from the organization's default account."""
    refuse_bound_token(request)
    chosen = None
    if body.mailbox is not None:
        sending = Mailbox.objects.allowing(Right.SEND, request.user, timezone.now()).filter(sends=True)
        chosen = sending.filter(pk=body.mailbox).first()
        if chosen is None:
            raise invalid("mailbox", "There is no such mailbox that you may send from.")
    choose_default_sender(request.user, chosen)
    return DefaultSenderDocument(mailbox=chosen.pk if chosen else None)
