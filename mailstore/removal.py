"""Hiding what left the server, with the guard in front of it: a glitch of a server must not empty a mailbox (R13)."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import islice

from django.db import transaction

from mailstore import listings
from mailstore.models import UNPLACED, Folder, Message
from mailstore.run import Run
from organizations.faultpoints import faultpoint
from protocols.imap.plan import UidSet

log = logging.getLogger(__name__)

BELIEVE_AFTER = timedelta(minutes=5)  # between two independent checks that agree
MANY = 50  # messages; more than these and more than the share below are not believed at once
LARGE_SHARE = 0.2
AT_ONCE = 1_000  # messages per transaction


def hide(run: Run, folder: Folder, gone: set[int], now: datetime) -> int:
    """Hide messages (by key) that the server no longer has, as far as that is believed; return how many.

    More than 50 and a fifth of the folder, or all of it, wait until a second check at least five minutes later agrees.
    """
    live = Message.objects.live().filter(folder=folder).count()
    suspicious = (len(gone) > MANY and len(gone) > LARGE_SHARE * live) or len(gone) == live > 1
    if not suspicious:
        if folder.missing:
            run.write_folder(folder, missing="", missing_since=None)
        return _hide(run, folder, gone, now)
    if folder.missing_since is None or not folder.missing:
        log.warning("%s of %s messages of folder %s are gone; waiting for a second check.", len(gone), live, folder.pk)
        run.write_folder(folder, missing=str(UidSet(gone)), missing_since=now)
        faultpoint("doubt noted")
        return 0
    if now - folder.missing_since < BELIEVE_AFTER:
        return 0
    agreed = gone & set(UidSet.parse(folder.missing))
    rest = gone - agreed
    hidden = _hide(run, folder, agreed, now)
    faultpoint("doubt settled")
    run.write_folder(folder, missing=str(UidSet(rest)), missing_since=now if rest else None)
    return hidden


def show_again(run: Run, folder: Folder, keys: Iterable[int], now: datetime) -> None:
    """Messages that were hidden are on the server after all."""
    _change(run, folder, keys, None, now)


def hide_folder(run: Run, folder: Folder, now: datetime, *, is_listed: bool = False) -> None:
    """Hide a folder that the server no longer has, and its messages. `is_listed`: as a mere name, without messages.

    Should it come back as it was, nothing that is remembered of its state must say that nothing has changed.
    """
    keys = Message.objects.live().filter(folder=folder).values_list("pk", flat=True)
    _hide(run, folder, set(keys), now)
    faultpoint("messages of a folder hidden")
    vanished_at = None if is_listed else now
    run.write_folder(folder, vanished_at=vanished_at, missing_since=None, missing="", exists=0, highestmodseq=None)


def _hide(run: Run, folder: Folder, keys: set[int], now: datetime) -> int:
    return _change(run, folder, keys, now, now)


def _change(run: Run, folder: Folder, keys: Iterable[int], vanished_at: datetime | None, now: datetime) -> int:
    remaining = iter(sorted(keys))
    changed = 0
    while batch := list(islice(remaining, AT_ONCE)):
        with transaction.atomic():
            run.claim.hold(now)
            # A reader may have moved some since the server was asked: those are not looked for here any more.
            messages = Message.objects.filter(pk__in=batch, folder=folder).exclude(uidvalidity=UNPLACED)
            changed += messages.update(vanished_at=vanished_at)
            listings.refresh(set(messages.values_list("conversation", flat=True)), folder_pk=folder.pk)
            faultpoint("removals written")
        faultpoint("removals committed")
    return changed
