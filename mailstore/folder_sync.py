"""One folder, step by step (RFC 4549, RFC 7162): epoch, new messages, flags, what left."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from mailstore import coverage, pulling, reconciling, remapping
from mailstore.models import Folder
from mailstore.run import Run, first_day
from organizations.faultpoints import faultpoint
from protocols.errors import Refused
from protocols.imap import plan
from protocols.imap.plan import FolderState, UidSet

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FolderPlan:
    """What is to be done in one folder.

    wanted:   UIDs to fetch, existing or not.
    new_from: UIDs from here on are new mail; the ones below belong to the first download.
    since:    where the chosen period begins; None: with the first message.
    """

    folder: Folder
    state: FolderState
    wanted: UidSet
    new_from: int
    since: datetime | None

    @property
    def announced_from(self) -> int | None:
        """The first UID whose messages are arrivals; None where people put their own mail."""
        own = (Folder.SpecialUse.SENT, Folder.SpecialUse.DRAFTS)
        return None if self.folder.special_use in own else self.new_from

    @property
    def messages(self) -> int:
        """About how many messages there are to fetch: UIDs may have gaps."""
        return min(len(self.wanted), self.state.exists)


def look(run: Run, folder: Folder) -> FolderPlan | None:
    """Decide what a folder needs; None: nothing has changed since the last time. Leaves the folder open."""
    since = first_day(run.mailbox, timezone.now())
    falls_short = coverage.falls_short(folder, since)
    if not falls_short and _is_unchanged(run, folder):
        return None
    state = run.session.examine(folder.wire_name)
    faultpoint("folder examined")
    if folder.uidvalidity is not None and folder.uidvalidity != state.uidvalidity:
        remapping.remap(run, folder, state)
    elif folder.epoch_changes:
        run.write_folder(folder, epoch_changes=0)
    if folder.uidvalidity is None or folder.uidnext is None:
        run.write_folder(
            folder, uidvalidity=state.uidvalidity, uidnext=state.uidnext, highestmodseq=state.highestmodseq
        )
    if falls_short:
        coverage.reach_back(run, folder, state, since)
    return FolderPlan(folder, state, _wanted(run, folder, state, since), folder.uidnext or 1, since)


def sync_folder(run: Run, planned: FolderPlan) -> None:
    """Carry out a plan: fetch, then bring flags and removals in line, then move the marks of the folder."""
    folder = planned.folder
    run.enter(folder)
    state = run.session.examine(folder.wire_name)
    if state.uidvalidity != planned.state.uidvalidity:
        log.info("Folder %s changed its UIDVALIDITY during the sync; the next run takes care.", folder.pk)
        return
    wanted = planned.wanted | UidSet([range(planned.state.uidnext, state.uidnext)])
    pulling.pull(run, folder, wanted - UidSet.parse(folder.stored), new_from=planned.announced_from)
    is_first = folder.synced_at is None
    if not is_first:
        reconciling.flags(run, folder, state)
        if reconciling.is_short(folder, state, new_from=planned.new_from):
            reconciling.removals(run, folder)
    settled = UidSet.parse(folder.stored) | UidSet([range(1, state.uidnext)])
    run.write_folder(
        folder,
        uidnext=max(state.uidnext, folder.uidnext or 1),
        # Flags may have changed while the first download ran: the next run asks from where this one began.
        highestmodseq=folder.highestmodseq if is_first else state.highestmodseq,
        stored=str(settled),
        synced_at=timezone.now(),
        covers_from=planned.since if is_first else folder.covers_from,
        # A doubtful folder keeps its old count, so that the next run looks at it again.
        exists=folder.exists if folder.missing else state.exists,
    )
    faultpoint("folder done")


def _wanted(run: Run, folder: Folder, state: FolderState, since: datetime | None) -> UidSet:
    """UIDs to fetch: whatever is not dealt with, during the first download only of the chosen period."""
    stored = UidSet.parse(folder.stored)
    new_from = folder.uidnext or 1
    wanted = UidSet([range(1, state.uidnext)]) - stored
    if since is not None and folder.synced_at is None:
        old = UidSet([range(1, new_from)])
        wanted = (run.session.uids_since(since.date()) & wanted) | (wanted - old)
    if plan.is_sparse(FolderState(state.uidvalidity, len(wanted), state.exists), coverage.NUMBERS_AT_ONCE):
        wanted = wanted & coverage.existing(run, state)
    return wanted


def _is_unchanged(run: Run, folder: Folder) -> bool:
    """Ask for the state without opening the folder. Without CONDSTORE flags may have changed unseen."""
    if folder.synced_at is None or folder.highestmodseq is None or folder.missing or folder.epoch_changes:
        return False
    if coverage.has_gaps(folder):
        return False
    try:
        state = run.session.status(folder.wire_name)
    except Refused:
        return False  # EXAMINE will say why
    return (state.uidvalidity, state.uidnext, state.exists, state.highestmodseq) == (
        folder.uidvalidity,
        folder.uidnext,
        folder.exists,
        folder.highestmodseq,
    )
