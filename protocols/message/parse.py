"""What the store keeps of a message, read from its octets in one quick pass (RFC 5322, RFC 2045 to 2049).

    summary = parse_summary(raw)

It runs on every message of every pull, so it scans the octets itself and never builds a tree of objects for the whole
message. It never raises, whatever the octets are: what could not be read is named in `defects`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from protocols.message.addresses import Address, AddressList, parse_addresses
from protocols.message.bodies import body_parts, decoded_size, part_text
from protocols.message.dates import parse_date
from protocols.message.headers import Head, header_text, read_head, unfold, with_line_feeds
from protocols.message.limits import LIMITS, Limits
from protocols.message.plaintext import html_to_text
from protocols.message.quoting import preview
from protocols.message.structure import CONTENT_FIELDS, Part, scan_structure

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
}
_MESSAGE_ID = re.compile(r"<([^<>]{1,2000})>")
_SPACE = re.compile(r"\s+")
_LONGEST_SUBJECT = 4_000
_LONGEST_FILENAME = 1_000


@dataclass(frozen=True, slots=True)
class PartInfo:
    """A body part that is listed as an attachment.

    path:         section number as in IMAP (RFC 9051, 6.4.5), e.g. "2.1".
    filename:     decoded, as the sender wrote it: pass it through `content.safe_filename` before any use; "" for none.
    disposition:  "attachment", "inline", another lower-case word, or "".
    cid:          Content-ID without angle brackets, "" for none.
    size:         decoded octets; exact where the encoding is well formed.
    size_encoded: octets as transferred.
    """

    path: str
    content_type: str
    filename: str
    disposition: str
    cid: str
    size: int
    size_encoded: int


@dataclass(frozen=True, slots=True)
class MessageSummary:
    """What is stored and searched of one message.

    message_id, in_reply_to, references: identifiers without angle brackets; "" or () where there are none.
    subject:        decoded, unfolded, without control characters.
    from_:          the first address of From; None without one. Several are noted in `defects`.
    date:           the Date field as aware UTC; None when it is missing or unreadable.
    text:           best plain text for search, "\\n" line ends, at most `Limits.text_indexed` characters.
    preview:        about 200 characters of what the author wrote, on one line.
    defects:        codes of what was wrong, such as "several_from_fields" or "too_many_parts"; each once.
    auto_submitted: the keyword of Auto-Submitted (RFC 3834), lower case, such as "auto-replied"; "" when absent.
    """

    message_id: str
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    subject: str
    from_: Address | None
    reply_to: tuple[Address, ...]
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    date: datetime | None
    attachments: tuple[PartInfo, ...]
    text: str
    preview: str
    defects: tuple[str, ...]
    auto_submitted: str


def parse_summary(raw: bytes, *, limits: Limits = LIMITS) -> MessageSummary:
    """Read one message. Takes time linear in its size and never raises."""
    try:
        return _parse(raw, limits)
    except Exception:  # a stored message is listed even where our own code is wrong (spec G1)
        return MessageSummary("", (), (), "", None, (), (), (), None, (), "", "", ("unreadable",), "")


def _parse(raw: bytes, limits: Limits) -> MessageSummary:
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
    text, attachments = _bodies(raw, root, limits)
    message_ids = message_ids_in(head.first(b"message-id"), 1)
    if not message_ids:
        defects.append("no_message_id")
    auto_submitted = head.first(b"auto-submitted").decode("ascii", "replace")
    return MessageSummary(
        message_id=message_ids[0] if message_ids else "",
        in_reply_to=message_ids_in(head.first(b"in-reply-to"), limits.references),
        references=message_ids_in(b" ".join(fields.get(b"references", ())), limits.references),
        subject=header_text(fields[b"subject"][0], charset)[:_LONGEST_SUBJECT] if b"subject" in fields else "",
        from_=senders[0] if senders else None,
        reply_to=_addresses(head, b"reply-to", charset, limits, defects),
        to=_addresses(head, b"to", charset, limits, defects),
        cc=_addresses(head, b"cc", charset, limits, defects),
        date=date,
        attachments=attachments,
        text=text,
        preview=preview(text),
        defects=tuple(dict.fromkeys(defects)),
        auto_submitted=_SPACE.split(auto_submitted.partition(";")[0].strip().lower(), maxsplit=1)[0][:40],
    )


def _addresses(head: Head, name: bytes, charset: str, limits: Limits, defects: list[str]) -> tuple[Address, ...]:
    values = head.fields.get(name)
    if not values:
        return ()
    result: AddressList = parse_addresses(values, charset, limit=limits.addresses)
    defects += result.defects
    return result.addresses


def message_ids_in(value: bytes, most: int) -> tuple[str, ...]:
    """Return the message identifiers of a field in order, each once; of too many the first and the newest ones."""
    if not value:
        return ()
    text = unfold(value).decode("utf-8", "replace").replace("\0", "")
    found: list[str] = _MESSAGE_ID.findall(text)
    if not found and "<" not in text and ">" not in text:
        found = [token for token in text.split() if "@" in token] or text.split()[:1]  # written without brackets
    if len(found) > most:
        found = [found[0], *found[1 - most :]] if most > 1 else found[:1]
    return tuple(dict.fromkeys(filter(None, ["".join(each.split()) for each in found])))


def _bodies(raw: bytes, root: Part, limits: Limits) -> tuple[str, tuple[PartInfo, ...]]:
    bodies = body_parts(root)
    most = limits.text_indexed
    pieces: list[str] = []
    for part in bodies.text:
        if part.content_type == "text/html":
            piece = html_to_text(part_text(raw, part, 4 * most))
        elif part.content_type.startswith(("text/", "multipart/")):
            piece = part_text(raw, part, 4 * most).strip()
        else:
            continue
        if piece:
            pieces.append(piece[:most])
            most -= len(piece)
            if most <= 0:
                break
    text = "\n\n".join(pieces)
    if not text:
        text = next(filter(None, (html_to_text(part_text(raw, part, 4 * most)) for part in _html(bodies.html))), "")
    return text[: limits.text_indexed], tuple(_info(raw, part) for part in bodies.attachments)


def _html(parts: list[Part]) -> list[Part]:
    return [part for part in parts if part.content_type == "text/html"]


def _info(raw: bytes, part: Part) -> PartInfo:
    return PartInfo(
        path=part.path,
        content_type=part.content_type,
        filename=part.filename[:_LONGEST_FILENAME],
        disposition=part.disposition,
        cid=part.cid,
        size=decoded_size(raw, part),
        size_encoded=part.body_end - part.body_start,
    )
