"""What a deleted mailbox leaves: nothing. Its rows go with it, its packs after the commit."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import models, transaction
from django.db.models import F
from django.db.models.signals import post_delete

from accounts.models import Mailbox
from accounts.signals import mailbox_leaving
from mailstore.models import Conversation, Folder, Message, SyncSchedule
from mailstore.packs import remove_mailbox


def listen() -> None:
    """Remove packs with their mailbox, however it is deleted: from a page, with its owner, with its organization."""
    mailbox_leaving.connect(_mailbox_leaves, dispatch_uid="mailstore.empty_mailbox")
    post_delete.connect(_mailbox_deleted, sender=Mailbox, dispatch_uid="mailstore.remove_packs")


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
    transaction.on_commit(partial(remove_mailbox, instance.pk))
