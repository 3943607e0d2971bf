"""Folders that only changed their name: recognised, so that nothing is downloaded again (fault R12).

A folder that is listed no more and one that is listed for the first time are one and the same where the server says so
(MAILBOXID, RFC 8474), or where a sample of the stored messages is found under their UIDs. UIDVALIDITY alone proves
nothing: some servers make it from the time in seconds. And Courier gives a renamed folder another one: the messages
are then renumbered like those of any folder whose UIDVALIDITY changed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from mailstore.models import Folder, Message
from mailstore.run import Run
from mailstore.texts import storable
from organizations.faultpoints import faultpoint
from protocols.errors import Refused
from protocols.imap.folders import FolderEntry
from protocols.imap.plan import FolderState
from protocols.message.parse import parse_summary

log = logging.getLogger(__name__)

SAMPLE = 5  # messages
LONGEST_NAME = 1000
NO_NAME = "(no name)"
MOST_ASKED = 500  # new folders whose state is asked for one by one


def follow_renames(run: Run, lost: Sequence[Folder], new: Sequence[FolderEntry]) -> list[Folder]:
    """Give folders that were renamed their new names; return those of `lost` that were."""
    renamed: list[Folder] = []
    for entry in new[:MOST_ASKED]:
        waiting = [folder for folder in lost if folder not in renamed]
        if not waiting:
            break
        folder = _recognised(run, waiting, entry)
        if folder is not None:
            log.info("Folder %s of mailbox %s has a new name on the server.", folder.pk, run.mailbox.pk)
            faultpoint("new name recognised")
            _rename(run, folder, entry)
            faultpoint("folder renamed")
            renamed.append(folder)
    return renamed


def _recognised(run: Run, lost: Sequence[Folder], entry: FolderEntry) -> Folder | None:
    try:
        if "OBJECTID" in run.session.capabilities:
            state = run.session.examine(entry.raw_name)
        else:
            state = entry.state or run.session.status(entry.raw_name)
        same = [folder for folder in lost if state.mailboxid and folder.mailboxid == state.mailboxid]
        if same:
            return same[0]
        alike = [folder for folder in lost if _may_be(folder, state)]
        return next((folder for folder in alike if _holds_its_messages(run, folder, entry, state)), None)
    except Refused:
        return None  # what cannot be opened is looked at like any new folder


def _may_be(folder: Folder, state: FolderState) -> bool:
    if folder.mailboxid and state.mailboxid:
        return False
    if folder.uidvalidity == state.uidvalidity:
        return state.uidnext >= (folder.uidnext or 1)
    return (state.uidnext, state.exists) == (folder.uidnext, folder.exists)


def _holds_its_messages(run: Run, folder: Folder, entry: FolderEntry, state: FolderState) -> bool:
    """Compare the newest stored messages with those under the same UIDs in the folder of `entry`."""
    newest = Message.objects.live().filter(folder=folder, uidvalidity=folder.epoch).order_by("-uid")
    stored = {
        uid: (message_id, size) for uid, message_id, size in newest.values_list("uid", "message_id", "size")[:SAMPLE]
    }
    if not stored:
        return False
    run.session.examine(entry.raw_name)
    found = {
        outline.uid: (storable(parse_summary(outline.head).message_id, 998), outline.size)
        for outline in run.session.outlines(stored)
    }
    fits = bool(found) and all(stored[uid] == outline for uid, outline in found.items())
    # Within one UIDVALIDITY some may have been removed meanwhile.
    return fits and (folder.uidvalidity == state.uidvalidity or len(found) == len(stored))


def _rename(run: Run, folder: Folder, entry: FolderEntry) -> None:
    """A folder of long ago that had the new name takes the old one: both rows keep what people chose for them."""
    old_name, old_raw_name = folder.name, folder.wire_name
    others = run.mailbox.folders.exclude(pk=folder.pk)
    with transaction.atomic():
        run.claim.hold(timezone.now())
        displaced = list(others.filter(raw_name=entry.raw_name).values_list("pk", flat=True))
        others.filter(pk__in=displaced).update(raw_name=b"\0" + old_raw_name)  # no two rows may have one name
        run.write_folder(
            folder,
            raw_name=entry.raw_name,
            name=storable(entry.name, LONGEST_NAME) or NO_NAME,
            missing_since=None,
        )
        others.filter(pk__in=displaced).update(raw_name=old_raw_name, name=old_name)
        faultpoint("new name written")
