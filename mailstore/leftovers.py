"""Removing the packs of deleted and emptied mailboxes, however often that is interrupted."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from django.db import transaction
from django.db.models import F

from mailstore import partials
from mailstore.models import Leftover, Message, SyncSchedule
from mailstore.packs import remove_mailbox, remove_unnamed

log = logging.getLogger(__name__)

#: A worker that lost its claim ends within this time. Until then it may begin one more pack.
STRAY_FOR: Final = timedelta(hours=1)


class BeingSynced(Exception):
    """Rows may follow that name what no row names yet."""


def leave(mailbox_pk: int, fence: int | None, now: datetime) -> Leftover:
    """Note that packs of a mailbox are to go: those of claims up to `fence`, None: all. Call it in the transaction that
    removes the rows, and `remove` after its commit; what that does not live to do is found by `sweep`.
    """
    return Leftover.objects.create(mailbox_pk=mailbox_pk, fence=fence, at=now)


def remove(left: Leftover) -> None:
    """Remove what is stored, right after the commit. What a disk refuses, or a new download may go on with, is left to
    `sweep`.
    """
    with _grumbling(left):
        _remove(left)


def sweep(now: datetime) -> None:
    """Remove what an interrupted removal left, and what workers wrote that did not know of it yet."""
    for left in Leftover.objects.all():
        with _grumbling(left):
            _remove(left)
            if left.at <= now - STRAY_FOR:
                left.delete()


def _remove(left: Leftover) -> None:
    """Raises OSError; BeingSynced where the mailbox was emptied and its new download is under way."""
    if left.fence is None:
        remove_mailbox(left.mailbox_pk)
    else:
        unnamed = partial(_unnamed, left.mailbox_pk)
        remove_unnamed(left.mailbox_pk, left.fence, unnamed)
        partials.remove_begun(left.mailbox_pk, left.at, unnamed)


@contextmanager
def _unnamed(mailbox_pk: int, name: str) -> Iterator[bool]:
    """Tell whether no row names a file, and let nobody claim the mailbox meanwhile. Raises BeingSynced.

    A download goes on with the pack that it finds, closes it when it is full, and commits the rows only then; so it
    does with a large message.
    """
    schedule = SyncSchedule.objects.filter(pk=mailbox_pk)
    with transaction.atomic():
        schedule.update(fence=F("fence"))  # who claims it waits here for this transaction
        if schedule.filter(leased_until__isnull=False).exists():
            raise BeingSynced
        yield not Message.objects.filter(mailbox=mailbox_pk, pack=name).exists()


@contextmanager
def _grumbling(left: Leftover) -> Iterator[None]:
    try:
        yield
    except BeingSynced:
        log.info("Mailbox %s is being synced: what it had before it was emptied goes later.", left.mailbox_pk)
    except OSError as exc:
        log.warning("What is stored of mailbox %s could not be removed: %s", left.mailbox_pk, exc.strerror)
