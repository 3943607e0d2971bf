"""Messages written from a draft: octets that every server accepts unchanged.

By RFC 5322, RFC 2045 to 2049, RFC 2387, and RFC 3282 for the language. Lines end with CRLF only and stay below 78
octets where that is possible, all octets are ASCII, Bcc is never written. The same draft gives other octets each time
only in its multipart boundaries, so build once and keep what was built.
"""

from __future__ import annotations

import binascii
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from struct import Struct

from protocols.message.addresses import Address
from protocols.message.alternative import readable_text
from protocols.message.fields import (
    HeaderInjection,
    UnwritableField,
    address_field,
    ascii_address,
    checked,
    identifier_field,
    parameter,
    text_field,
    uri_field,
)
from protocols.message.identity import shortened_references

__all__ = [
    "Attachment",
    "HeaderInjection",
    "OutgoingMessage",
    "UnwritableField",
    "build_message",
    "envelope_recipients",
]

_FIELD_NAME = re.compile(r"[!-9;-~]{1,76}")
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,8}")
_CID = re.compile(r"[A-Za-z0-9._@+=-]{1,200}")
# Written by us alone: a second one would contradict the first, and Bcc must never be written.
_OWN_FIELDS = frozenset(
    (
        *("from", "sender", "reply-to", "to", "cc", "bcc", "resent-bcc", "subject", "date", "message-id"),
        *("in-reply-to", "references", "mime-version", "return-path", "list-unsubscribe", "list-unsubscribe-post"),
    )
)
_FROM_LINE = re.compile(rb"^From ", re.MULTILINE)
_LINE_ENDS = re.compile(r"\r\n?|\n")
_OCTET_LINE_ENDS = re.compile(rb"\r\n?|\n")
_LONGEST_LINE = 998  # octets without the line end (RFC 5322, 2.1.1)
_BASE64_LINE = 76
_HUNDRED_LINES = Struct(f"{_BASE64_LINE}s" * 100)
# Octets that are not plain ASCII text, a line over 78, white space at the end of a line (lost on some ways) and a line
# that an mbox store would change.
_NEEDS_ENCODING = re.compile(rb"[^\t\r\n -~]|[^\n]{79}|[\t ]\r\n|^From ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that travels with a message.

    filename: as the recipient shall see it, any script; "" for none.
    cid:      Content-ID without angle brackets of an image that the HTML shows as `cid:...`; "" for a plain file.
    """

    filename: str
    content_type: str
    content: bytes
    cid: str = ""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message to be written.

    bcc:         recipients of the envelope only.
    message_id:  without angle brackets, as `identity.new_message_id` gives it; so are in_reply_to and references.
    date:        aware; its own offset from UTC is written.
    text, html:  at least text is written; where only html is given, the text is made from it.
    headers:     further fields, such as ("Auto-Submitted", "auto-generated").
    unsubscribe: https and mailto addresses where a reader leaves the list; a POST to the https one does it at once.
    language:    the tag of the language it is written in (RFC 5646), for Content-Language; "" leaves it open.
    """

    from_: Address
    to: tuple[Address, ...]
    subject: str
    text: str
    message_id: str
    date: datetime
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    sender: Address | None = None
    html: str | None = None
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    headers: tuple[tuple[str, str], ...] = field(default=())
    language: str = ""
    unsubscribe: tuple[str, ...] = ()


def build_message(draft: OutgoingMessage) -> bytes:
    """Return the message as octets.

    Raises HeaderInjection when a header value holds a line break, UnwritableField when an address, a field name, a
    Message-ID or a date cannot be written; both name the field.
    """
    return (_header(draft) + "MIME-Version: 1.0\r\n").encode("ascii") + _body(draft)


def envelope_recipients(draft: OutgoingMessage) -> tuple[str, ...]:
    """Return the addresses for RCPT TO (To, Cc and Bcc), domains in A-labels, each once."""
    named = (("To", draft.to), ("Cc", draft.cc), ("Bcc", draft.bcc))
    specs = (ascii_address(name, address.address) for name, addresses in named for address in addresses)
    return tuple({spec.lower(): spec for spec in specs}.values())


def _header(draft: OutgoingMessage) -> str:
    message_id = identifier_field("Message-ID", (draft.message_id,))
    if "@" not in draft.message_id or not message_id:
        raise UnwritableField("Message-ID", f"{draft.message_id!r} is not a message identifier")
    if draft.date.tzinfo is None:
        raise UnwritableField("Date", "the moment must be aware of its time zone")
    lists = (("From", (draft.from_,)), ("Reply-To", draft.reply_to), ("To", draft.to), ("Cc", draft.cc))
    lines = [f"Date: {format_datetime(draft.date)}\r\n"]
    lines += [address_field(name, addresses) for name, addresses in lists if addresses]
    if draft.sender is not None:
        lines.append(address_field("Sender", (draft.sender,)))
    lines.append(text_field("Subject", draft.subject))
    lines.append(message_id)
    if draft.in_reply_to:
        lines.append(identifier_field("In-Reply-To", (draft.in_reply_to,)))
    lines.append(identifier_field("References", shortened_references(draft.references)))
    lines += [_further_field(name, value) for name, value in draft.headers]
    lines += _unsubscribe_fields(draft.unsubscribe)
    if draft.language:
        if not _LANGUAGE.fullmatch(draft.language):
            raise UnwritableField("Content-Language", f"{draft.language!r} is not the tag of a language")
        lines.append(text_field("Content-Language", draft.language))
    return "".join(lines)


def _further_field(name: str, value: str) -> str:
    checked("header name", name)
    if not _FIELD_NAME.fullmatch(name):
        raise UnwritableField(name, "is not the name of a header field")
    if name.lower() in _OWN_FIELDS or name.lower().startswith("content-"):
        raise UnwritableField(name, "is written by the product itself and cannot be set here")
    return text_field(name, value)


def _unsubscribe_fields(addresses: tuple[str, ...]) -> list[str]:
    """List-Unsubscribe, and the promise that a POST is enough where there is an https address (RFC 8058, 3.1)."""
    if not addresses:
        return []
    fields = [uri_field("List-Unsubscribe", addresses)]
    if any(address.startswith("https://") for address in addresses):
        fields.append("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")
    return fields


def _body(draft: OutgoingMessage) -> bytes:
    """Return the content fields of the message, the empty line and the content."""
    html = draft.html
    shown = {item.cid for item in draft.attachments if html is not None and item.cid and f"cid:{item.cid}" in html}
    inline = [item for item in draft.attachments if item.cid in shown]
    files = [item for item in draft.attachments if item.cid not in shown]
    text = draft.text if draft.text or html is None else readable_text(html)
    entity = _text_entity("plain", text)
    if html is not None:
        rich = _text_entity("html", html)
        if inline:
            related = [rich, *(_file_entity(item, "inline") for item in inline)]
            rich = _multipart("related", related, {"type": "text/html"})
        entity = _multipart("alternative", [entity, rich])
    if files:
        entity = _multipart("mixed", [entity, *(_file_entity(item, "attachment") for item in files)])
    return entity


def _multipart(subtype: str, entities: Iterable[bytes], parameters: Mapping[str, str] | None = None) -> bytes:
    # "=_" never occurs in quoted-printable or base64 (RFC 2045, 6.7), and nobody can guess the rest.
    boundary = f"=_{secrets.token_hex(16)}"
    extra = "".join(f';\r\n {name}="{value}"' for name, value in (parameters or {}).items())
    head = f'Content-Type: multipart/{subtype}{extra};\r\n boundary="{boundary}"\r\n\r\n'.encode()
    delimiter = f"--{boundary}".encode()
    pieces = [head]
    for entity in entities:
        pieces += (delimiter, b"\r\n", entity, b"\r\n")
    return b"".join((*pieces, delimiter, b"--\r\n"))


def _text_entity(subtype: str, text: str) -> bytes:
    text = _LINE_ENDS.sub("\r\n", text.replace("\0", ""))
    if not text.endswith("\r\n"):
        text += "\r\n"
    data = text.encode("utf-8", "replace")
    charset = "us-ascii" if data.isascii() else "utf-8"
    encoding, octets = _encoded_text(data)
    head = f"Content-Type: text/{subtype}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + octets


def _encoded_text(data: bytes) -> tuple[str, bytes]:
    """Return the transfer encoding that reads best: none, quoted-printable for some special octets, else base64."""
    if not _NEEDS_ENCODING.search(data):
        return "7bit", data
    quoted = _FROM_LINE.sub(b"=46rom ", binascii.b2a_qp(data, istext=True))
    encoded = _base64(data)
    return ("quoted-printable", quoted) if len(quoted) <= len(encoded) else ("base64", encoded)


def _base64(data: bytes) -> bytes:
    """In lines of 76 characters (RFC 2045, 6.8), a hundred cut at a time: twice as fast as line by line."""
    encoded = binascii.b2a_base64(data, newline=False)
    whole = len(encoded) - len(encoded) % _HUNDRED_LINES.size
    lines: list[bytes] = []
    for hundred in _HUNDRED_LINES.iter_unpack(memoryview(encoded)[:whole]):
        lines += hundred
    lines += [encoded[at : at + _BASE64_LINE] for at in range(whole, len(encoded), _BASE64_LINE)]
    lines.append(b"")
    return b"\r\n".join(lines)


def _file_entity(item: Attachment, disposition: str) -> bytes:
    content_type, encoding, octets = _encoded_file(item)
    filename = checked("attachment name", item.filename)
    head = f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n"
    head += f"Content-Disposition: {disposition}"
    if filename:
        head += parameter("filename", filename)
    head += "\r\n"
    if item.cid:
        if not _CID.fullmatch(checked("Content-ID", item.cid)):
            raise UnwritableField("Content-ID", f"{item.cid!r} is not a content identifier")
        head += f"Content-ID: <{item.cid}>\r\n"
    return b"".join(((head + "\r\n").encode("ascii"), octets))


def _encoded_file(item: Attachment) -> tuple[str, str, bytes]:
    """Return content type, transfer encoding and encoded octets.

    A message stays as it is where it can (RFC 2046, 5.2.1); base64 is not allowed for composite types, so whatever
    else calls itself one travels as a plain file.
    """
    content_type = item.content_type.lower().strip()
    if content_type == "message/rfc822" and (octets := _seven_bit_message(item.content)):
        return content_type, "7bit", octets
    if not _MEDIA_TYPE.fullmatch(content_type) or content_type.startswith(("multipart/", "message/")):
        content_type = "application/octet-stream"
    return content_type, "base64", _base64(item.content)


def _seven_bit_message(content: bytes) -> bytes:
    """The message with CRLF line ends; b"" where 7bit cannot carry it (RFC 2045, 2.7)."""
    if not content.isascii() or b"\0" in content:
        return b""
    octets = _OCTET_LINE_ENDS.sub(b"\r\n", content)
    if max(map(len, octets.split(b"\r\n"))) > _LONGEST_LINE:
        return b""
    return octets if octets.endswith(b"\r\n") else octets + b"\r\n"
