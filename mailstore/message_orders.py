"""Changing mail by the API: read or not, starred or not, and where it lies (spec G5, L1)."""

from __future__ import annotations

from enum import StrEnum

from django.core.exceptions import PermissionDenied
from django.shortcuts import get_object_or_404
from django.utils import timezone
from pydantic import ConfigDict, Field

from mailstore import marking
from mailstore.action_form import REMOVED_FROM, targets
from mailstore.models import Change, Folder, Message
from organizations.calls import ApiRequest, Asked, Key, Problem, invalid


class Place(StrEnum):
    """A folder by its use."""

    INBOX = "inbox"
    ARCHIVE = "archive"
    TRASH = "trash"
    JUNK = "junk"


class Marks(Asked):
    """What is missing or null stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"is_seen": True}]})

    is_seen: bool | None = None
    is_flagged: bool | None = None


class MoveOrder(Asked):
    """Whereto: one of the two."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"role": "archive"}, {"folder": 7}]})

    folder: Key | None = Field(None, description="A folder of the same mailbox.")
    role: Place | None = Field(None, description="The folder for this use.", strict=False)


def changeable_or_404(request: ApiRequest, pk: int) -> Message:
    """404 where the caller cannot read it; PermissionDenied where she only reads."""
    now = timezone.now()
    rows = Message.objects.live().readable_by(request.user, now).select_related("mailbox", "folder")
    message = get_object_or_404(rows, pk=pk)
    if not marking.changeable_by(request.user, now).filter(pk=pk).exists():
        raise PermissionDenied("You may read this message. To change it takes the right to send from its mailbox.")
    return message


def mark(request: ApiRequest, message: Message, marks: Marks) -> Message:
    """Set and clear what was named; return the message as it is now."""
    for kind, wanted in ((Change.Kind.SEEN, marks.is_seen), (Change.Kind.FLAGGED, marks.is_flagged)):
        if wanted is not None:
            marking.mark(message.mailbox, [message.pk], kind, wanted=wanted, by=request.user, now=timezone.now())
    return Message.objects.get(pk=message.pk)


def move(request: ApiRequest, message: Message, order: MoveOrder) -> Message:
    """Move to what was named; return the message as it is now. Raises Invalid."""
    target = _target(message, order)
    if target.pk != message.folder_id:
        marking.move(message.mailbox, [message.pk], target, by=request.user, now=timezone.now())
    return Message.objects.get(pk=message.pk)


def remove(request: ApiRequest, message: Message) -> None:
    """Delete for good. Raises Problem 409 outside of trash and junk."""
    if message.folder.special_use not in REMOVED_FROM:
        raise Problem(
            409,
            "not-in-trash",
            "This message lies neither in the trash nor in spam.",
            "Move it to the trash first: only from there messages are deleted for good.",
        )
    marking.move(message.mailbox, [message.pk], None, by=request.user, now=timezone.now())


def _target(message: Message, body: MoveOrder) -> Folder:
    if (body.folder is None) == (body.role is None):
        raise invalid("folder", "Give either a folder or a role.")
    if body.role is not None:
        try:
            return marking.folder_for(message.mailbox, Folder.SpecialUse(body.role.value))
        except marking.NoSuchFolder as exc:
            raise invalid("role", str(exc)) from exc
    if body.folder is None or body.folder == message.folder_id:
        return message.folder
    chosen = targets(message.folder).filter(pk=body.folder).first()
    if chosen is None:
        raise invalid("folder", "The mailbox of this message has no such folder that mail can be moved to.")
    return chosen
