"""Transfer encodings undone (RFC 2045, 6), and the text of a part."""

from __future__ import annotations

import binascii
import re

from protocols.message.charsets import decode_text
from protocols.message.headers import decode_base64
from protocols.message.structure import Part

_UU_BEGIN = re.compile(rb"^begin [0-7]{3,4} [^\n]*\n", re.MULTILINE)
_UU_NAMES = ("x-uuencode", "x-uue", "uuencode", "x-uu")
# How many encoded octets one decoded octet can take: white space in base64, "=0A" with soft line breaks in the other.
_WORST_EXPANSION = {"base64": 2, "quoted-printable": 4}


def decode_octets(data: bytes, encoding: str) -> bytes:
    """Undo a Content-Transfer-Encoding as far as it goes; an unknown one is taken as none. Never raises."""
    if encoding == "base64":
        return decode_base64(data)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(data)
    if encoding in _UU_NAMES:
        return _decode_uu(data)
    return data


def decoded_size(raw: bytes, part: Part) -> int:
    """Return the size in octets of the decoded part; base64 is counted, not decoded, and exact when well formed."""
    start, end = part.body_start, part.body_end
    if part.encoding != "base64":
        return end - start if part.encoding != "quoted-printable" else len(binascii.a2b_qp(raw[start:end]))
    letters = end - start - raw.count(b"\n", start, end) - raw.count(b"\r", start, end)
    padding = raw.count(b"=", max(start, end - 6), end)
    return max(0, letters * 3 // 4 - padding)


def part_text(raw: bytes, part: Part, most: int) -> str:
    """Return the text of a part with "\\n" line ends; `most` bounds the decoded octets that are looked at."""
    start = part.body_start
    end = min(part.body_end, start + most * _WORST_EXPANSION.get(part.encoding, 1))
    data = decode_octets(raw[start:end], part.encoding)
    truncated = end < part.body_end or len(data) > most
    text = decode_text(data[:most] if len(data) > most else data, part.charset, truncated=truncated)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text


def _decode_uu(data: bytes) -> bytes:
    begin = _UU_BEGIN.search(data)
    lines = data[begin.end() if begin else 0 :].split(b"\n")
    decoded: list[bytes] = []
    for line in lines:
        if line.rstrip() in (b"end", b"`"):
            break
        try:
            decoded.append(binascii.a2b_uu(line))
        except binascii.Error:
            octets = (((line[0] - 32) & 63) * 4 + 5) // 3 if line else 0  # some writers pad a line too far
            try:
                decoded.append(binascii.a2b_uu(line[:octets]))
            except binascii.Error:
                continue
    return b"".join(decoded)
