"""What a report brings back of the message that it is about: its fields, however little is there (RFC 3462, 3)."""

from __future__ import annotations

import re
from typing import Final

from protocols.message.bodies import decode_octets
from protocols.message.headers import Head, header_text, read_head
from protocols.message.identifiers import message_ids
from protocols.message.octets import Octets
from protocols.message.reports import Original
from protocols.message.structure import Part

#: What we put into our own mail, so that it is known when it comes back; its value is the sender's affair.
OWN_FIELD: Final = "X-Emailsettings-Id"
_OWN: Final = OWN_FIELD.lower()
WANTED: Final = frozenset(
    b"message-id subject from to cc date in-reply-to references x-hmxmroriginalrecipient delivered-to".split()
) | {_OWN.encode()}
_RETURNED = frozenset(
    f"{kind}/{name}"
    for kind in ("message", "text")
    for name in ("rfc822", "rfc822-headers", "global", "global-headers")
)
_LARGEST: Final = 64 * 1024  # octets of the returned part that are looked at
_LONGEST: Final = 32_000  # octets of one field that are looked at
_MESSAGE_ID = re.compile(r"^[>\s]{0,20}Message-ID ?:\s{0,20}(<[^<>\s]{1,500}>)", re.IGNORECASE | re.MULTILINE)
_MARK = re.compile(
    rf"^[>\s]{{0,20}}{OWN_FIELD} ?:\s{{0,20}}([^\s]{{1,500}})\s{{1,5}}(?:>\s)?([\w-]{{1,60}})",
    re.IGNORECASE | re.MULTILINE,
)
_SUBJECT = re.compile(r"^[>\s]{0,20}Subject ?: ?([^\n]{1,1000})", re.IGNORECASE | re.MULTILINE)
_FIRST_FIELD = re.compile(r"^[A-Za-z][A-Za-z0-9-]{1,60}:", re.MULTILINE)


def is_returned(part: Part) -> bool:
    """Tell whether a part holds the original message or its header section."""
    return part.content_type in _RETURNED


def original_of_part(raw: Octets, part: Part) -> Original:
    """Read the original from the part that holds it."""
    octets = decode_octets(raw[part.body_start : min(part.body_end, part.body_start + _LARGEST)], part.encoding)
    return _original(octets.lstrip(b"\r\n"))


def original_of_text(text: str) -> Original:
    """Read the original from what stands behind a notice; lines before its first field do not matter."""
    text = text[:_LARGEST]
    first = _FIRST_FIELD.search(text)
    read = _original(text[first.start() :].encode("utf-8", "replace")) if first else Original()
    if read.message_id:
        return read
    identifier, subject, mark = _MESSAGE_ID.search(text), _SUBJECT.search(text), _MARK.search(text)
    return Original(
        message_id="".join(message_ids(identifier[1], 1)) if identifier else "",
        subject=read.subject or (header_text(subject[1].encode("utf-8", "replace")) if subject else ""),
        fields=read.fields if mark is None else {**read.fields, _OWN: f"{mark[1]} {mark[2]}"},
    )


def own_mark(original: Original) -> str:
    """Return what `OWN_FIELD` held in the original, "" where it did not come back."""
    return original.fields.get(_OWN, "")


def _original(octets: bytes) -> Original:
    head = read_head(octets, 0, len(octets), wanted=WANTED, top=True)
    fields = decoded_fields(head)
    identifiers = message_ids(fields.get("message-id", ""), 1)
    return Original(identifiers[0] if identifiers else "", fields.get("subject", ""), fields=fields)


def decoded_fields(head: Head) -> dict[str, str]:
    """Return the first value of each field, decoded, by lower-case name."""
    return {name.decode("ascii", "replace"): header_text(values[0][:_LONGEST]) for name, values in head.fields.items()}
