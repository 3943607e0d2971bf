"""Changes to messages that somebody asked for: flags, copies, moves, removal (RFC 9051, 6.4; RFC 7162; RFC 6851).

Nothing here happens by itself: a folder is opened for changes only through `ImapSession.select`. Each command names
its messages by UID. Plain EXPUNGE, which would remove what others have marked, is never sent.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from protocols.errors import ProtocolViolation, Refused, UnsafeArgument
from protocols.imap.connection import Connection, astring
from protocols.imap.plan import FolderState, UidSet
from protocols.imap.responses import response_code

MOST_NAMED = 900  # octets of a sequence set: answers repeat it, and so stay short enough to be read as words

_FLAG = re.compile(r"\\?[^\x00-\x20\x7f-\uffff(){%*\"\\\]]+", re.ASCII)


class NotOffered(Refused):
    """The server lacks the extension that this needs; nothing was sent."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where copies went (COPYUID, RFC 9051, 7.1).

    uids: UID in the folder they came from -> UID in the folder they are in now.
    """

    uidvalidity: int
    uids: dict[int, int]


class ChangeableFolder:
    """The folder that a session has open for reading and writing, until it opens another one.

    Every method raises Unreachable, Refused, Deferred or ProtocolViolation.
    """

    def __init__(self, connection: Connection, state: FolderState, permanent: frozenset[str] | None = None) -> None:
        self._connection = connection
        self.state = state
        self._permanent = permanent

    def keeps(self, keyword: str) -> bool:
        """Whether a keyword may be set here for good (PERMANENTFLAGS, RFC 9051, 2.3.2 and 6.3.2)."""
        return self._permanent is None or bool({keyword.lower(), r"\*"} & self._permanent)

    def change_flags(
        self,
        uids: UidSet,
        *,
        add: Collection[str] = (),
        remove: Collection[str] = (),
        unchanged_since: int | None = None,
    ) -> UidSet:
        """Set and clear flags; return the UIDs left as they were, because somebody else changed them meanwhile.

        unchanged_since: the MODSEQ up to which we know their flags (UNCHANGEDSINCE, RFC 7162, 3.1.3). None, or a
        server without CONDSTORE: whatever they are now. A message that is gone is passed over.
        """
        modified = UidSet()
        for sign, flags in ((b"+", add), (b"-", remove)):
            if not flags:
                continue
            # What failed the first half of the change must not get the second.
            for chunk in (uids - modified).chunks(MOST_NAMED):
                modified |= self._store(chunk, sign + b"FLAGS.SILENT", flags, unchanged_since)
        return modified

    def copy(self, uids: UidSet, raw_name: bytes) -> Placement | None:
        """Copy messages to another folder; None where the server does not tell their new UIDs (no UIDPLUS)."""
        return self._placed(b"UID COPY", uids, raw_name)

    def move(self, uids: UidSet, raw_name: bytes) -> Placement | None:
        """Move messages in one step that is done whole or not at all, message by message (RFC 6851).

        Raises NotOffered without MOVE: then `copy`, mark `\\Deleted` and `expunge`, each as a step of its own that can
        be taken up again.
        """
        if not {"MOVE", "IMAP4REV2"} & self._connection.capabilities:
            raise NotOffered("The server cannot move messages in one step.")
        return self._placed(b"UID MOVE", uids, raw_name)

    def expunge(self, uids: UidSet) -> None:
        """Remove those of `uids` that are marked `\\Deleted`, and no others (UID EXPUNGE, RFC 4315, 2.1).

        Raises NotOffered without UIDPLUS: a plain EXPUNGE would remove what other people have marked.
        """
        if not {"UIDPLUS", "IMAP4REV2"} & self._connection.capabilities:
            raise NotOffered("The server cannot remove single messages; they stay marked as deleted.")
        for chunk in uids.chunks():
            self._connection.command(b"UID EXPUNGE", str(chunk).encode("ascii"))

    def _store(self, uids: UidSet, item: bytes, flags: Collection[str], unchanged_since: int | None) -> UidSet:
        condition = [b"(UNCHANGEDSINCE %d)" % unchanged_since] if unchanged_since and self._counts_changes else []
        written = flag_list(flags)
        try:
            self._connection.command(b"UID STORE", str(uids).encode("ascii"), *condition, item, written)
        except Refused as exc:
            # Some servers say NO, not OK, when nothing of it could be done.
            if not condition or response_code(exc.reply)[0] != "MODIFIED":
                raise
        code, argument = response_code(self._connection.answer)
        return UidSet.parse(argument) if code == "MODIFIED" else UidSet()

    def _placed(self, command: bytes, uids: UidSet, raw_name: bytes) -> Placement | None:
        placements = [self._place(command, chunk, raw_name) for chunk in uids.chunks(MOST_NAMED)]
        told = [placement for placement in placements if placement is not None]
        if not told:
            return None
        return Placement(told[-1].uidvalidity, {old: new for part in told for old, new in part.uids.items()})

    def _place(self, command: bytes, uids: UidSet, raw_name: bytes) -> Placement | None:
        """COPYUID comes with the tagged answer to COPY, and in an untagged OK before it to MOVE (RFC 6851, 4.3)."""
        answers = self._connection.command(command, str(uids).encode("ascii"), astring(raw_name), wanted={b"OK"})
        codes = [response_code(text) for text in (self._connection.answer, *(answer.text for answer in answers))]
        argument = next((argument for code, argument in codes if code == "COPYUID"), "")
        match argument.split():
            case [uidvalidity, source, target] if uidvalidity.isdigit():
                return Placement(int(uidvalidity), _pairs(source, target, at_most=len(uids)))
        return None

    @property
    def _counts_changes(self) -> bool:
        return self.state.highestmodseq is not None


def flag_list(flags: Collection[str]) -> bytes:
    """Write flags as a command takes them. Raises UnsafeArgument for what is no flag."""
    if not all(_FLAG.fullmatch(flag) for flag in flags):
        raise UnsafeArgument("A flag is one word without brackets, quotes or spaces.")
    return b"(" + " ".join(flags).encode("ascii") + b")"


def _pairs(source: str, target: str, *, at_most: int) -> dict[int, int]:
    """Pair the UIDs of COPYUID: both sets are in the order of the copies (RFC 4315, 3)."""
    old, new = _in_order(source, at_most), _in_order(target, at_most)
    if len(old) != len(new):
        raise ProtocolViolation("The server says that it made more or fewer copies than there were messages.")
    return dict(zip(old, new, strict=True))


def _in_order(text: str, at_most: int) -> list[int]:
    parts = [UidSet.parse(part) for part in text.split(",")]
    if sum(map(len, parts)) > at_most:
        raise ProtocolViolation("The server says that it made more or fewer copies than there were messages.")
    return [uid for part in parts for uid in part]
