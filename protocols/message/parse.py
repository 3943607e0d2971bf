"""What the store keeps of a message, read from its octets in one quick pass (RFC 5322, RFC 2045 to 2049).

    summary = parse_summary(raw)

It runs on every message of every pull, so it scans the octets itself and never builds a tree of objects for the whole
message: most messages are read by `usual.py`, all others here, both with the same result. It never raises, whatever the
octets are: what could not be read is named in `defects`.
"""

from __future__ import annotations

import re

from protocols.message.addresses import Address, AddressList, parse_addresses
from protocols.message.bodies import body_parts
from protocols.message.dates import parse_date
from protocols.message.headers import Head, header_text, read_head, unfold, with_line_feeds
from protocols.message.identifiers import message_ids
from protocols.message.limits import LIMITS, Limits
from protocols.message.octets import Octets
from protocols.message.quoting import preview
from protocols.message.structure import CONTENT_FIELDS, scan_structure
from protocols.message.summary import LONGEST_SUBJECT, MessageSummary, PartInfo, is_bulk, part_info, searchable_text
from protocols.message.usual import usual_summary

__all__ = ["Address", "MessageSummary", "PartInfo", "parse_summary"]

_WANTED = CONTENT_FIELDS | {
    b"message-id",
    b"in-reply-to",
    b"references",
    b"subject",
    b"from",
    b"sender",
    b"reply-to",
    b"to",
    b"cc",
    b"date",
    b"auto-submitted",
    b"precedence",
    b"list-unsubscribe",
    b"list-post",
}
_SPACE = re.compile(r"\s+")


def parse_summary(raw: Octets, *, limits: Limits = LIMITS) -> MessageSummary:
    """Read one message. Takes time linear in its size and never raises."""
    try:
        usual = usual_summary(raw, limits)
        return read_fully(raw, limits) if usual is None else usual
    except Exception:  # a stored message is listed even where our own code is wrong (spec G1)
        return MessageSummary("", (), (), "", None, (), (), (), None, (), "", "", ("unreadable",), "")


def read_fully(raw: Octets, limits: Limits) -> MessageSummary:
    """Read any message; may raise where our own code is wrong."""
    raw = with_line_feeds(raw, limits)
    head = read_head(raw, 0, len(raw), wanted=_WANTED, limits=limits, top=True)
    root, structure_defects = scan_structure(raw, head, limits)
    charset = root.charset or next((part.charset for part in root.leaves() if part.charset), "")
    fields = head.fields
    defects = head.defects + structure_defects
    senders = _addresses(head, b"from", charset, limits, defects)
    if len(fields.get(b"from", ())) > 1:
        defects.append("several_from_fields")
    if len(senders) > 1:
        defects.append("several_from_addresses")
    if not senders:
        senders = _addresses(head, b"sender", charset, limits, defects)
        defects.append("no_from")
    date_field = head.first(b"date")
    date = parse_date(date_field.decode("ascii", "replace")) if date_field else None
    if date is None:
        defects.append("unreadable_date" if date_field else "no_date")
    bodies = body_parts(root)
    text = searchable_text(raw, bodies, limits.text_indexed)
    identifiers = _message_ids(head.first(b"message-id"), 1)
    if not identifiers:
        defects.append("no_message_id")
    auto_submitted = head.first(b"auto-submitted").decode("ascii", "replace")
    return MessageSummary(
        message_id=identifiers[0] if identifiers else "",
        in_reply_to=_message_ids(head.first(b"in-reply-to"), limits.references),
        references=_message_ids(b" ".join(fields.get(b"references", ())), limits.references),
        subject=header_text(fields[b"subject"][0], charset)[:LONGEST_SUBJECT] if b"subject" in fields else "",
        from_=senders[0] if senders else None,
        reply_to=_addresses(head, b"reply-to", charset, limits, defects),
        to=_addresses(head, b"to", charset, limits, defects),
        cc=_addresses(head, b"cc", charset, limits, defects),
        date=date,
        attachments=tuple(part_info(raw, part) for part in bodies.attachments),
        text=text,
        preview=preview(text),
        defects=tuple(dict.fromkeys(defects)),
        auto_submitted=_SPACE.split(auto_submitted.partition(";")[0].strip().lower(), maxsplit=1)[0][:40],
        is_bulk=is_bulk(
            head.first(b"precedence").decode("ascii", "replace"),
            unsubscribes=b"list-unsubscribe" in fields,
            posts=b"list-post" in fields,
        ),
    )


def _addresses(head: Head, name: bytes, charset: str, limits: Limits, defects: list[str]) -> tuple[Address, ...]:
    values = head.fields.get(name)
    if not values:
        return ()
    result: AddressList = parse_addresses(values, charset, limit=limits.addresses)
    defects += result.defects
    return result.addresses


def _message_ids(value: bytes, most: int) -> tuple[str, ...]:
    return message_ids(unfold(value).decode("utf-8", "replace").replace("\0", ""), most)
