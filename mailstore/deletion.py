"""What a deleted mailbox leaves: nothing. Its rows go with it, its packs after the commit. And emptying one."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import models, transaction
from django.db.models import F
from django.db.models.signals import post_delete
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import Mailbox
from accounts.signals import mailbox_leaving
from mailstore import leftovers
from mailstore.models import Conversation, Folder, Leftover, Message, SyncSchedule
from mailstore.schedule import ensure, request_sync
from organizations import audit
from organizations.faultpoints import faultpoint
from organizations.models import User

HELD_BACK = timedelta(minutes=10)  # should the process die between the commit and the removal


def listen() -> None:
    """Remove packs with their mailbox, however it is deleted: from a page, with its owner, with its organization."""
    mailbox_leaving.connect(_mailbox_leaves, dispatch_uid="mailstore.empty_mailbox")
    post_delete.connect(_mailbox_deleted, sender=Mailbox, dispatch_uid="mailstore.remove_packs")


def empty(mailbox: Mailbox) -> int:
    """Remove what is stored of `mailbox`, for a new first download; return how many messages that were.

    Folders stay with the choice which of them are downloaded. Nothing on the server is touched. The schedule is held
    back until the packs are gone; a download that somebody asks for meanwhile keeps what it writes.
    """
    with transaction.atomic():
        SyncSchedule.objects.filter(mailbox=mailbox).update(
            fence=F("fence") + 1, leased_until=None, due_at=timezone.now() + HELD_BACK, requested_at=None, news_at=None
        )
        messages = Message.objects.filter(mailbox=mailbox).count()
        for model in (Message, Conversation):
            _drop(model._default_manager.filter(mailbox=mailbox))
        Folder.objects.filter(mailbox=mailbox).update(
            uidvalidity=None, uidnext=None, highestmodseq=None, exists=0, stored="", synced_at=None, covers_from=None,
            refused={}, refused_until=None,
            problem="", missing="", missing_since=None, epoch_changes=0,
        )  # fmt: skip
        left = leftovers.leave(mailbox.pk, ensure(mailbox).fence, timezone.now())
        faultpoint("rows removed")
        transaction.on_commit(partial(_emptied, left))
    return messages


def start_over(mailbox: Mailbox, user: User, request: HttpRequest) -> int:
    """Empty `mailbox` for a new first download and record it; return how many messages went.

    Raises PermissionDenied for who may set it up but not delete it: older mail than the period does not come back.
    """
    if not mailbox.may_be_deleted_by(user):
        raise PermissionDenied("Only its owner, or who manages email accounts, lets it be downloaded again.")
    number = empty(mailbox)
    audit.record(
        "mailbox.emptied",
        organization=user.organization,
        actor=user,
        target=mailbox,
        detail={"messages": number},
        request=request,
    )
    return number


def _emptied(left: Leftover) -> None:
    _removed(left)
    request_sync(left.mailbox_pk)


def _mailbox_leaves(mailbox: Mailbox, **_: object) -> None:
    """Let the rows go table by table inside the database; a cascade would read each message into memory first."""
    # A worker that syncs it right now waits here for this transaction, and then finds its claim gone.
    SyncSchedule.objects.filter(mailbox=mailbox).update(fence=F("fence") + 1, leased_until=None)
    for model in (Message, Conversation, Folder):
        _drop(model._default_manager.filter(mailbox=mailbox))


def _drop(rows: models.QuerySet[Any]) -> None:
    """Delete `rows` and what points at them, one statement each; what only refers to them forgets them."""
    for relation in rows.model._meta.get_fields(include_hidden=True):
        if not isinstance(relation, models.ManyToOneRel):
            continue
        name = relation.field.name
        below = relation.related_model._base_manager.filter(**{f"{name}__in": rows})
        if relation.on_delete is models.SET_NULL:
            below.update(**{name: None})
        else:
            below._raw_delete(below.db)
    rows._raw_delete(rows.db)


def _mailbox_deleted(instance: Mailbox, **_: object) -> None:
    left = leftovers.leave(instance.pk, None, timezone.now())
    faultpoint("rows removed")
    transaction.on_commit(partial(_removed, left))


def _removed(left: Leftover) -> None:
    """The rows are gone for good, and so may the packs."""
    faultpoint("removal committed")
    leftovers.remove(left)
    faultpoint("packs removed")
