"""What a deleted mailbox leaves: nothing. Its rows go by cascade, its packs after the commit."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.db.models.signals import post_delete

from accounts.models import Mailbox
from mailstore.packs import remove_mailbox


def listen() -> None:
    """Remove packs with their mailbox, however it is deleted: from a page, with its owner, with its organization."""
    post_delete.connect(_mailbox_deleted, sender=Mailbox, dispatch_uid="mailstore.remove_packs")


def _mailbox_deleted(instance: Mailbox, **_: object) -> None:
    transaction.on_commit(partial(remove_mailbox, instance.pk))
