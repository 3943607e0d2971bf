"""Messages from the open folder into the store: newest first, in batches of bounded size and memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from mailstore import shared_octets, unfetchable
from mailstore.large import LargeIntake
from mailstore.models import Folder
from mailstore.packs import Location, StorageFull
from mailstore.reading import Entry, Envelope
from mailstore.run import OutOfTime, Run
from mailstore.writers import Batch
from organizations.faultpoints import faultpoint
from protocols.errors import Deferred, MailError, Refused
from protocols.imap.connection import Sink
from protocols.imap.fetching import FetchedMessage, LargeMessage
from protocols.imap.plan import UidSet
from protocols.imap.responses import response_code
from protocols.imap.session import ImapSession

log = logging.getLogger(__name__)

FIRST_PAGE = 50  # messages of the first batch, so that the newest page can be read at once
BATCH = 1_000  # messages
BATCH_OCTETS = 32 * 1024 * 1024
MOST_LEFT_OUT = 10  # messages for which there was no room, before no smaller one is tried
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

    UIDs that do not exist are passed over and count as dealt with. Whatever ends it, messages that came through whole
    and found room are kept. Raises MailError, ClaimLost, StorageFull, OutOfTime.
    """
    given = 0
    refusals: list[int] = []
    intake = _Intake(run, folder, new_from)
    large = LargeIntake(run, folder)
    try:
        for uids in newest_first(wanted - large.aside, BATCH):
            run.check_time()
            faultpoint("range planned")
            refused_before = len(refusals)
            for fetched in _fetched(run.session, uids, refusals, large.spool):
                faultpoint("message fetched")
                if isinstance(fetched, LargeMessage):
                    intake.take_large(fetched, large)
                else:
                    intake.take(fetched)
                faultpoint("octets kept")
                given += 1
                run.check_time()
            faultpoint("range fetched")
            intake.check_room()
            if len(refusals) > refused_before:
                unfetchable.blame_the_folder(run, folder)
            intake.hand_over(uids - large.aside)
        given += _pull_in_parts(large, wanted, intake, refusals)
    except (MailError, OutOfTime, StorageFull):
        large.close()
        if large.got_further:
            run.got_further()
        intake.hand_over(large.stuck)  # so that even a bad line or a disk that is nearly full makes progress
        intake.finish()
        unfetchable.settle(run, folder, asked=large.stuck, refused=[*large.stuck])
        raise
    finally:
        large.close()
    intake.finish()
    unfetchable.settle(run, folder, asked=wanted, refused=refusals)
    return given


def _pull_in_parts(large: LargeIntake, wanted: UidSet, intake: _Intake, refusals: list[int]) -> int:
    """Fetch the large messages that were put aside, once all others are stored. Of each one that was refused for
    good the UID is added to `refusals`.
    """
    if not large.aside & wanted:
        return 0
    intake.finish()
    given = 0
    for message, place in large.fetch(wanted, refusals):
        intake.take_placed(message, place)
        intake.hand_over(UidSet([message.uid]))
        given += 1
    return given


class _Intake:
    """Batches on their way: one is being fetched, one is being read, one or two are being written."""

    def __init__(self, run: Run, folder: Folder, new_from: int | None) -> None:
        self._run = run
        self._folder = folder
        self._new_from = new_from
        self._entries: list[Entry] = []
        self._places: list[Location] = []
        self._octets = 0
        self._no_room: list[StorageFull] = []
        self._being_read: tuple[list[Location], UidSet] | None = None

    def take_large(self, fetched: LargeMessage, large: LargeIntake) -> None:
        """Take a message whose octets went into a file of its own, or leave it to be fetched in parts."""
        try:
            place = large.placed(fetched)
        except StorageFull as exc:
            self._left_out(exc)
            return
        if place is not None:
            self.take_placed(fetched, place)

    def take_placed(self, fetched: FetchedMessage | LargeMessage, place: Location) -> None:
        """Take a message whose octets have their place."""
        envelope = Envelope(fetched.uid, fetched.flags, fetched.internal_date, fetched.size)
        self._entries.append(Entry(envelope, self._run.packs.path_of(place), place.offset, place.size))
        self._places.append(place)
        self._octets += place.size
        if self._octets >= BATCH_OCTETS:
            self.hand_over(UidSet())

    def _left_out(self, full: StorageFull) -> None:
        self._no_room.append(full)
        if len(self._no_room) > MOST_LEFT_OUT:
            raise full

    def take(self, fetched: FetchedMessage) -> None:
        """Put the octets into a pack, and let go of them. Smaller messages may fit where a large one did not."""
        try:
            place = self._held_already(fetched) or self._run.packs.append(fetched.raw)
        except StorageFull as exc:
            self._left_out(exc)
        else:
            self.take_placed(fetched, place)

    def _held_already(self, fetched: FetchedMessage) -> Location | None:
        """Of new mail, the place where its octets lie since before it was moved or copied."""
        if self._new_from is None or fetched.uid < self._new_from:
            return None
        return shared_octets.place_of(self._folder.mailbox_id, fetched.raw)

    def check_room(self) -> None:
        """Raise StorageFull where a message was left out; its batch is not dealt with."""
        if self._no_room:
            raise self._no_room[0]

    def hand_over(self, covered: UidSet) -> None:
        """Let this batch be read while the one before is written. `covered` is dealt with once this one is stored."""
        ready = self._collect()
        self._run.reader.submit(self._entries)
        self._being_read = (self._places, covered)
        self._entries, self._places, self._octets = [], [], 0
        self._write(ready)

    def finish(self) -> None:
        """Write what is still being read, and wait until everything is stored."""
        self._write(self._collect())
        self._run.writer.finish()
        self._tell()

    def _collect(self) -> Batch | None:
        if self._being_read is None:
            return None
        (places, covered), self._being_read = self._being_read, None
        try:
            read = self._run.reader.collect()
        except OSError:
            self._tell()  # a writer that found no room gives back the octets of later batches: that is the failure
            raise
        faultpoint("batch read")
        messages = list(zip(read.messages, places, strict=True))
        run = self._run
        return Batch(self._folder, messages, run.claim, run.packs, covered, self._new_from, read.postings)

    def _write(self, ready: Batch | None) -> None:
        if ready is not None:
            self._run.writer.submit(ready)
            self._tell()

    def _tell(self) -> None:
        for folder, stored in self._run.writer.news():
            self._run.note(folder, stored)


def _fetched(
    session: ImapSession, uids: UidSet, refusals: list[int], spool: Callable[[int], Sink]
) -> Iterator[FetchedMessage | LargeMessage]:
    """Stream messages; where the server refuses in the middle, halve until the one it cannot give is found (R14)."""
    seen: list[int] = []
    try:
        for message in session.fetch_spooling(uids, spool):
            seen.append(message.uid)
            yield message
        rest = UidSet()
    except (Refused, Deferred) as exc:
        # Of one message SERVERBUG says that it is corrupt, whatever it may say of a whole server.
        if isinstance(exc, Deferred) and response_code(exc.reply)[0] != "SERVERBUG":
            raise
        rest = uids - UidSet(seen)
        if len(refusals) >= MOST_REFUSED or not session.usable:
            raise
    if len(rest) > 1:
        upper = first_half(rest)
        yield from _fetched(session, upper, refusals, spool)
        yield from _fetched(session, rest - upper, refusals, spool)
    elif rest:
        refusals.append(next(iter(rest)))


def first_half(uids: UidSet) -> UidSet:
    """The higher half of a set of two or more."""
    return next(newest_first(uids, len(uids) // 2))
