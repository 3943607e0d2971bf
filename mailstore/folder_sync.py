"""One folder, step by step (RFC 4549, RFC 7162): epoch, new messages, flags, what left."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from mailstore import coverage, pulling, reconciling, remapping, unfetchable
from mailstore.models import Folder
from mailstore.run import Run, first_day
from organizations.faultpoints import faultpoint
from protocols.errors import Refused
from protocols.imap import plan
from protocols.imap.opened import Opened
from protocols.imap.plan import FolderState, UidSet

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FolderPlan:
    """What is to be done in one folder.

    wanted:   UIDs to fetch, existing or not.
    new_from: UIDs from here on are new mail; the ones below belong to the first download.
    since:    where the chosen period begins; None: with the first message.
    is_open:  the folder was opened to find out, as before a first download.
    """

    folder: Folder
    state: FolderState
    wanted: UidSet
    new_from: int
    since: datetime | None
    is_open: bool = True

    @property
    def announced_from(self) -> int | None:
        """The first UID whose messages are arrivals; None where people put their own mail."""
        own = (Folder.SpecialUse.SENT, Folder.SpecialUse.DRAFTS)
        return None if self.folder.special_use in own else self.new_from

    @property
    def messages(self) -> int:
        """About how many messages there are to fetch: UIDs may have gaps."""
        return min(len(self.wanted), self.state.exists)


def look(run: Run, folder: Folder, told: FolderState | None = None) -> FolderPlan | None:
    """Decide what a folder needs; None: nothing has changed since the last time.

    A folder that was synced before is judged by its state from outside: `told` with the list, or asked for. One that
    is new, doubtful or renumbered is opened.
    """
    since = first_day(run.mailbox, timezone.now())
    falls_short = coverage.falls_short(folder, since)
    if not falls_short and is_settled(folder):
        state = told or _asked(run, folder)
        if state is not None and state.uidvalidity == folder.uidvalidity:
            if _is_unchanged(folder, state):
                return None
            return FolderPlan(folder, state, _unsettled(folder, state), folder.uidnext or 1, since, is_open=False)
    state = run.session.examine(folder.wire_name)
    faultpoint("folder examined")
    if folder.uidvalidity is not None and folder.uidvalidity != state.uidvalidity:
        remapping.remap(run, folder, state)
    elif folder.epoch_changes:
        run.write_folder(folder, epoch_changes=0)
    if folder.uidvalidity is None or folder.uidnext is None:
        # What readers moved here before is not fetched: without a mark the next run compares its flags.
        mark = None if folder.stored else state.highestmodseq
        run.write_folder(folder, uidvalidity=state.uidvalidity, uidnext=state.uidnext, highestmodseq=mark)
        faultpoint("first state noted")
    if falls_short:
        coverage.reach_back(run, folder, state, since)
    return FolderPlan(folder, state, _wanted(run, folder, state, since), folder.uidnext or 1, since)


def sync_folder(run: Run, planned: FolderPlan) -> None:
    """Carry out a plan: fetch, then bring flags and removals in line, then move the marks of the folder."""
    folder = planned.folder
    run.enter(folder)
    is_first = folder.synced_at is None
    # A doubtful folder is compared message by message: a second look must not repeat what the first one was told.
    asks_for_changes = not is_first and not folder.missing
    asked_at = timezone.now()
    opened = _opened(run, folder, reconciling.settled_state(folder) if asks_for_changes else None)
    state = opened.state
    faultpoint("folder opened")
    if state.uidvalidity != planned.state.uidvalidity:
        log.info("Folder %s changed its UIDVALIDITY during the sync; the next run takes care.", folder.pk)
        return
    wanted = planned.wanted | UidSet([range(planned.state.uidnext, state.uidnext)])
    wanted = _narrowed(run, state, wanted - UidSet.parse(folder.stored)) | unfetchable.due(folder, timezone.now())
    pulling.pull(run, folder, wanted, new_from=planned.announced_from)
    if not is_first:
        missed = reconciling.catch_up(run, folder, opened, new_from=planned.new_from, asked_at=asked_at)
        pulling.pull(run, folder, missed, new_from=planned.announced_from)
    _settle(run, planned, state, is_first=is_first)
    faultpoint("folder done")


def _opened(run: Run, folder: Folder, known: FolderState | None) -> Opened:
    if known is None:
        return Opened(run.session.examine(folder.wire_name))
    return run.session.resync(folder.wire_name, known)


def _settle(run: Run, planned: FolderPlan, state: FolderState, *, is_first: bool) -> None:
    """Remember what the folder was like. Where nothing differs, nothing is written."""
    folder = planned.folder
    settled = UidSet.parse(folder.stored) | UidSet([range(1, state.uidnext)])
    marks: dict[str, object] = {
        "uidnext": max(state.uidnext, folder.uidnext or 1),
        # Flags may have changed while the first download ran: the next run asks from where this one began.
        "highestmodseq": folder.highestmodseq if is_first else state.highestmodseq,
        "mailboxid": state.mailboxid,
        "stored": str(settled),
        "covers_from": planned.since if is_first else folder.covers_from,
        # A doubtful folder keeps its old count, so that the next run looks at it again.
        "exists": folder.exists if folder.missing else state.exists,
    }
    if is_first or any(getattr(folder, name) != value for name, value in marks.items()):
        run.write_folder(folder, **marks, synced_at=timezone.now())


def is_settled(folder: Folder) -> bool:
    """Whether the last run left nothing open that only a look into the folder can settle."""
    doubtful = folder.synced_at is None or folder.missing or folder.epoch_changes
    return not doubtful and not coverage.has_gaps(folder) and not unfetchable.due(folder, timezone.now())


def _asked(run: Run, folder: Folder) -> FolderState | None:
    """Ask for the state without opening the folder."""
    try:
        return run.session.status(folder.wire_name)
    except Refused:
        return None  # EXAMINE will say why


def _is_unchanged(folder: Folder, state: FolderState) -> bool:
    """Compare the state with that after the last run. Without CONDSTORE flags may have changed unseen."""
    known = (folder.uidnext, folder.exists, folder.highestmodseq)
    return folder.highestmodseq is not None and known == (state.uidnext, state.exists, state.highestmodseq)


def _wanted(run: Run, folder: Folder, state: FolderState, since: datetime | None) -> UidSet:
    """UIDs to fetch: whatever is not dealt with, during the first download only of the chosen period."""
    wanted = _unsettled(folder, state)
    if since is not None and folder.synced_at is None:
        old = UidSet([range(1, folder.uidnext or 1)])
        wanted = (run.session.uids_since(since.date()) & wanted) | (wanted - old)
    return _narrowed(run, state, wanted)


def _unsettled(folder: Folder, state: FolderState) -> UidSet:
    return UidSet([range(1, state.uidnext)]) - UidSet.parse(folder.stored)


def _narrowed(run: Run, state: FolderState, wanted: UidSet) -> UidSet:
    """Where a server skips millions of UIDs, keep those that exist in the open folder (fault R24)."""
    if plan.is_sparse(FolderState(state.uidvalidity, len(wanted), state.exists), coverage.NUMBERS_AT_ONCE):
        return wanted & coverage.existing(run, state)
    return wanted
