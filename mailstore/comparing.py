"""Compares what is stored with what the server has now, message by message (spec G6). Changes nothing on either side.

The server is asked first and our rows are read after it, so that a message that comes meanwhile is no difference.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from accounts.models import Mailbox
from accounts.sessions import imap_session
from mailstore import hosts, runs
from mailstore.folder_list import NOT_FOLLOWED, record_folders
from mailstore.models import ComparedFolder, ComparedMessage, Comparison, Folder, Message, Reason, SyncSchedule
from mailstore.packs import GOES_ON
from mailstore.run import first_day
from mailstore.texts import storable
from mailstore.trouble import incoming_trouble, login_waits
from organizations import live
from organizations.faultpoints import faultpoint
from protocols.errors import Deferred, LoginRefused, MailError, Refused
from protocols.imap import plan
from protocols.imap.folders import FolderEntry
from protocols.imap.plan import HIGHEST_UID, FolderState, UidSet
from protocols.imap.session import ImapSession
from protocols.message.parse import parse_summary

log = logging.getLogger(__name__)

NAMED = 100  # messages named in a report
UIDS_AT_ONCE = 20_000
NUMBERS_AT_ONCE = 5_000
PASSWORD_REFUSED = "The server refused the password."  # noqa: S105  a sentence


class _Taken(Exception):
    """Somebody else has taken over, or the mailbox is gone."""


@dataclass(slots=True)
class _Found:
    """What is written as a ComparedFolder. differences: UIDs by reason, of those that are named."""

    folder: Folder
    on_server: int | None
    stored: int = 0
    skipped: Mapping[Reason, int] = field(default_factory=dict)
    only_here: Mapping[Reason, int] = field(default_factory=dict)
    words: str = ""
    messages: list[ComparedMessage] = field(default_factory=list)
    looked_at: datetime = field(default_factory=timezone.now)


def compare(mailbox_pk: int, fence: int) -> None:
    """Carry out the comparison that was claimed under `fence`. What goes wrong with the server ends in its row."""
    mailbox = Mailbox.objects.select_related("organization", "provider").filter(pk=mailbox_pk).first()
    if mailbox is None:
        return
    work = _Work(mailbox, fence)
    began = timezone.now()
    try:
        if waits := login_waits(mailbox, began):
            hosts.leave_lane(mailbox.imap_host)
            work.end(trouble=f"{PASSWORD_REFUSED} {waits}")
            return
        work.settle(work.find())
        faultpoint("comparison settled")
    except _Taken:
        log.info("The comparison of mailbox %s was taken over.", mailbox_pk)
    except MailError as exc:
        log.info("Mailbox %s was not compared: %s", mailbox_pk, type(exc).__name__)
        words, now = _in_words(mailbox, exc), timezone.now()
        hosts.learn(mailbox.imap_host, exc, words, now, lasted=now - began)
        if isinstance(exc, LoginRefused):
            runs.refused_to_watch(mailbox_pk, now)
        work.end(trouble=words)


def _in_words(mailbox: Mailbox, exc: MailError) -> str:
    return incoming_trouble(mailbox, exc).title if mailbox.incoming() is not None else str(exc)


class _Work:
    """One comparison under its claim."""

    def __init__(self, mailbox: Mailbox, fence: int) -> None:
        self._mailbox = mailbox
        self._fence = fence
        self._room = NAMED

    def find(self) -> list[_Found]:
        """Look at every folder. Raises MailError, _Taken."""
        found = []
        with imap_session(self._mailbox) as session:
            hosts.reached(self._mailbox.imap_host, timezone.now())
            entries = {entry.raw_name: entry for entry in record_folders(self._mailbox, session)}
            folders = list(self._mailbox.folders.filter(vanished_at=None))
            for done, folder in enumerate(folders):
                self._tell(folder_name=folder.name[:255], done=done, total=len(folders))
                found.append(self._look(session, folder, entries.get(folder.wire_name)))
                faultpoint("folder compared")
        return found

    def settle(self, found: Iterable[_Found]) -> None:
        """Put the result in the place of the last one."""
        with transaction.atomic():
            self.end(compared_at=timezone.now())
            ComparedFolder.objects.filter(comparison_id=self._mailbox.pk).delete()
            there = set(self._mailbox.folders.select_for_update().values_list("pk", flat=True))
            kept = [each for each in found if each.folder.pk in there]
            rows = [self._row(each) for each in kept]
            ComparedFolder.objects.bulk_create(rows)
            for row, each in zip(rows, kept, strict=True):
                for message in each.messages:
                    message.compared = row
            ComparedMessage.objects.bulk_create([message for each in kept for message in each.messages])
            faultpoint("comparison written")

    def end(self, *, trouble: str = "", **marks: object) -> None:
        """Raises _Taken."""
        self._tell(requested_at=None, leased_until=None, tries=0, trouble=trouble[:300], **marks)

    def _tell(self, **changes: object) -> None:
        """Change the row while the claim holds, and renew its lease where nothing else is said."""
        changes = {"leased_until": timezone.now() + Comparison.LEASE, **changes}
        if not Comparison.objects.holding(self._mailbox.pk, self._fence).update(**changes):
            raise _Taken
        live.announce(self._mailbox.organization_id, "mailbox", self._mailbox.pk)

    def _row(self, found: _Found) -> ComparedFolder:
        return ComparedFolder(
            comparison_id=self._mailbox.pk,
            folder=found.folder,
            looked_at=found.looked_at,
            on_server=found.on_server,
            stored=found.stored,
            skipped=_counted(found.skipped),
            only_here=_counted(found.only_here),
            words=storable(found.words, 300),
        )

    def _look(self, session: ImapSession, folder: Folder, entry: FolderEntry | None) -> _Found:
        live_here = Message.objects.live().filter(folder=folder)
        if entry is None or not folder.is_selectable:
            reason = Reason.GUARDED if folder.missing_since else Reason.GONE
            words = "" if entry else "The server does not list it any more."
            return _Found(folder, 0, only_here={reason: live_here.count()}, words=words)
        try:
            if not folder.is_followed and not live_here.exists():
                exists = (entry.state or session.status(folder.wire_name)).exists
                return _Found(folder, exists, skipped={_unchosen(folder): exists})
            state = session.examine(folder.wire_name)
            there = self._uids(session, state)
            folder.refresh_from_db()
            if folder.uidvalidity not in (None, state.uidvalidity):
                renumbered = {Reason.RENUMBERED: len(there)}
                return _Found(folder, len(there), 0, renumbered, {Reason.RENUMBERED: live_here.count()})
            return self._compared(session, folder, there)
        except (Refused, Deferred) as exc:
            if not session.usable:
                raise
            return _Found(folder, None, words=f"The server does not open it: {exc.reply or exc}")
        except Folder.DoesNotExist as exc:
            raise _Taken from exc

    def _uids(self, session: ImapSession, state: FolderState) -> UidSet:
        """Every UID in the open folder, in bounded steps."""
        if plan.is_sparse(state, NUMBERS_AT_ONCE):
            spans = plan.number_ranges(state.exists, NUMBERS_AT_ONCE)
            return UidSet(uid for span in spans for uid in self._each(session.uids_of_numbers(span)))
        found = session.existing_uids(state.uidnext, HIGHEST_UID)  # a UIDNEXT may be lower than what exists
        for low in range(1, state.uidnext, UIDS_AT_ONCE):
            self._tell()
            found |= session.existing_uids(low, min(low + UIDS_AT_ONCE, state.uidnext) - 1)
        return found

    def _each(self, uids: list[int]) -> list[int]:
        self._tell()
        return uids

    def _compared(self, session: ImapSession, folder: Folder, there: UidSet) -> _Found:
        """Tell the two sides of one folder apart."""
        rows = Message.objects.filter(folder=folder, uidvalidity=folder.epoch).values_list("uid", "pk", "vanished_at")
        here: dict[int, int] = {}
        hidden: list[int] = []
        for uid, pk, vanished_at in rows.iterator():
            if vanished_at is None:
                here[uid] = pk
            else:
                hidden.append(uid)
        shown = UidSet(here)
        skipped = self._skipped(session, folder, there - shown, UidSet(hidden))
        gone = list(shown - there)
        missing = set(UidSet.parse(folder.missing))
        guarded = [uid for uid in gone if here[uid] in missing]
        only_here = {Reason.GUARDED: UidSet(guarded), Reason.GONE: UidSet(gone) - UidSet(guarded)}
        forgotten = Message.objects.live().filter(folder=folder).exclude(uidvalidity=folder.epoch).count()
        counts = {reason: len(uids) for reason, uids in only_here.items()}
        counts[Reason.RENUMBERED] = forgotten
        found = _Found(folder, len(there), len(there & shown), {r: len(u) for r, u in skipped.items()}, counts)
        for reason, uids in only_here.items():
            found.messages += self._named_here(folder, reason, uids)
        for reason, uids in skipped.items():
            if reason not in (Reason.PERIOD, Reason.NOT_CHOSEN, Reason.LEFT_OUT):
                found.messages += self._named_there(session, reason, uids)
        return found

    def _skipped(
        self, session: ImapSession, folder: Folder, only_there: UidSet, hidden: UidSet
    ) -> dict[Reason, UidSet]:
        """Why messages that the server has are not shown here."""
        found = {Reason.HIDDEN: only_there & hidden}
        rest = only_there - hidden
        if not folder.is_followed:
            return {**found, _unchosen(folder): rest}
        found[Reason.REFUSED] = rest & UidSet(map(int, folder.refused))
        rest -= found[Reason.REFUSED]
        settled = UidSet.parse(folder.stored)
        since = folder.covers_from if folder.synced_at else first_day(self._mailbox, timezone.now())
        old = rest - session.uids_since(since.date()) if since and rest else UidSet()
        if folder.synced_at:
            old &= settled  # an older message that was moved here lately is fetched all the same
        rest -= old
        open_ = rest - settled
        why_open = Reason.NO_ROOM if self._waits_for_room() else Reason.WAITING
        return {**found, Reason.PERIOD: old, Reason.LOST: rest - open_, why_open: open_}

    def _waits_for_room(self) -> bool:
        return SyncSchedule.objects.filter(
            mailbox=self._mailbox, failures__gt=0, waiting_for__contains=GOES_ON
        ).exists()

    def _named_here(self, folder: Folder, reason: Reason, uids: UidSet) -> list[ComparedMessage]:
        newest = self._newest(uids)
        rows = Message.objects.live().filter(folder=folder, uidvalidity=folder.epoch, uid__in=newest).order_by("-uid")
        return [ComparedMessage(uid=row.uid, reason=reason, subject=row.subject, dated=row.received_at) for row in rows]

    def _named_there(self, session: ImapSession, reason: Reason, uids: UidSet) -> list[ComparedMessage]:
        """Ask the server for subject and date; one that it does not tell is named by its UID alone."""
        newest = self._newest(uids)
        named = {uid: ComparedMessage(uid=uid, reason=reason) for uid in newest}
        for part in [newest] if reason is not Reason.REFUSED else [[uid] for uid in newest]:
            for uid, subject, dated in _heads(session, part):
                named[uid].subject, named[uid].dated = storable(subject, 1000), dated
        return list(named.values())

    def _newest(self, uids: UidSet) -> list[int]:
        newest = sorted(uids, reverse=True)[: self._room] if uids and self._room else []
        self._room -= len(newest)
        return newest


def _heads(session: ImapSession, uids: list[int]) -> Iterator[tuple[int, str, datetime | None]]:
    """Yield UID, subject and date of messages of the open folder, as far as the server tells."""
    try:
        for outline in session.outlines(uids, fields=b"SUBJECT DATE"):
            told = parse_summary(outline.head)
            yield outline.uid, told.subject, outline.internal_date or told.date
    except (Refused, Deferred):
        if not session.usable:
            raise


def _unchosen(folder: Folder) -> Reason:
    return Reason.LEFT_OUT if folder.special_use in NOT_FOLLOWED else Reason.NOT_CHOSEN


def _counted(counts: Mapping[Reason, int]) -> dict[str, int]:
    return {reason.value: count for reason, count in counts.items() if count}
