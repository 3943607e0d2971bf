"""Which parts are the text of a message (RFC 8621, 4.1.4), and what they hold (transfer encodings: RFC 2045, 6)."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field

from protocols.message.charsets import decode_text
from protocols.message.headers import decode_base64
from protocols.message.octets import Octets, pieces
from protocols.message.structure import Part

_CR = 13
_UU_BEGIN = re.compile(rb"^begin [0-7]{3,4} [^\n]*\n", re.MULTILINE)
UU_NAMES = ("x-uuencode", "x-uue", "uuencode", "x-uu")
# How many encoded octets one decoded octet can take: white space in base64, "=0A" with soft line breaks in the other.
_WORST_EXPANSION = {"base64": 2, "quoted-printable": 4}


_QP_PIECE = 16 * 1024 * 1024  # octets of quoted-printable that are counted in one step

_INLINE_MEDIA = ("image/", "audio/", "video/")


@dataclass(slots=True)
class BodyParts:
    """Which parts are the text, which are attachments (RFC 8621, 4.1.4)."""

    text: list[Part] = field(default_factory=list)
    html: list[Part] = field(default_factory=list)
    attachments: list[Part] = field(default_factory=list)


def body_parts(root: Part) -> BodyParts:
    """Sort the leaves into text, HTML and attachments, by the rules of RFC 8621, 4.1.4."""
    text: list[Part] = []
    html: list[Part] = []
    attachments: list[Part] = []
    _sort([root], "mixed", in_alternative=False, html=html, text=text, attachments=attachments)
    return BodyParts(text, html, attachments)


def _sort(
    parts: list[Part],
    parent: str,
    *,
    in_alternative: bool,
    html: list[Part] | None,
    text: list[Part] | None,
    attachments: list[Part],
) -> None:
    text_before = len(text) if text is not None else -1
    html_before = len(html) if html is not None else -1
    for number, part in enumerate(parts):
        if part.is_container:
            inside = in_alternative or part.subtype == "alternative"
            _sort(part.children, part.subtype, in_alternative=inside, html=html, text=text, attachments=attachments)
            continue
        kind = _shown_as(part)
        if not kind or not _is_inline(part, kind, number, parent):
            attachments.append(part)
        elif parent == "alternative":
            target = {"text": text, "html": html}.get(kind)
            (target if target is not None else attachments).append(part)
        else:
            if in_alternative and kind == "text":
                html = None
            if in_alternative and kind == "html":
                text = None
            for body in (text, html):
                if body is not None:
                    body.append(part)
            if kind == "media":
                attachments.append(part)
    if parent == "alternative" and text is not None and html is not None:
        if text_before == len(text) and html_before != len(html):
            text += html[html_before:]
        elif html_before == len(html) and text_before != len(text):
            html += text[text_before:]


def _shown_as(part: Part) -> str:
    """Tell how a leaf can be shown in the body: "text", "html", "media", or "" for not at all."""
    content_type = part.content_type
    if content_type == "text/html":
        return "html"
    if content_type == "text/plain" or content_type.startswith("multipart/"):  # a multipart without its parts
        return "text"
    return "media" if content_type.startswith(_INLINE_MEDIA) else ""


def _is_inline(part: Part, kind: str, number: int, parent: str) -> bool:
    if part.disposition == "attachment":
        return False
    return number == 0 or (parent != "related" and (kind == "media" or not part.filename))


def decode_octets(data: bytes, encoding: str) -> bytes:
    """Undo a Content-Transfer-Encoding as far as it goes; an unknown one is taken as none. Never raises."""
    if encoding == "base64":
        return decode_base64(data)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(data)
    if encoding in UU_NAMES:
        return uu_lines(data)[0]
    return data


def decoded_size(raw: Octets, part: Part) -> int:
    """Return the size in octets of the decoded part; base64 is counted, not decoded.

    Exact where base64 is well formed and all its lines but the last are of one length, as every encoder writes them.
    """
    start, end = part.body_start, part.body_end
    if part.encoding == "quoted-printable":
        return sum(len(binascii.a2b_qp(piece)) for piece in pieces(raw, start, end, size=_QP_PIECE))
    if part.encoding != "base64":
        return end - start
    first = raw.find(b"\n", start, end)
    lines = _line_breaks(raw, start, end, first + 1 - start) if first >= 0 else 0
    letters = end - start - lines * (2 if first > start and raw[first - 1] == _CR else 1)
    padding = raw[max(start, end - 6) : end].count(b"=")
    return max(0, letters * 3 // 4 - padding)


def _line_breaks(raw: Octets, start: int, end: int, length: int) -> int:
    """Count the line breaks of raw[start:end], whose first line takes `length` octets.

    Where all lines are as long, it is enough to look at their ends: an octet in 78.
    """
    if not isinstance(raw, bytes):
        return raw.count(b"\n", start, end)
    ends = raw[start + length - 1 : end : length]
    last = start + len(ends) * length
    if ends.count(b"\n") == len(ends):
        return len(ends) + raw.count(b"\n", last, end)
    return raw.count(b"\n", start, end)


def part_text(raw: Octets, part: Part, most: int) -> str:
    """Return the text of a part with "\\n" line ends; `most` bounds the decoded octets that are looked at."""
    start = part.body_start
    end = min(part.body_end, start + most * _WORST_EXPANSION.get(part.encoding, 1))
    data = decode_octets(raw[start:end], part.encoding)
    truncated = end < part.body_end or len(data) > most
    text = decode_text(data[:most] if len(data) > most else data, part.charset, truncated=truncated)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text


def uu_lines(data: bytes, *, begins: bool = True) -> tuple[bytes, bool]:
    """Decode the uuencoded lines of `data`, and tell whether their end was among them.

    begins: pass over what stands before a begin line, if there is one.
    """
    begin = _UU_BEGIN.search(data) if begins else None
    lines = data[begin.end() if begin else 0 :].split(b"\n")
    decoded: list[bytes] = []
    for line in lines:
        if line.rstrip() in (b"end", b"`"):
            return b"".join(decoded), True
        if not line:
            continue  # binascii takes the end of an empty line for a length
        try:
            decoded.append(binascii.a2b_uu(line))
        except binascii.Error:
            octets = (((line[0] - 32) & 63) * 4 + 5) // 3  # some writers pad a line too far
            try:
                decoded.append(binascii.a2b_uu(line[:octets]))
            except binascii.Error:
                continue
    return b"".join(decoded), False
