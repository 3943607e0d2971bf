"""How far back the stored mail of a folder reaches, and reaching further once a longer period was chosen (spec E7)."""

from __future__ import annotations

from datetime import datetime

from mailstore.models import Folder, Message
from mailstore.run import Run
from organizations.faultpoints import faultpoint
from protocols.imap import plan
from protocols.imap.plan import FolderState, UidSet

NUMBERS_AT_ONCE = 5_000  # message numbers per command where UIDs are sparse


def falls_short(folder: Folder, since: datetime | None) -> bool:
    """Tell whether mail from `since` on (None: all) is more than `folder` was downloaded for."""
    if folder.synced_at is None or folder.covers_from is None:
        return False
    return since is None or since < folder.covers_from


def reach_back(run: Run, folder: Folder, state: FolderState, since: datetime | None) -> None:
    """Mark the older messages from `since` on that are not here as not dealt with; fetching them is the usual work.

    The gaps stay in the row, so that a run that breaks off is continued by the next one. `folder` is open.
    """
    there = existing(run, state) if since is None else run.session.uids_since(since.date())
    rows = Message.objects.filter(folder=folder, uidvalidity=folder.epoch)
    here = UidSet(rows.values_list("uid", flat=True).iterator())
    run.write_folder(folder, stored=str(UidSet.parse(folder.stored) - (there - here)), covers_from=since)
    faultpoint("gaps noted")


def has_gaps(folder: Folder) -> bool:
    """Tell whether some message below the mark of new mail is still to be fetched."""
    return not UidSet.parse(folder.stored).covers(1, folder.uidnext or 1)


def existing(run: Run, state: FolderState) -> UidSet:
    """Every UID in the open folder, asked for by message numbers."""
    spans = plan.number_ranges(state.exists, NUMBERS_AT_ONCE)
    return UidSet(uid for span in spans for uid in run.session.uids_of_numbers(span))
