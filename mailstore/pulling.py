"""Messages from the open folder into the store: newest first, in batches of bounded size and memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from django.utils import timezone

from mailstore.faultpoints import faultpoint
from mailstore.models import Folder
from mailstore.reading import ReadMessage, read_message
from mailstore.run import Run
from mailstore.writing import store_batch
from protocols.errors import Refused
from protocols.imap.fetching import FetchedMessage
from protocols.imap.plan import UidSet
from protocols.imap.session import ImapSession

log = logging.getLogger(__name__)

FIRST_PAGE = 50  # messages of the first batch, so that the newest page can be read at once
BATCH = 1_000  # messages
BATCH_OCTETS = 16 * 1024 * 1024
MOST_REFUSED = 20  # messages a server may refuse one by one before the whole folder is given up


def newest_first(wanted: UidSet, size: int) -> Iterator[UidSet]:
    """Cut `wanted` into sets of at most `size` UIDs, the highest first."""
    part: list[range] = []
    room = size
    for span in reversed(list(wanted.ranges())):
        stop = span.stop
        while stop > span.start:
            start = max(span.start, stop - room)
            part.append(range(start, stop))
            room -= stop - start
            stop = start
            if not room:
                yield UidSet(part)
                part, room = [], size
    if part:
        yield UidSet(part)


def first_page(wanted: UidSet) -> UidSet:
    """The newest UIDs of `wanted`, as many as the first page shows."""
    return next(newest_first(wanted, FIRST_PAGE), UidSet())


def pull(run: Run, folder: Folder, wanted: UidSet, *, new_from: int | None) -> int:
    """Store the messages `wanted` of the open folder; return how many the server gave.

    UIDs that do not exist are passed over and count as dealt with. Raises MailError, ClaimLost, StorageFull, OutOfTime.
    """
    given = 0
    for uids in newest_first(wanted, BATCH):
        run.check_time()
        given += _pull_part(run, folder, uids, new_from)
    return given


def _pull_part(run: Run, folder: Folder, uids: UidSet, new_from: int | None) -> int:
    batch: list[ReadMessage] = []
    octets = given = 0
    now = timezone.now()
    refusals: list[int] = []
    for fetched in _fetched(run.session, uids, refusals):
        faultpoint("message fetched")
        batch.append(read_message(fetched, now))
        given += 1
        octets += len(fetched.raw)
        if octets >= BATCH_OCTETS:
            run.note(folder, store_batch(folder, batch, claim=run.claim, packs=run.packs, new_from=new_from))
            batch, octets = [], 0
    stored = store_batch(folder, batch, claim=run.claim, packs=run.packs, covered=uids, new_from=new_from)
    run.note(folder, stored)
    if refusals:
        log.warning("The server refused %s messages of folder %s: UID %s", len(refusals), folder.pk, refusals)
        words = "1 message" if len(refusals) == 1 else f"{len(refusals)} messages"
        run.write_folder(folder, problem=f"The server could not give us {words}; the rest is stored.")
    return given


def _fetched(session: ImapSession, uids: UidSet, refusals: list[int]) -> Iterator[FetchedMessage]:
    """Stream messages; where the server refuses in the middle, halve until the one it cannot give is found (R14)."""
    seen: list[int] = []
    try:
        for message in session.fetch(uids):
            seen.append(message.uid)
            yield message
        rest = UidSet()
    except Refused:
        rest = uids - UidSet(seen)
        if len(refusals) >= MOST_REFUSED or not session.usable:
            raise
    if len(rest) > 1:
        upper = first_half(rest)
        yield from _fetched(session, upper, refusals)
        yield from _fetched(session, rest - upper, refusals)
    elif rest:
        refusals.append(next(iter(rest)))


def first_half(uids: UidSet) -> UidSet:
    """The higher half of a set of two or more."""
    return next(newest_first(uids, len(uids) // 2))
