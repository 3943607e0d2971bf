"""Messages written as most programs write them, read with few steps: a third of the time that `parse.py` needs.

CRLF at every line end, a head in ASCII in which no field that we want stands twice, lists of addresses without groups
or comments, a body in one part or in multiparts that are written with care. All else is given back unread. What is read
here is read exactly as `parse.py` would read it; tests compare the two.
"""

from __future__ import annotations

import re
from functools import lru_cache

from protocols.message.addresses import read_addresses
from protocols.message.bodies import BodyParts
from protocols.message.dates import parse_date
from protocols.message.headers import clean, decode_words
from protocols.message.identifiers import message_ids
from protocols.message.limits import Limits
from protocols.message.octets import Octets
from protocols.message.parameters import parameter_token, parse_content_type
from protocols.message.quoting import preview
from protocols.message.structure import Part
from protocols.message.summary import LONGEST_SUBJECT, MessageSummary, is_bulk, part_info, searchable_text
from protocols.message.usual_parts import multipart, take_apart, usual_bodies

_LARGEST_HEAD = 64 * 1024  # octets
_READ = frozenset(
    (
        *("message-id", "in-reply-to", "references", "subject", "from", "to", "cc", "reply-to", "date"),
        *("auto-submitted", "content-type", "content-transfer-encoding"),
        *("precedence", "list-unsubscribe", "list-post"),
    )
)
_LEFT = frozenset(("sender", "content-disposition", "content-id", "content-location"))  # rarely there, left to parse.py
_FOLD = re.compile(r"\r\n[ \t]+")
_FIELD = re.compile(r"^([!-9;-~]++)[ \t]*+:[ \t]*+([^\r]*+)\r\n", re.MULTILINE)
_TEXT = ("text/plain", "text/html")


def usual_summary(raw: Octets, limits: Limits) -> MessageSummary | None:
    """Read one message; None where anything in it is unusual."""
    end = raw.find(b"\r\n\r\n", 0, min(_LARGEST_HEAD, limits.header_bytes))
    fields = _fields(raw[: end + 2]) if end > 0 else None
    if fields is None:
        return None
    senders = read_addresses(fields.get("from", ""))
    date = parse_date(fields.get("date", ""))
    if senders is None or len(senders) != 1 or date is None:
        return None
    to, cc, reply_to = (read_addresses(fields.get(name, "")) for name in ("to", "cc", "reply-to"))
    if to is None or cc is None or reply_to is None:
        return None
    root = _root(fields, end + 4, len(raw))
    bodies = _bodies(raw, root) if root is not None else None
    if bodies is None:
        return None
    text = searchable_text(raw, bodies, limits.text_indexed)
    identifiers = message_ids(fields.get("message-id", ""), 1)
    subject = fields.get("subject", "")
    return MessageSummary(
        message_id=identifiers[0] if identifiers else "",
        in_reply_to=message_ids(fields.get("in-reply-to", ""), limits.references),
        references=message_ids(fields.get("references", ""), limits.references),
        subject=clean(decode_words(subject) if "=?" in subject else subject)[:LONGEST_SUBJECT],
        from_=senders[0],
        reply_to=reply_to,
        to=to,
        cc=cc,
        date=date,
        attachments=tuple([part_info(raw, part) for part in bodies.attachments]),
        text=text,
        preview=preview(text),
        defects=() if identifiers else ("no_message_id",),
        auto_submitted=fields["auto-submitted"].partition(";")[0].strip().lower().partition(" ")[0][:40]
        if "auto-submitted" in fields
        else "",
        is_bulk=("precedence" in fields or "list-unsubscribe" in fields)
        and is_bulk(
            fields.get("precedence", ""), unsubscribes="list-unsubscribe" in fields, posts="list-post" in fields
        ),
    )


def _fields(head: bytes) -> dict[str, str] | None:
    """Return the unfolded fields that are read; None where the head is unusual or names one of them twice."""
    lines = head.count(b"\r\n")
    if not head.isascii() or head.count(b"\n") != lines or head.count(b"\r") != lines:
        return None
    text = head.decode("ascii")
    if "\r\n " in text or "\r\n\t" in text:
        text = _FOLD.sub(" ", text)
        lines = text.count("\r\n")
    found = _FIELD.findall(text)
    if len(found) != lines:
        return None
    fields: dict[str, str] = {}
    for written, value in found:
        name = _name(written)
        if name is None:
            continue
        if name in fields or name in _LEFT or not value.isprintable():
            return None
        fields[name] = value.strip()
    return fields


@lru_cache(maxsize=1024)
def _name(written: str) -> str | None:
    """Return the name of a field in lower case, None for one that nobody asked for."""
    name = written.lower()
    return name if name in _READ or name in _LEFT else None


def _root(fields: dict[str, str], start: int, end: int) -> Part | None:
    """Return the part that is the whole message, its body raw[start:end]; None for neither text nor multipart."""
    written = fields.get("content-type", "text/plain")
    encoding = parameter_token(fields.get("content-transfer-encoding", "")[:80].lower())
    kind = multipart(written)
    if kind is not None:
        return Part("", kind[0], {"boundary": kind[1]}, encoding, "", "", "", 0, start, end)
    content_type, parameters = parse_content_type(written.encode("ascii"))
    if content_type.startswith("multipart/"):
        boundary = parameters.get("boundary", "")
        if not boundary or not boundary.isascii() or boundary != boundary.rstrip():
            return None
        return Part("", content_type, parameters, encoding, "", parameters.get("name", ""), "", 0, start, end)
    if content_type not in _TEXT:
        return None
    return Part("1", content_type, parameters, encoding, "", parameters.get("name", ""), "", 0, start, end)


def _bodies(raw: Octets, root: Part) -> BodyParts | None:
    if root.path:
        return BodyParts([root], [root], [])
    return usual_bodies(root) if take_apart(raw, root) else None
