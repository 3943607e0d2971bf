"""Brings our folder rows in line with the server's LIST. A missing folder is believed gone only the second time."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import Mailbox
from accounts.sessions import imap_session
from mailstore import removal
from mailstore.models import Folder
from mailstore.run import Run
from mailstore.texts import storable
from protocols.imap.folders import FolderEntry

log = logging.getLogger(__name__)

LONGEST_RAW_NAME = 2000  # octets
LONGEST_NAME = 1000

# Left out unless ticked (spec E7): unwanted mail, and views that show the mail of other folders again.
NOT_FOLLOWED = frozenset({
    Folder.SpecialUse.JUNK, Folder.SpecialUse.TRASH, Folder.SpecialUse.ALL,
    Folder.SpecialUse.FLAGGED, Folder.SpecialUse.IMPORTANT,
})  # fmt: skip
_UNSENDABLE = (b"\0", b"\r", b"\n")


def refresh_folders(mailbox: Mailbox) -> int:
    """Ask the server for its folders now and record what is new or changed; return how many it listed.

    Nothing is taken away: whether a folder is gone is for a sync to decide. Raises MailError.
    """
    with imap_session(mailbox) as session:
        entries = [entry for entry in session.folders() if len(entry.raw_name) <= LONGEST_RAW_NAME]
    known = {folder.wire_name: folder for folder in mailbox.folders.all()}
    for entry in entries:
        try:
            with transaction.atomic():
                _record(mailbox, known, entry)
        except IntegrityError:  # a sync that runs right now was quicker with this one
            log.info("Mailbox %s: another worker has recorded a folder meanwhile.", mailbox.pk)
    return len(entries)


def update_folders(run: Run) -> list[Folder]:
    """LIST the server's folders into rows; return those to sync, INBOX first, then Sent, then by name."""
    entries = [entry for entry in run.session.folders() if len(entry.raw_name) <= LONGEST_RAW_NAME]
    now = timezone.now()
    with transaction.atomic():
        run.claim.hold(now)
        known = {folder.wire_name: folder for folder in run.mailbox.folders.all()}
        for entry in entries:
            _record(run.mailbox, known, entry)
        gone = [folder for name, folder in known.items() if name not in {entry.raw_name for entry in entries}]
    for folder in gone:
        _missing(run, folder, now)
    followed = run.mailbox.folders.filter(is_followed=True, is_selectable=True, vanished_at=None, missing_since=None)
    suspicious = run.mailbox.folders.filter(is_followed=True, is_selectable=True, vanished_at=None).exclude(missing="")
    return sorted({*followed, *suspicious}, key=_rank)


def _record(mailbox: Mailbox, known: dict[bytes, Folder], entry: FolderEntry) -> None:
    """Make or correct the row of one LIST entry; an unchanged one costs no query."""
    use = Folder.SpecialUse.INBOX if entry.raw_name == b"INBOX" else entry.special_use or ""
    problem = ""
    if any(octet in entry.raw_name for octet in _UNSENDABLE):
        problem = "Its name contains a line break or a NUL character, which cannot be sent to a server."
    values: dict[str, object] = {
        "name": storable(entry.name, LONGEST_NAME) or "(no name)",
        "delimiter": storable(entry.delimiter or "", 1),
        "special_use": use,
        "is_selectable": entry.selectable and not problem,
        "vanished_at": None,
    }
    folder = known.get(entry.raw_name)
    if folder is None:
        follow = mailbox.all_folders and use not in NOT_FOLLOWED
        Folder.objects.create(mailbox=mailbox, raw_name=entry.raw_name, is_followed=follow, problem=problem, **values)
        return
    if folder.missing_since and not folder.missing:
        values["missing_since"] = None  # it is back before it was believed gone
    changed = {name: value for name, value in values.items() if getattr(folder, name) != value}
    if changed:
        Folder.objects.filter(pk=folder.pk).update(**changed)


def _missing(run: Run, folder: Folder, now: datetime) -> None:
    """A folder is not listed any more: hide it when a second look at least five minutes later agrees."""
    if folder.vanished_at:
        return
    if folder.missing_since is None or folder.missing:
        run.write_folder(folder, missing_since=now, missing="")
    elif now - folder.missing_since >= removal.BELIEVE_AFTER:
        removal.hide_folder(run, folder, now)
        log.info("Folder %s of mailbox %s is gone from the server.", folder.pk, run.mailbox.pk)


def _rank(folder: Folder) -> tuple[int, str]:
    first: dict[str, int] = {Folder.SpecialUse.INBOX: 0, Folder.SpecialUse.SENT: 1}
    return first.get(folder.special_use, 2), folder.name.casefold()
