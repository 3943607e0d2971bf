"""From fetched octets to what the store keeps of a message: pure, outside of any transaction, never an exception.

This is the step between reader and writer. It touches neither socket nor database, so that it can run elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from mailstore.bulk import storable
from mailstore.threads import Tied
from protocols.imap.fetching import FetchedMessage
from protocols.message.parse import Address, MessageSummary, PartInfo, parse_summary

RECIPIENTS_KEPT = 500
KEYWORDS_KEPT = 50
RECIPIENTS_INDEXED = 50_000  # characters

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(9990, 1, 1, tzinfo=UTC)  # far enough from the end of the calendar for any time zone


@dataclass(frozen=True, slots=True)
class Flags:
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


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """One message, ready to be written. Texts fit their columns and hold nothing that a database refuses."""

    uid: int
    raw: bytes
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
    recipients: str
    text: str


def read_message(fetched: FetchedMessage, now: datetime) -> ReadMessage:
    """Parse one message. What cannot be read is left empty and named in `defects`."""
    return _assemble(fetched, parse_summary(fetched.raw), now)


def bare_message(read: ReadMessage) -> ReadMessage:
    """The same message with nothing but its octets: for one whose contents a database refuses after all."""
    fetched = FetchedMessage(read.uid, frozenset(), read.received_at, read.size, read.raw)
    nothing = MessageSummary("", (), (), "", None, (), (), (), None, (), "", "", ("unreadable",), "")
    return _assemble(fetched, nothing, read.received_at)


def _assemble(fetched: FetchedMessage, summary: MessageSummary, now: datetime) -> ReadMessage:
    sender = summary.from_ or Address("", "")
    recipients = (*summary.to, *summary.cc)
    received_at = min(max(fetched.internal_date or summary.date or now, _EARLIEST), _LATEST)
    return ReadMessage(
        uid=fetched.uid,
        raw=fetched.raw,
        size=fetched.size,
        sha256=hashlib.sha256(fetched.raw).digest(),
        received_at=received_at,
        flags=Flags.of(fetched.flags),
        message_id=storable(summary.message_id, 998),
        tied=Tied(_thread_keys(summary), summary.subject, received_at),
        subject=storable(summary.subject, 1000),
        from_name=storable(sender.name, 320),
        from_address=storable(sender.address, 320),
        to=_pairs(recipients[:RECIPIENTS_KEPT]),
        date=summary.date,
        preview=storable(summary.preview, 300),
        defects=json.dumps(summary.defects),
        attachments=summary.attachments,
        recipients=storable(_names(recipients), RECIPIENTS_INDEXED),
        text=_searchable(summary),
    )


def is_inline(part: PartInfo) -> bool:
    """Tell whether a part is shown within the text, such as the logo in a signature, and is no attachment to people."""
    return bool(part.cid) and part.disposition != "attachment"


def _thread_keys(summary: MessageSummary) -> tuple[str, ...]:
    identifiers = dict.fromkeys((summary.message_id, *summary.in_reply_to, *summary.references))
    return tuple(map(_key, filter(None, identifiers)))


def _key(message_id: str) -> str:
    return hashlib.blake2b(message_id.encode("utf-8", "replace"), digest_size=16).hexdigest()


def _pairs(addresses: Iterable[Address]) -> str:
    return json.dumps([[storable(address.name, 320), storable(address.address, 320)] for address in addresses])


def _names(addresses: Iterable[Address]) -> str:
    return " ".join(f"{address.name} {address.address}" for address in addresses)


def _searchable(summary: MessageSummary) -> str:
    names = " ".join(part.filename for part in summary.attachments if part.filename)
    text = f"{summary.text}\n{names}" if names else summary.text
    return storable(text, len(text))
