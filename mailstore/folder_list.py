"""Brings our folder rows in line with the server's LIST. A missing folder is believed gone only the second time."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import Mailbox
from accounts.sessions import imap_session
from mailstore import removal, renaming
from mailstore.models import Folder
from mailstore.renaming import LONGEST_NAME, NO_NAME
from mailstore.run import Run
from mailstore.texts import storable
from organizations.faultpoints import faultpoint
from protocols.errors import Refused
from protocols.imap.folders import FolderEntry, Namespaces
from protocols.imap.plan import FolderState
from protocols.imap.session import ImapSession

log = logging.getLogger(__name__)

LONGEST_RAW_NAME = 2000  # octets

# Left out unless ticked (spec E7): unwanted mail, and views that show the mail of other folders again.
NOT_FOLLOWED = frozenset({
    Folder.SpecialUse.JUNK, Folder.SpecialUse.TRASH, Folder.SpecialUse.ALL,
    Folder.SpecialUse.FLAGGED, Folder.SpecialUse.IMPORTANT,
})  # fmt: skip
_UNSENDABLE = (b"\0", b"\r", b"\n")


@dataclass(frozen=True, slots=True)
class Listed:
    """A folder to sync. state: where the server told it along with the list."""

    folder: Folder
    state: FolderState | None


def refresh_folders(mailbox: Mailbox) -> int:
    """Ask the server for its folders now and record what is new or changed; return how many it listed.

    Nothing is taken away: whether a folder is gone is for a sync to decide. Raises MailError.
    """
    with imap_session(mailbox) as session:
        return len(record_folders(mailbox, session))


def record_folders(mailbox: Mailbox, session: ImapSession) -> list[FolderEntry]:
    """The same on a session that is open already; return what the server listed. Raises MailError."""
    known = _known(mailbox)
    entries = _entries(session, with_states=True)
    namespaces = _namespaces(session, known, entries)
    for entry in entries:
        try:
            with transaction.atomic():
                _record(mailbox, known, entry, namespaces)
        except IntegrityError:  # a sync that runs right now was quicker with this one
            log.info("Mailbox %s: another worker has recorded a folder meanwhile.", mailbox.pk)
    return entries


def listed_entries(session: ImapSession) -> list[FolderEntry]:
    """What the server lists, with the state of each folder where it tells that along. Raises MailError."""
    entries = _entries(session, with_states=True)
    faultpoint("folders listed")
    return entries


def update_folders(run: Run, entries: list[FolderEntry]) -> list[Listed]:
    """Bring the rows in line with what the server lists; return those to sync, INBOX first, then Sent, then by name.

    Where nothing differs, which is nearly always, this is one query.
    """
    usable = {entry.raw_name for entry in entries if entry.selectable}
    known = _known(run.mailbox)
    namespaces = _namespaces(run.session, known, entries)
    lost = [folder for name, folder in known.items() if name not in usable and _was_opened(folder)]
    new = [entry for entry in entries if entry.selectable and _is_new(known.get(entry.raw_name))]
    if lost and new and renaming.follow_renames(run, lost, new):
        known = _known(run.mailbox)
    changed = [entry for entry in entries if _differences(known.get(entry.raw_name), entry)]
    if changed:
        with transaction.atomic():
            run.claim.hold(timezone.now())
            for entry in changed:
                _record(run.mailbox, known, entry, namespaces)
            faultpoint("folders written")
    faultpoint("folders recorded")
    listed = {entry.raw_name for entry in entries}
    missing = [folder for name, folder in known.items() if name not in listed or (name not in usable and folder.exists)]
    for folder in missing:
        _missing(run, folder, timezone.now(), is_listed=folder.wire_name in listed)
    if changed or missing:
        known = _known(run.mailbox)
    states = {entry.raw_name: entry.state for entry in entries}
    wanted = [folder for folder in known.values() if _is_to_be_synced(folder)]
    return [Listed(folder, states.get(folder.wire_name)) for folder in sorted(wanted, key=_rank)]


def _known(mailbox: Mailbox) -> dict[bytes, Folder]:
    return {folder.wire_name: folder for folder in mailbox.folders.all()}


def _is_to_be_synced(folder: Folder) -> bool:
    is_there = folder.vanished_at is None and (folder.missing_since is None or folder.missing != "")
    return folder.is_followed and folder.is_selectable and is_there


def _entries(session: ImapSession, *, with_states: bool = False) -> list[FolderEntry]:
    listed = session.folders(with_states=with_states)
    return [entry for entry in listed if len(entry.raw_name) <= LONGEST_RAW_NAME]


def _namespaces(session: ImapSession, known: Mapping[bytes, Folder], entries: list[FolderEntry]) -> Namespaces:
    """Ask whose folders are whose, where one is seen for the first time."""
    try:
        return session.namespaces() if any(entry.raw_name not in known for entry in entries) else Namespaces()
    except Refused:
        return Namespaces()


def _was_opened(folder: Folder) -> bool:
    return folder.vanished_at is None and folder.uidvalidity is not None


def _is_new(folder: Folder | None) -> bool:
    return folder is None or folder.vanished_at is not None


def _record(mailbox: Mailbox, known: Mapping[bytes, Folder], entry: FolderEntry, namespaces: Namespaces) -> None:
    """Make or correct the row of one LIST entry; an unchanged one costs no query."""
    folder = known.get(entry.raw_name)
    changed = _differences(folder, entry)
    if folder is None:
        # What others let this user see may be the mail of a whole company: only when it is ticked.
        follow = mailbox.all_folders and changed["special_use"] not in NOT_FOLLOWED and not namespaces.is_foreign(entry)
        Folder.objects.create(
            mailbox=mailbox, raw_name=entry.raw_name, is_followed=follow, problem=_problem(entry), **changed
        )
    elif changed:
        Folder.objects.filter(pk=folder.pk).update(**changed)


def _differences(folder: Folder | None, entry: FolderEntry) -> dict[str, object]:
    """What the row of a LIST entry has to say, as far as `folder` does not say it."""
    values: dict[str, object] = {
        "name": storable(entry.name, LONGEST_NAME) or NO_NAME,
        "delimiter": storable(entry.delimiter or "", 1),
        "special_use": Folder.SpecialUse.INBOX if entry.raw_name == b"INBOX" else entry.special_use or "",
        "is_selectable": entry.selectable and not _problem(entry),
        "vanished_at": None,
    }
    if folder is None:
        return values
    if folder.missing_since and not folder.missing and entry.selectable:
        values["missing_since"] = None  # it is back before it was believed gone
    return {name: value for name, value in values.items() if getattr(folder, name) != value}


def _problem(entry: FolderEntry) -> str:
    if any(octet in entry.raw_name for octet in _UNSENDABLE):
        return "Its name contains a line break or a NUL character, which cannot be sent to a server."
    return ""


def _missing(run: Run, folder: Folder, now: datetime, *, is_listed: bool) -> None:
    """A folder is gone, or became a mere name: hide it when a second look at least five minutes later agrees."""
    if folder.vanished_at:
        return
    if folder.missing_since is None or folder.missing:
        run.write_folder(folder, missing_since=now, missing="")
        faultpoint("missing folder noted")
    elif now - folder.missing_since >= removal.BELIEVE_AFTER:
        removal.hide_folder(run, folder, now, is_listed=is_listed)
        log.info("Folder %s of mailbox %s is gone from the server.", folder.pk, run.mailbox.pk)


def _rank(folder: Folder) -> tuple[int, str]:
    first: dict[str, int] = {Folder.SpecialUse.INBOX: 0, Folder.SpecialUse.SENT: 1}
    return first.get(folder.special_use, 2), folder.name.casefold()
