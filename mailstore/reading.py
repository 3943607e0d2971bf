"""From stored octets to what the store keeps of a message: outside of any transaction, never an exception.

This is the step between the socket and the database. It touches neither and knows nothing of Django, so that it runs in
a process of its own as well (see `readers.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as _quoted
from typing import NamedTuple

from mailstore.postings import posted
from mailstore.texts import storable
from mailstore.words import Texts
from protocols.message.octets import LARGE_MESSAGE, WINDOW, MappedOctets, Octets, digest_of
from protocols.message.parse import Address, MessageSummary, PartInfo, parse_summary
from protocols.message.strands import RECIPIENTS_READ, Strand
from protocols.message.threading import message_strand, thread_keys

READY = b"ready\n"  # what a reader process says before its first answer
RECIPIENTS_KEPT = RECIPIENTS_READ
KEYWORDS_KEPT = 50
RECIPIENTS_INDEXED = 50_000  # characters

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(9990, 1, 1, tzinfo=UTC)  # far enough from the end of the calendar for any time zone


class Tied(NamedTuple):
    """What threading knows of a message. keys: hashes of its own Message-ID and of all that it refers to."""

    keys: tuple[str, ...]
    subject: str
    strand: Strand


class Flags(NamedTuple):
    """The state of a message in its folder (RFC 9051, 2.3.2). keywords: a JSON list, as the column holds it."""

    is_seen: bool
    is_flagged: bool
    is_answered: bool
    is_draft: bool
    keywords: str

    @classmethod
    def of(cls, flags: frozenset[str]) -> Flags:
        known = _FLAGS.get(flags)
        if known is None:
            words = sorted(storable(flag, 200) for flag in flags if not flag.startswith("\\"))[:KEYWORDS_KEPT]
            known = cls(
                r"\Seen" in flags, r"\Flagged" in flags, r"\Answered" in flags, r"\Draft" in flags, json.dumps(words)
            )
            if len(_FLAGS) < 10_000:
                _FLAGS[flags] = known
        return known


_FLAGS: dict[frozenset[str], Flags] = {}


class Envelope(NamedTuple):
    """What the server says of a message beside its octets: UID, flags, INTERNALDATE if readable, RFC822.SIZE."""

    uid: int
    flags: frozenset[str]
    internal_date: datetime | None
    size: int


class Entry(NamedTuple):
    """A message to read: its envelope, and where its octets lie (a file, an offset and a length in octets)."""

    envelope: Envelope
    path: str
    offset: int
    length: int


class ReadMessage(NamedTuple):
    """One message, ready to be written. Texts fit their columns and hold nothing that a database refuses.

    texts:    what is searched.
    in_order: what PostgreSQL is told of it instead, where that was asked for; `texts` are left out then.
    """

    uid: int
    size: int
    sha256: bytes
    received_at: datetime
    flags: Flags
    message_id: str
    tied: Tied
    subject: str
    from_name: str
    from_address: str
    to: str
    date: datetime | None
    preview: str
    defects: str
    attachments: tuple[PartInfo, ...]
    texts: Texts
    in_order: bytes = b""


class ReadBatch(NamedTuple):
    """Messages in the order they were asked for. postings: of all of them, where that was asked for."""

    messages: list[ReadMessage]
    postings: Sequence[bytes] = ()


_NO_TEXTS = Texts("", "", "", "")
_NOTHING = MessageSummary("", (), (), "", None, (), (), (), None, (), "", "", ("unreadable",), "")


def read_entries(entries: Sequence[Entry], *, with_postings: bool = False) -> ReadBatch:
    """Read messages where they lie. Raises OSError when the files do not give what was just put into them.

    with_postings: make what PostgreSQL is told to index as well.
    """
    read: list[ReadMessage] = []
    path, descriptor = "", -1
    try:
        for entry in entries:
            if entry.path != path:
                if path:
                    os.close(descriptor)
                path, descriptor = entry.path, os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC)
            if entry.length > LARGE_MESSAGE and not entry.offset:
                read.append(read_message(entry.envelope, MappedOctets.of(entry.path, entry.length)))
                continue
            raw = os.pread(descriptor, entry.length, entry.offset)
            if len(raw) != entry.length:
                raise OSError(f"A pack is shorter than what was written to it: {entry.path}")
            read.append(read_message(entry.envelope, raw))
    finally:
        if path:
            os.close(descriptor)
    if not with_postings:
        return ReadBatch(read)
    ordered, postings = posted([message.texts for message in read])
    return ReadBatch(
        [message._replace(texts=_NO_TEXTS, in_order=words) for message, words in zip(read, ordered, strict=True)],
        postings,
    )


def read_message(envelope: Envelope, raw: Octets) -> ReadMessage:
    """Parse one message. What cannot be read is left empty and named in `defects`."""
    return _assemble(envelope, parse_summary(raw), digest_of(raw))


def unread(entry: Entry) -> ReadMessage:
    """A message of which nothing is known but its octets: for one that kills whoever parses it."""
    digest = hashlib.sha256()
    with open(entry.path, "rb") as pack:
        pack.seek(entry.offset)
        for left in range(entry.length, 0, -WINDOW):
            digest.update(pack.read(min(WINDOW, left)))
    return _assemble(entry.envelope, _NOTHING, digest.digest())


def bare_message(read: ReadMessage) -> ReadMessage:
    """The same message with nothing but its octets: for one whose contents a database refuses after all."""
    envelope = Envelope(read.uid, frozenset(), read.received_at, read.size)
    return _assemble(envelope, _NOTHING, read.sha256)


def _assemble(envelope: Envelope, summary: MessageSummary, sha256: bytes) -> ReadMessage:
    sender = summary.from_ or Address("", "")
    recipients = (*summary.to, *summary.cc)
    subject = storable(summary.subject, 1000)
    received_at = min(max(envelope.internal_date or summary.date or datetime.now(UTC), _EARLIEST), _LATEST)
    return ReadMessage(
        uid=envelope.uid,
        size=envelope.size,
        sha256=sha256,
        received_at=received_at,
        flags=Flags.of(envelope.flags),
        message_id=storable(summary.message_id, 998),
        tied=Tied(thread_keys(summary), subject, message_strand(summary, summary.date or received_at)),
        subject=subject,
        from_name=storable(sender.name, 320),
        from_address=storable(sender.address, 320),
        to=_pairs(recipients[:RECIPIENTS_KEPT]),
        date=summary.date,
        preview=storable(summary.preview, 300),
        defects=json.dumps(summary.defects) if summary.defects else "[]",
        attachments=summary.attachments,
        texts=Texts(
            subject=subject,
            sender=storable(f"{sender.name} {sender.address}", 641),
            recipients=storable(_names(recipients), RECIPIENTS_INDEXED),
            text=_searchable(summary),
        ),
    )


def is_inline(part: PartInfo) -> bool:
    """Tell whether a part is shown within the text, such as the logo in a signature, and is no attachment to people."""
    return bool(part.cid) and part.disposition != "attachment"


def _pairs(addresses: Iterable[Address]) -> str:
    """A JSON list, written by hand: making an encoder for each message takes longer than its addresses."""
    pairs = [
        f"[{_quoted(storable(address.name, 320))}, {_quoted(storable(address.address, 320))}]" for address in addresses
    ]
    return f"[{', '.join(pairs)}]"


def _names(addresses: Iterable[Address]) -> str:
    return " ".join(f"{address.name} {address.address}" for address in addresses)


def _searchable(summary: MessageSummary) -> str:
    names = " ".join(part.filename for part in summary.attachments if part.filename)
    text = f"{summary.text}\n{names}" if names else summary.text
    return storable(text, len(text))
