"""Reading messages off the wire as they stream in (RFC 9051, 7.5.2).

A fast path recognises the line that most servers send, attributes in the order asked for; anything else goes
through the tokenizer. Bodies are counted octets, read once into their final place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import TypeVar

from protocols.errors import ProtocolViolation
from protocols.imap.connection import Connection, Poured, Sink
from protocols.imap.responses import HIGHEST_MODSEQ, Untagged, Value, tokens, whole_number
from protocols.wire import readable

WHOLE_MESSAGE = b"(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])"
PROGRESS_TIMEOUT = 60.0  # seconds without an octet while messages stream

_USUAL = re.compile(
    rb'\(UID (\d{1,10}) FLAGS \(([^()"]*)\) INTERNALDATE "([^"]{26})" RFC822\.SIZE (\d{1,19}) BODY\[\] ', re.ASCII
)
_UID = re.compile(rb"[( ]UID (\d{1,10}) ", re.ASCII | re.IGNORECASE)
_MONTHS = {
    name: number
    for number, name in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split(), start=1)
}  # fmt: skip
_SYSTEM_FLAGS = {flag.lower(): flag for flag in (r"\Seen", r"\Answered", r"\Flagged", r"\Deleted", r"\Draft")}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FetchedMessage:
    """One message as the server keeps it.

    internal_date: when the server received it, aware UTC; None when it gave no readable date.
    size:          octets as the server announces them (RFC822.SIZE), which may differ from len(raw).
    """

    uid: int
    flags: frozenset[str]
    internal_date: datetime | None
    size: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class LargeMessage:
    """A message like `FetchedMessage` without octets: they were poured as they came, or are still to be asked for."""

    uid: int
    flags: frozenset[str]
    internal_date: datetime | None
    size: int


@dataclass(frozen=True, slots=True)
class Outline:
    """What tells a message from others without its octets.

    head: the header section with only the fields asked for, as the server gives it.
    """

    uid: int
    internal_date: datetime | None
    size: int
    head: bytes


def fetched_messages(connection: Connection, command: bytes, numbers: str, *, at_most: int) -> Iterator[FetchedMessage]:
    """Stream the whole messages `numbers`; `command` is FETCH or UID FETCH. Does not set \\Seen.

    A message that the server lists without its octets (NIL) is left out. Leaving early breaks the connection.
    """
    yield from _streamed(connection, command, numbers, WHOLE_MESSAGE, read=_message, at_most=at_most)


def spooled_messages(
    connection: Connection, command: bytes, numbers: str, spool: Callable[[int], Sink], *, at_most: int
) -> Iterator[FetchedMessage | LargeMessage]:
    """Like `fetched_messages`, but the octets of messages over 25 MB go to `spool(uid)`, piece by piece.

    Where a server names the UID behind the octets they are let go; `spool` was not asked for that message then.
    """
    connection.pour = lambda before: spool(int(uid[1])) if (uid := _UID.search(before)) else _let_go
    try:
        found: Iterator[FetchedMessage | LargeMessage] = _streamed(
            connection, command, numbers, WHOLE_MESSAGE, read=_large_or_whole, at_most=at_most
        )
        yield from found
    finally:
        connection.pour = None


def fetched_attributes(
    connection: Connection, command: bytes, numbers: str, items: bytes
) -> Iterator[dict[bytes, Value]]:
    """Stream the attributes `items` of messages, upper-cased names to values. Never whole bodies."""
    yield from _streamed(connection, command, numbers, items, read=attributes, at_most=None)


def _streamed(
    connection: Connection,
    command: bytes,
    numbers: str,
    items: bytes,
    *,
    read: Callable[[Untagged], T | None],
    at_most: int | None,
) -> Iterator[T]:
    wire = connection.wire
    usual_timeout = wire.timeout
    wire.expect_much()
    wire.be_patient(max(PROGRESS_TIMEOUT, usual_timeout))
    yielded = 0
    conversation = connection.converse(command, numbers.encode("ascii"), items, streaming=True)
    try:
        for response in conversation:
            if response.kind != b"FETCH":
                continue
            found = read(response)
            if found is None:
                continue
            yielded += 1
            if at_most is not None and yielded > at_most:
                raise ProtocolViolation("The server sent more messages than were asked for.")
            yield found
    finally:
        conversation.close()
        if not connection.broken:
            wire.be_patient(usual_timeout)
            wire.rest()


def attributes(response: Untagged) -> dict[bytes, Value]:
    """Return the attributes of a FETCH response by upper-cased name, in whatever order they came."""
    values = tokens(response.parts)
    if len(values) != 1 or not isinstance(values[0], list) or len(values[0]) % 2:
        raise ProtocolViolation(
            "The server described a message in a way that cannot be read.", reply=response.text[:200]
        )
    names = values[0][::2]
    if not all(isinstance(name, bytes) for name in names):
        raise ProtocolViolation(
            "The server described a message in a way that cannot be read.", reply=response.text[:200]
        )
    return {name.upper(): value for name, value in zip(names, values[0][1::2], strict=True) if isinstance(name, bytes)}


def _let_go(octets: memoryview) -> None: ...


def _large_or_whole(response: Untagged) -> FetchedMessage | LargeMessage | None:
    if all(response.parts[1::2]) or not any(isinstance(part, Poured) for part in response.parts):
        return _message(response)
    return described(attributes(response))


def described(found: dict[bytes, Value]) -> LargeMessage | None:
    """Read what FETCH tells of a message beside its octets; None without a UID."""
    if b"UID" not in found:
        return None
    date = found.get(b"INTERNALDATE")
    return LargeMessage(
        whole_number(found[b"UID"]),
        flags_of(found),
        internal_date(date) if isinstance(date, bytes) else None,
        whole_number(found.get(b"RFC822.SIZE", b"0"), highest=HIGHEST_MODSEQ),
    )


def _message(response: Untagged) -> FetchedMessage | None:
    parts = response.parts
    if len(parts) == 3 and parts[2] == b")" and (usual := _USUAL.fullmatch(parts[0])):
        uid, flags, date, size = usual.groups()
        return FetchedMessage(whole_number(uid), flag_set(flags), internal_date(date), int(size), parts[1])
    found = attributes(response)
    raw = found.get(b"BODY[]", found.get(b"BODY[]<0>"))
    if raw is None:
        return None  # an unsolicited FETCH, or a message whose octets the server cannot give
    if b"UID" not in found or not isinstance(raw, bytes):
        raise ProtocolViolation("The server sent a message without saying which.", reply=response.text[:200])
    date = found.get(b"INTERNALDATE")
    return FetchedMessage(
        uid=whole_number(found[b"UID"]),
        flags=flags_of(found),
        internal_date=internal_date(date) if isinstance(date, bytes) else None,
        size=whole_number(found.get(b"RFC822.SIZE", b"%d" % len(raw)), highest=HIGHEST_MODSEQ),
        raw=raw,
    )


def outline(uid: int, found: dict[bytes, Value]) -> Outline:
    """Read an Outline from FETCH attributes; what the server left out is None, 0 or empty."""
    written = found.get(b"INTERNALDATE")
    head = next((value for name, value in found.items() if name.startswith(b"BODY[HEADER.FIELDS")), b"")
    return Outline(
        uid,
        internal_date(written) if isinstance(written, bytes) else None,
        whole_number(found.get(b"RFC822.SIZE", b"0"), highest=HIGHEST_MODSEQ),
        head if isinstance(head, bytes) else b"",
    )


def flags_of(found: dict[bytes, Value]) -> frozenset[str]:
    """Return the FLAGS among the attributes of a FETCH response."""
    flags = found.get(b"FLAGS")
    if not isinstance(flags, list):
        return frozenset()
    return flag_set(b" ".join(flag for flag in flags if isinstance(flag, bytes)))


@lru_cache(maxsize=4096)
def flag_set(written: bytes) -> frozenset[str]:
    """Read FLAGS: system flags with their usual capitals, keywords as the server writes them.

    Recent is left out: it tells about this session, not about the message.
    """
    flags = readable(written, limit=20_000).split()
    return frozenset(_SYSTEM_FLAGS.get(flag.lower(), flag) for flag in flags if flag.lower() != r"\recent")


def internal_date(written: bytes) -> datetime | None:
    """Read `17-Jul-1996 02:44:25 -0700` (RFC 9051 date-time) as UTC; None when it is no such date."""
    try:
        year, month, day = int(written[7:11]), _MONTHS[written[3:6].lower()], int(written[0:2])
        hour, minute, second = int(written[12:14]), int(written[15:17]), min(int(written[18:20]), 59)
        if written[21:26] == b"+0000":
            return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        return datetime(year, month, day, hour, minute, second, tzinfo=_zone(written[21:26])).astimezone(UTC)
    except (ValueError, KeyError, OverflowError):
        return None


@lru_cache(maxsize=512)
def _zone(written: bytes) -> timezone:
    offset = timedelta(hours=int(written[1:3]), minutes=int(written[3:5]))
    return timezone(-offset if written[:1] == b"-" else offset)
