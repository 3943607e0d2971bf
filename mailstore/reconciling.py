"""Flags that changed and messages that left on the server, for what is stored already (RFC 4549, 4; RFC 7162)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.utils import timezone

from mailstore import bulk, listings, removal
from mailstore.models import UNPLACED, Change, Folder, Message, MessageQuerySet
from mailstore.pulling import newest_first
from mailstore.reading import Flags
from mailstore.run import Run
from organizations.faultpoints import faultpoint
from protocols.imap.opened import Opened
from protocols.imap.plan import HIGHEST_UID, FolderState, UidSet

FLAGS_AT_ONCE = 5_000  # messages per command and transaction
NEWEST_FLAGS = 2_000  # messages whose flags are compared each time, where the server counts no changes
ALL_FLAGS_EVERY = timedelta(hours=6)
UIDS_AT_ONCE = 20_000  # stored messages whose existence one command asks for


class _Known(NamedTuple):
    """The flags of a stored message, in the order of `_FLAG_COLUMNS`."""

    pk: int
    conversation: int
    uid: int
    is_seen: bool
    is_flagged: bool
    is_answered: bool
    is_draft: bool
    keywords: list[str]


_FLAG_COLUMNS = ("pk", "conversation", "uid", "is_seen", "is_flagged", "is_answered", "is_draft", "keywords")


def settled_state(folder: Folder) -> FolderState:
    """The folder as it was after the last run."""
    return FolderState(folder.epoch, folder.uidnext or 1, folder.exists, folder.highestmodseq)


def catch_up(run: Run, folder: Folder, opened: Opened, *, new_from: int, asked_at: datetime) -> UidSet:
    """Bring flags and removals of the open folder in line; return UIDs that exist and that nobody has dealt with.

    With QRESYNC the server told both while it opened the folder. Whatever it told, its count of messages has to agree
    with ours; else all UIDs are compared. asked_at: just before the folder was opened.
    """
    left = UidSet()
    if opened.resynced:
        _apply(run, folder, opened.flags, asked_at)
        left = opened.vanished & UidSet([range(1, folder.uidnext or 1)])
        if gone := _live_keys(folder, left):
            removal.hide(run, folder, gone, timezone.now())
    else:
        flags(run, folder, opened.state, asked_at)
    if not _is_short(folder, opened.state, left, new_from=new_from):
        return UidSet()
    removals(run, folder)
    beyond = run.session.existing_uids(opened.state.uidnext, HIGHEST_UID)  # a UIDNEXT may be lower than what exists
    return beyond - UidSet.parse(folder.stored)


def flags(run: Run, folder: Folder, state: FolderState, asked_at: datetime) -> int:
    """Take over changed flags of stored messages; return how many messages changed.

    With CONDSTORE only the changed ones are asked for. Without it the newest messages are compared each time, and all
    of them a few times a day.
    """
    if folder.highestmodseq is not None and state.highestmodseq is not None:
        if folder.highestmodseq == state.highestmodseq:
            return 0
        asked = UidSet([range(1, state.uidnext)])
        return _apply(run, folder, run.session.flags(asked, changed_since=folder.highestmodseq), asked_at)
    stored = _rows(folder).live().order_by("-uid").values_list("uid", flat=True)
    newest = list(stored[: NEWEST_FLAGS + 1])
    now = timezone.now()
    if len(newest) > NEWEST_FLAGS:
        if folder.flags_compared_at is None or now - folder.flags_compared_at > ALL_FLAGS_EVERY:
            newest = list(stored.iterator())
            run.write_folder(folder, flags_compared_at=now)
        else:
            newest.pop()
    parts = newest_first(UidSet(newest), FLAGS_AT_ONCE)
    return sum(_apply(run, folder, run.session.flags(part), asked_at) for part in parts)


def _is_short(folder: Folder, state: FolderState, left: UidSet, *, new_from: int) -> bool:
    """Tell whether the server's count is not ours of last time, plus what is new, minus what it said has left."""
    if folder.missing or folder.epoch_changes:
        return True
    new = _rows(folder).filter(uid__gte=new_from, uid__lt=state.uidnext).count()
    return state.exists != folder.exists + new - len(left)


