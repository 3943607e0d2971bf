"""Removing the packs of deleted and emptied mailboxes, however often that is interrupted."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from mailstore.models import Leftover, Message
from mailstore.packs import remove_mailbox, remove_unnamed

log = logging.getLogger(__name__)

#: A worker that lost its claim ends within this time. Until then it may begin one more pack.
STRAY_FOR: Final = timedelta(hours=1)


def leave(mailbox_pk: int, fence: int | None, now: datetime) -> Leftover:
    """Note that packs of a mailbox are to go: those of claims up to `fence`, None: all. Call it in the transaction that
    removes the rows, and `remove` after its commit; what that does not live to do is found by `sweep`.
    """
    return Leftover.objects.create(mailbox_pk=mailbox_pk, fence=fence, at=now)


def remove(left: Leftover) -> None:
    """Remove all that is stored, right after the commit. A disk that refuses is asked again by `sweep`."""
    with _grumbling(left):
        remove_mailbox(left.mailbox_pk)


def sweep(now: datetime) -> None:
    """Remove what an interrupted removal left, and what workers wrote that did not know of it yet.

    Of an emptied mailbox only old packs: its new download may be under way, and takes up what it finds of large
    messages.
    """
    for left in Leftover.objects.all():
        with _grumbling(left):
            if left.fence is None:
                remove_mailbox(left.mailbox_pk)
            else:
                _remove_old_packs(left.mailbox_pk, left.fence)
        if left.at <= now - STRAY_FOR:
            left.delete()


def _remove_old_packs(mailbox_pk: int, fence: int) -> None:
    rows = Message.objects.filter(mailbox=mailbox_pk)
    remove_unnamed(mailbox_pk, fence, lambda name: rows.filter(pack=name).exists())


@contextmanager
def _grumbling(left: Leftover) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        log.warning("What is stored of mailbox %s could not be removed: %s", left.mailbox_pk, exc.strerror)
