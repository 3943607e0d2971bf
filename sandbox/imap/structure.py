"""ENVELOPE and BODYSTRUCTURE (RFC 3501, 7.4.2) of a parsed message."""

from __future__ import annotations

from typing import Final

from sandbox.address_list import parse_addresses
from sandbox.imap.grammar import nstring
from sandbox.mime import Parameters, Part, parameters_of

_ADDRESS_FIELDS: Final = (b"From", b"Sender", b"Reply-To", b"To", b"Cc", b"Bcc")


def envelope(message: Part) -> bytes:
    """The header as clients list it. Sender and Reply-To default to From."""
    lists = {name: _addresses(message.value(name)) for name in _ADDRESS_FIELDS}
    for name in (b"Sender", b"Reply-To"):
        if lists[name] == b"NIL":
            lists[name] = lists[b"From"]
    return b"(%s)" % b" ".join(
        [
            nstring(message.value(b"Date")),
            nstring(message.value(b"Subject")),
            *(lists[name] for name in _ADDRESS_FIELDS),
            nstring(message.value(b"In-Reply-To")),
            nstring(message.value(b"Message-ID")),
        ]
    )


def body_structure(part: Part, *, extended: bool) -> bytes:
    """BODYSTRUCTURE when `extended`, else BODY: the same without disposition, language and location."""
    if part.children:
        fields = [
            b"".join(body_structure(child, extended=extended) for child in part.children),
            nstring(part.subtype.upper()),
        ]
        if extended:
            fields += [_parameters(part.parameters), *_common_extensions(part)]
        return b"(%s)" % b" ".join(fields)
    fields = [
        nstring(part.maintype.upper()),
        nstring(part.subtype.upper()),
        _parameters(part.parameters or _default_parameters(part)),
        nstring(part.value(b"Content-ID")),
        nstring(part.value(b"Content-Description")),
        nstring((part.value(b"Content-Transfer-Encoding") or b"7BIT").upper()),
        b"%d" % (part.end - part.body_start),
    ]
    if part.message:
        fields += [envelope(part.message), body_structure(part.message, extended=extended), _lines(part)]
    elif part.maintype == b"text":
        fields.append(_lines(part))
    if extended:
        fields += [nstring(part.value(b"Content-MD5")), *_common_extensions(part)]
    return b"(%s)" % b" ".join(fields)


def _addresses(value: bytes | None) -> bytes:
    found = parse_addresses(value) if value else []
    if not found:
        return b"NIL"
    return b"(%s)" % b"".join(
        b"(%s NIL %s %s)" % (nstring(one.name), nstring(one.local), nstring(one.host)) for one in found
    )


def _parameters(parameters: Parameters) -> bytes:
    if not parameters:
        return b"NIL"
    return b"(%s)" % b" ".join(b"%s %s" % (nstring(name.upper()), nstring(value)) for name, value in parameters)


def _default_parameters(part: Part) -> Parameters:
    return ((b"charset", b"us-ascii"),) if part.maintype == b"text" else ()


def _common_extensions(part: Part) -> list[bytes]:
    disposition = b"NIL"
    value = part.value(b"Content-Disposition")
    if value:
        kind = value.partition(b";")[0].strip().upper()
        disposition = b"(%s %s)" % (nstring(kind), _parameters(parameters_of(value)))
    return [disposition, nstring(part.value(b"Content-Language")), nstring(part.value(b"Content-Location"))]


def _lines(part: Part) -> bytes:
    unfinished = part.end > part.body_start and part.raw[part.end - 1 : part.end] != b"\n"
    return b"%d" % (part.raw.count(b"\n", part.body_start, part.end) + unfinished)
