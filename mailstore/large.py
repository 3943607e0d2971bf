"""Messages over 25 MB: poured into a file as they come, never held in memory, gone on with where the line broke (R6).

Nobody knows that a message is large before its octets are announced, so the first try takes them where they come, among
those of other messages. What breaks off then is fetched in parts, after all other messages of the folder.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from mailstore import partials
from mailstore.models import Folder
from mailstore.packs import Location
from mailstore.partials import Partial
from mailstore.run import Run
from organizations.faultpoints import faultpoint
from protocols.errors import MailError, Refused
from protocols.imap.connection import Sink
from protocols.imap.fetching import LargeMessage
from protocols.imap.plan import UidSet
from protocols.imap.responses import response_code
from protocols.message.octets import LARGE_MESSAGE

log = logging.getLogger(__name__)

PART = 1024 * 1024  # octets asked for at once: a line that drops loses no more than what is on its way


class LargeIntake:
    """The large messages of one pull of a folder.

    aside: their UIDs, as far as they are not whole: some were begun by an earlier run.
    stuck: UIDs of which not one octet came before the line broke.
    got_further: a message that is not whole has grown.
    """

    def __init__(self, run: Run, folder: Folder) -> None:
        self._run = run
        self._folder = folder
        self._pouring: dict[int, Partial] = {}
        self.aside = UidSet(partials.begun(folder))
        self.stuck = UidSet()
        self.got_further = False

    def spool(self, uid: int) -> Sink:
        """Where the octets of a message go while it is fetched with others. The sink raises OutOfTime; what it was
        given until then is kept.
        """
        partial = self._pouring[uid] = Partial(self._folder, uid)

        def pour(octets: memoryview) -> None:
            partial.take(octets)
            self._run.check_time()

        return pour

    def placed(self, message: LargeMessage) -> Location | None:
        """Give a message that just came its place; None where its octets could not be taken, and it is put aside.

        Raises StorageFull.
        """
        partial = self._pouring.pop(message.uid, None)
        if partial is None:
            self.aside |= UidSet([message.uid])
            return None
        return partial.place()

    def fetch(self, uids: UidSet, refusals: list[int]) -> Iterator[tuple[LargeMessage, Location]]:
        """Fetch in parts what was put aside of `uids`, newest first; what is gone from the server is passed over.

        Where the server refuses a message on a line that stays whole, its UID is added to `refusals` (fault R14).
        Raises MailError, OutOfTime, StorageFull; what came until then is kept.
        """
        wanted = self.aside & uids
        there = {message.uid: message for message in self._run.session.describe(wanted)} if wanted else {}
        for uid in sorted(wanted, reverse=True):
            partial = self._pouring[uid] = Partial(self._folder, uid)
            if uid not in there:
                self._pouring.pop(uid).drop()
            elif self._came_whole(uid, partial):
                yield there[uid], self._pouring.pop(uid).place()
            else:
                self._pouring.pop(uid).close()
                refusals.append(uid)

    def _came_whole(self, uid: int, partial: Partial) -> bool:
        """Fetch what is missing; False where the server refuses it."""
        try:
            while not partial.is_lost and (part := self._run.session.fetch_part(uid, partial.size, PART)):
                partial.take(part)
                faultpoint("part fetched")
                self._run.check_time()
        except MailError as exc:
            is_refused = isinstance(exc, Refused) or response_code(exc.reply)[0] == "SERVERBUG"
            if is_refused and self._run.session.usable:
                return False
            if partial.size == partial.began_at:
                self.stuck |= UidSet([uid])
            raise
        return True

    def close(self) -> None:
        """Keep what is not whole for the next run."""
        for uid, partial in self._pouring.items():
            log.info("Of message %s in folder %s there are %s octets so far.", uid, self._folder.pk, partial.size)
            self.got_further |= partial.size > partial.began_at
            partial.close()
        self._pouring.clear()


def put_aside(run: Run, folder: Folder, uids: UidSet) -> UidSet:
    """Of a few messages of the open folder, return those that are not large: they are to be seen at once."""
    sizes = run.session.sizes(uids)
    large = UidSet(uid for uid, size in sizes.items() if size > LARGE_MESSAGE)
    return uids - large - UidSet(partials.begun(folder))