def removals(run: Run, folder: Folder) -> None:
    """Compare the stored UIDs with those on the server, in ranges; hide what left, show what came back."""
    now = timezone.now()
    # Messages of an earlier epoch that were not found again have no UID on the server any more.
    # Those that a reader has just moved here are on their way.
    placed = Message.objects.live().filter(folder=folder).exclude(uidvalidity=UNPLACED)
    forgotten = placed.exclude(uidvalidity=folder.epoch)
    gone = set(forgotten.values_list("pk", flat=True))
    back: set[int] = set()
    rows = list(_rows(folder).order_by("uid").values_list("uid", "pk", "vanished_at"))
    for start in range(0, len(rows), UIDS_AT_ONCE):
        part = rows[start : start + UIDS_AT_ONCE]
        existing = run.session.existing_uids(part[0][0], part[-1][0])
        gone.update(pk for uid, pk, vanished_at in part if vanished_at is None and uid not in existing)
        back.update(pk for uid, pk, vanished_at in part if vanished_at is not None and uid in existing)
    faultpoint("removals found")
    removal.show_again(run, folder, back, now)
    removal.hide(run, folder, gone, now)


def _live_keys(folder: Folder, uids: UidSet) -> set[int]:
    """Keys of the messages that are shown under these UIDs. A server may name billions, so ours are gone through."""
    if not uids:
        return set()
    shown = _rows(folder).live().filter(uid__gte=uids.lowest, uid__lte=uids.highest).values_list("pk", "uid")
    return {pk for pk, uid in shown.iterator() if uid in uids}


def _apply(run: Run, folder: Folder, found: Mapping[int, frozenset[str]], asked_at: datetime) -> int:
    """Write the flags that differ from the stored ones, one UPDATE for each combination of flags.

    A flag that a reader changed stays as she wants it until the server was told, and says so (fault R32).
    """
    changed = 0
    for part in newest_first(UidSet(found), FLAGS_AT_ONCE):
        wanted: dict[Flags, list[_Known]] = defaultdict(list)
        for known in _known(folder, part):
            flags_now = Flags.of(found[known.uid])
            if flags_now != Flags(*known[3:7], json.dumps(known.keywords)):
                wanted[flags_now].append(known)
        if not wanted:
            continue
        with transaction.atomic():
            run.claim.hold(timezone.now())
            for flags_now, messages in _with_wishes(wanted, asked_at).items():
                _write(flags_now, [known.pk for known in messages])
            touched = [known for messages in wanted.values() for known in messages]
            listings.refresh({known.conversation for known in touched}, folder_pk=folder.pk)
            faultpoint("flags written")
        faultpoint("flags committed")
        changed += len(touched)
    return changed


def _with_wishes(found: Mapping[Flags, list[_Known]], asked_at: datetime) -> Mapping[Flags, list[_Known]]:
    keys = [known.pk for messages in found.values() for known in messages]
    wishes = Change.objects.wishes(keys, asked_at)
    if not wishes:
        return found
    wanted: dict[Flags, list[_Known]] = defaultdict(list)
    for flags_now, messages in found.items():
        for known in messages:
            wish = wishes.get(known.pk, {})
            is_seen = wish.get("is_seen", flags_now.is_seen)
            is_flagged = wish.get("is_flagged", flags_now.is_flagged)
            wanted[flags_now._replace(is_seen=is_seen, is_flagged=is_flagged)].append(known)
            Change.objects.note_server(known.pk, {column: getattr(flags_now, column) for column in wish})
    return wanted


def _known(folder: Folder, uids: UidSet) -> list[_Known]:
    listed = list(uids)
    rows = _rows(folder).filter(uid__gte=listed[0], uid__lte=listed[-1]).values_list(*_FLAG_COLUMNS)
    return [known for known in map(_Known._make, rows.iterator()) if known.uid in uids]


def _write(flags_now: Flags, keys: list[int]) -> None:
    among, parameters = bulk.is_among(keys)
    Message.objects.extra(where=[f"id {among}"], params=parameters).update(  # noqa: S610
        is_seen=flags_now.is_seen,
        is_flagged=flags_now.is_flagged,
        is_answered=flags_now.is_answered,
        is_draft=flags_now.is_draft,
        keywords=json.loads(flags_now.keywords),
    )


def _rows(folder: Folder) -> MessageQuerySet:
    return Message.objects.filter(folder=folder, uidvalidity=folder.epoch)
