"""Turns a letter into the octets of a message (RFC 5322, MIME). Deterministic, boundaries too."""

from __future__ import annotations

import hashlib
from base64 import encodebytes
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from email.header import Header
from email.utils import format_datetime, quote
from quopri import encodestring
from typing import Final
from urllib.parse import quote as percent

from sandbox.seeds.cast import Contact
from sandbox.seeds.letter import Attachment, Letter

_SEVEN_BIT: Final = {"us-ascii", "iso-2022-jp"}

Fields = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Entity:
    """A MIME entity: its fields and its encoded body."""

    fields: Fields
    body: bytes

    def encode(self) -> bytes:
        head = "".join(f"{name}: {value}\r\n" for name, value in self.fields)
        return head.encode("ascii") + b"\r\n" + self.body


def compose(letter: Letter) -> bytes:
    """Return the message with CRLF line ends, as it would come over the wire."""
    if letter.raw:
        return letter.raw
    content = _content(letter)
    return _Entity([*_head(letter), ("MIME-Version", "1.0"), *content.fields], content.body).encode()


def _head(letter: Letter) -> Fields:
    zone = timezone(timedelta(hours=letter.sender.zone))
    sent = datetime.fromtimestamp(letter.at, UTC).astimezone(zone)
    fields: Fields = []
    if not letter.draft and letter.sender.domain != "sandbox.test":
        fields.append(("Return-Path", f"<{letter.sender.address}>"))
        arrival = format_datetime(sent + timedelta(seconds=2))
        fields.append(("Received", f"from mx.{letter.sender.domain}\r\n\tby sandbox.test (Sandbox); {arrival}"))
    fields += [
        ("Date", format_datetime(sent)),
        ("From", _mailbox(letter.sender, letter.charset)),
        ("To", _mailboxes(letter.to, letter.charset)),
    ]
    if letter.cc:
        fields.append(("Cc", _mailboxes(letter.cc, letter.charset)))
    fields += [("Subject", _words(letter.subject, letter.charset, len("Subject: "))), ("Message-ID", letter.message_id)]
    if letter.parent:
        fields.append(("In-Reply-To", letter.parent.message_id))
        fields.append(("References", "\r\n ".join(ancestor.message_id for ancestor in letter.ancestors)))
    return fields + [(name, _words(value, "utf-8", len(name) + 2)) for name, value in letter.headers]


def _words(text: str, charset: str, used: int = 0) -> str:
    """Encode what is not ASCII (RFC 2047), in the letter's charset where that can say it, and fold."""
    if text.isascii():
        return text if len(text) + used < 78 else str(Header(text, header_name=" " * used).encode(linesep="\r\n"))
    return Header(text, _able(text, charset), header_name=" " * used).encode(linesep="\r\n")


def _mailbox(contact: Contact, charset: str) -> str:
    name = contact.name
    if name.isascii():
        plain = all(character.isalnum() or character == " " for character in name)
        return f"{name} <{contact.address}>" if plain else f'"{quote(name)}" <{contact.address}>'
    return f"{_words(name, charset)} <{contact.address}>"


def _mailboxes(contacts: tuple[Contact, ...], charset: str) -> str:
    return ",\r\n\t".join(_mailbox(contact, charset) for contact in contacts)


def _able(text: str, charset: str) -> str:
    """The charset if it can carry the text, else UTF-8."""
    try:
        text.encode(charset)
    except UnicodeEncodeError:
        return "utf-8"
    return charset


def _content(letter: Letter) -> _Entity:
    inline = [attached for attached in letter.attachments if attached.content_id]
    attached = [other for other in letter.attachments if not other.content_id]
    entity = _text(letter.text, "plain", letter.charset)
    if letter.html:
        html = _text(letter.html, "html", letter.charset)
        if inline:
            html = _multipart("related", [html, *map(_file, inline)])
        entity = _multipart("alternative", [entity, html])
    if attached:
        entity = _multipart("mixed", [entity, *map(_file, attached)])
    return entity


def _text(text: str, subtype: str, charset: str) -> _Entity:
    if not text.endswith("\n"):
        text += "\n"
    charset = "us-ascii" if text.isascii() else _able(text, charset)
    octets = text.replace("\n", "\r\n").encode(charset)
    longest = max(map(len, octets.split(b"\r\n")))
    if charset in _SEVEN_BIT and longest < 990:
        coding, body = "7bit", octets
    elif charset in {"utf-8"} and sum(octet > 127 for octet in octets) > len(octets) / 3:
        coding, body = "base64", _base64(octets)
    else:
        lines = octets.split(b"\r\n")
        coding, body = "quoted-printable", b"\r\n".join(encodestring(line).replace(b"\n", b"\r\n") for line in lines)
    return _Entity(
        [("Content-Type", f"text/{subtype}; charset={charset}"), ("Content-Transfer-Encoding", coding)], body
    )


def _base64(octets: bytes) -> bytes:
    return encodebytes(octets).replace(b"\n", b"\r\n")


def _file(attached: Attachment) -> _Entity:
    disposition = "inline" if attached.content_id else "attachment"
    fields = [
        ("Content-Type", attached.content_type),
        ("Content-Transfer-Encoding", "base64"),
        ("Content-Disposition", f"{disposition};\r\n\t{_filename(attached.filename)}"),
    ]
    if attached.content_id:
        fields.append(("Content-ID", f"<{attached.content_id}>"))
    return _Entity(fields, _base64(attached.data))


def _filename(name: str) -> str:
    """The name as a parameter, percent-encoded when it is not ASCII (RFC 2231)."""
    return f'filename="{quote(name)}"' if name.isascii() else f"filename*=utf-8''{percent(name, safe='')}"


def _multipart(subtype: str, parts: list[_Entity]) -> _Entity:
    whole = [part.encode() for part in parts]
    boundary = "=_" + hashlib.sha256(subtype.encode() + b"".join(whole)).hexdigest()[:24]
    opened = f"--{boundary}\r\n".encode()
    body = b"".join(opened + part + b"\r\n" for part in whole) + f"--{boundary}--\r\n".encode()
    return _Entity([("Content-Type", f'multipart/{subtype};\r\n\tboundary="{boundary}"')], body)
