"""Reading messages of the open folder: what they hold, which there are, and how they are marked (RFC 9051, 6.4)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import date

from protocols.errors import ProtocolViolation
from protocols.imap import fetching
from protocols.imap.connection import Argument, Connection, Literal, Sink, astring
from protocols.imap.fetching import FetchedMessage, LargeMessage, Outline
from protocols.imap.plan import UidSet
from protocols.imap.responses import HIGHEST_MODSEQ, Untagged, Value, tokens, whole_number

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


class MessageReading:
    """The commands of a session about messages; none changes any."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def capabilities(self) -> frozenset[str]:
        """What the server offers to this user, upper-cased, asked after the login."""
        return self._connection.capabilities

    def fetch(self, uids: UidSet | range | Iterable[int]) -> Iterator[FetchedMessage]:
        """Stream whole messages of the open folder as they arrive, without marking them seen.

        UIDs that do not exist are passed over. Leaving the iteration early makes the session unusable.
        """
        wanted = _uid_set(uids)
        for chunk in wanted.chunks():
            for message in fetching.fetched_messages(self._connection, b"UID FETCH", str(chunk), at_most=len(chunk)):
                if message.uid in chunk:
                    yield message

    def fetch_spooling(
        self, uids: UidSet | range | Iterable[int], spool: Callable[[int], Sink]
    ) -> Iterator[FetchedMessage | LargeMessage]:
        """Like `fetch`, but the octets of messages over 25 MB go to `spool(uid)` in pieces while they come.

        What is yielded for such a message comes behind its last octet.
        """
        for chunk in _uid_set(uids).chunks():
            for message in fetching.spooled_messages(
                self._connection, b"UID FETCH", str(chunk), spool, at_most=len(chunk)
            ):
                if message.uid in chunk:
                    yield message

    def describe(self, uids: UidSet | range | Iterable[int]) -> Iterator[LargeMessage]:
        """Stream what the server tells of messages beside their octets. UIDs that do not exist are passed over."""
        for _, found in self._attributes(uids, b"(UID FLAGS INTERNALDATE RFC822.SIZE)"):
            if (message := fetching.described(found)) is not None:
                yield message

    def fetch_numbers(self, numbers: range) -> Iterator[FetchedMessage]:
        """Like `fetch`, by message numbers of the open folder, for folders with sparse UIDs."""
        text = str(UidSet([numbers]))
        yield from fetching.fetched_messages(self._connection, b"FETCH", text, at_most=len(numbers))

    def fetch_part(self, uid: int, offset: int, size: int) -> bytes:
        """Return up to `size` octets of a message from `offset` on: for messages too large to take in one piece.

        Empty at or past the end, and when the message is gone.
        """
        items = b"(UID BODY.PEEK[]<%d.%d>)" % (offset, size)
        name = b"BODY[]<%d>" % offset
        part = b""
        for found in fetching.fetched_attributes(self._connection, b"UID FETCH", str(uid), items):
            octets = found.get(name, found.get(b"BODY[]"))
            if _uid_of(found) == uid and isinstance(octets, bytes):
                part = octets
        if len(part) > size:
            raise ProtocolViolation(f"The server sent {len(part)} octets where {size} were asked for.")
        return part

    def sizes(self, uids: UidSet | range | Iterable[int]) -> dict[int, int]:
        """Return octets by UID, as the server announces them."""
        found = self._attributes(uids, b"(UID RFC822.SIZE)")
        return {
            uid: whole_number(item[b"RFC822.SIZE"], highest=HIGHEST_MODSEQ)
            for uid, item in found
            if b"RFC822.SIZE" in item
        }

    def flags(
        self, uids: UidSet | range | Iterable[int], *, changed_since: int | None = None
    ) -> dict[int, frozenset[str]]:
        """Return flags by UID; with `changed_since` only of messages whose MODSEQ is higher (RFC 7162, 3.1.4)."""
        items = b"(UID FLAGS)" if changed_since is None else b"(UID FLAGS) (CHANGEDSINCE %d)" % changed_since
        return {uid: fetching.flags_of(item) for uid, item in self._attributes(uids, items) if b"FLAGS" in item}

    def uids_of_numbers(self, numbers: range) -> list[int]:
        """Return the UIDs of message numbers in the open folder, lowest first."""
        found = fetching.fetched_attributes(self._connection, b"FETCH", str(UidSet([numbers])), b"(UID)")
        return sorted(uid for uid in map(_uid_of, found) if uid)

    def existing_uids(self, low: int, high: int) -> UidSet:
        """Return which UIDs from `low` to `high`, both included, exist in the open folder."""
        span = b"UID %d:%d" % (low, high)
        return UidSet(uid for uid in self._search(span) if low <= uid <= high)

    def uids_since(self, day: date) -> UidSet:
        """Return the UIDs in the open folder received on `day` or later, by the server's calendar (SEARCH SINCE)."""
        return UidSet(self._search(b"SINCE", f"{day.day}-{MONTHS[day.month - 1]}-{day.year:04}".encode("ascii")))

    def outlines(self, uids: UidSet | range | Iterable[int], *, fields: bytes = b"MESSAGE-ID") -> Iterator[Outline]:
        """Stream what tells messages of the open folder apart: of their octets no more than these header fields."""
        items = b"(UID INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (%b)])" % fields
        for uid, found in self._attributes(uids, items):
            yield fetching.outline(uid, found)

    def search_message_id(self, message_id: str) -> list[int]:
        """Return the UIDs in the open folder whose Message-ID contains `message_id`."""
        return list(self._search(b"HEADER MESSAGE-ID", astring(message_id)))

    def _command(self, name: bytes, *arguments: Argument, wanted: Collection[bytes] = ()) -> list[Untagged]:
        return self._connection.command(name, *arguments, wanted=wanted)

    def _attributes(
        self, uids: UidSet | range | Iterable[int], items: bytes
    ) -> Iterator[tuple[int, dict[bytes, Value]]]:
        for chunk in _uid_set(uids).chunks():
            for found in fetching.fetched_attributes(self._connection, b"UID FETCH", str(chunk), items):
                uid = _uid_of(found)
                if uid in chunk:
                    yield uid, found

    def _search(self, *criteria: Argument) -> Iterator[int]:
        """Search the open folder, by ESEARCH where offered: it answers with ranges (RFC 4731)."""
        charset: tuple[Argument, ...] = (b"CHARSET", b"UTF-8") if any(isinstance(c, Literal) for c in criteria) else ()
        if "ESEARCH" in self.capabilities:
            responses = self._command(b"UID SEARCH", b"RETURN (ALL)", *charset, *criteria, wanted={b"ESEARCH"})
        else:
            responses = self._command(b"UID SEARCH", *charset, *criteria, wanted={b"SEARCH"})
        for response in responses:
            values = tokens(response.parts)
            if response.kind == b"SEARCH":
                yield from (whole_number(value) for value in values if not isinstance(value, list))
            else:
                words = [_word(value) for value in values]
                yield from UidSet.parse(words[words.index("ALL") + 1]) if "ALL" in words[:-1] else ()


def _uid_set(uids: UidSet | range | Iterable[int]) -> UidSet:
    if isinstance(uids, UidSet):
        return uids
    return UidSet([uids]) if isinstance(uids, range) else UidSet(uids)


def _uid_of(found: dict[bytes, Value]) -> int:
    return whole_number(found[b"UID"]) if b"UID" in found else 0


def _word(value: Value) -> str:
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else b""
    return value.decode("ascii", "replace").upper() if isinstance(value, bytes) else ""
