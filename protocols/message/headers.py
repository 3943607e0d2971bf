"""Header sections: where they end, which fields they hold, what their text says (RFC 5322, 2.2; RFC 2047)."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field

from protocols.message.charsets import decode_header_octets, decode_text
from protocols.message.limits import LIMITS, Limits
from protocols.message.octets import Octets

_CR = 13
_FIELD = re.compile(rb"([!-9;-~]++)[ \t]*+:[ \t]*+([^\n]*+(?:\n[ \t][^\n]*+)*+)\n?")
_ENVELOPE_LINE = re.compile(rb">?From [^\n]*\n")
_KNOWN_FIELD = re.compile(
    rb"^(?:from|to|cc|subject|date|message-id|mime-version|received|return-path|reply-to|references|in-reply-to"
    rb"|content-[a-z-]{2,25})[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
_FOLD = re.compile(rb"\r?\n[ \t]*")
_ENCODED_WORD = re.compile(r"=\?([^?\s*]{1,60})(?:\*[^?\s]{0,40})?\?([bBqQ])\?([^?]*+)\?=")
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_SPACES = re.compile(r"[ \t\r\n]+")


@dataclass(slots=True)
class Head:
    """One header section.

    fields:     lower-case name -> its values in order, as octets without the name, still folded.
    body_start: offset of the first octet after the section and its empty line.
    defects:    what was wrong with it.
    """

    fields: dict[bytes, list[bytes]] = field(default_factory=dict)
    body_start: int = 0
    defects: list[str] = field(default_factory=list)

    def first(self, name: bytes) -> bytes:
        """Return the value of the first field of that name, unfolded; b"" when there is none."""
        values = self.fields.get(name)
        return unfold(values[0]) if values else b""


def read_head(
    raw: Octets, start: int, end: int, *, wanted: frozenset[bytes], limits: Limits = LIMITS, top: bool = False
) -> Head:
    """Read the header section of raw[start:end]; only fields in `wanted` are kept. Linear, never raises.

    A line that is no field is skipped when known fields follow it, otherwise the body begins there. `top` says that
    this is the head of the message, where an mbox "From " line may stand first.
    """
    head = Head()
    blank = _blank_line(raw, start, end)
    if blank is None:
        head.body_start, fields_end = end, end
    else:
        head.body_start, fields_end = blank
    if fields_end - start > limits.header_bytes:
        head.defects.append("header_too_large")
        fields_end = raw.rfind(b"\n", start, start + limits.header_bytes) + 1 or start + limits.header_bytes
    position = start
    if top and (envelope := _ENVELOPE_LINE.match(raw, start, fields_end)):
        position = envelope.end()
    begin = position
    fields, match = head.fields, _FIELD.match
    while position < fields_end:
        found = match(raw, position, fields_end)
        if found:
            name = found[1].lower()
            if name in wanted:
                fields.setdefault(name, []).append(found[2])
            position = found.end()
            continue
        if _is_blank(raw, position, fields_end):
            break
        following = None if position == begin else _KNOWN_FIELD.search(raw, position, fields_end)
        head.defects.append("malformed_header_line" if following else "header_without_end")
        if following is None:
            head.body_start = position
            break
        position = following.start()
    return head


def with_line_feeds(raw: Octets, limits: Limits) -> Octets:
    """Return the message with line feeds where it only has carriage returns, as old Macintoshes wrote it."""
    if raw.find(b"\n", 0, limits.header_bytes) >= 0 or raw.find(b"\r", 0, limits.header_bytes) < 0:
        return raw
    if not isinstance(raw, bytes):  # too large for a copy in memory
        return raw
    return raw.replace(b"\r", b"\n")


def _blank_line(raw: Octets, start: int, end: int) -> tuple[int, int] | None:
    """Return (start of the body, end of the fields) around the first empty line of raw[start:end]; None without one."""
    for empty in (b"\n", b"\r\n"):
        if raw.startswith(empty, start, end):
            return start + len(empty), start
    first = raw.find(b"\n", start, end)
    if first < 0:
        return None
    # The usual line end of the section is looked for first: the other one then only as far as that was found.
    usual, other = (b"\n\r\n", b"\n\n") if raw[first - 1] == _CR else (b"\n\n", b"\n\r\n")
    found = raw.find(usual, first, end)
    odd = raw.find(other, first, end if found < 0 else found)
    if odd >= 0:
        found, usual = odd, other
    return (found + len(usual), found + 1) if found >= 0 else None


def _is_blank(raw: Octets, position: int, end: int) -> bool:
    return raw[position : min(position + 2, end)] in (b"\r", b"\r\n", b"\n")


def unfold(value: bytes) -> bytes:
    """Join the lines of a folded field (RFC 5322, 2.2.3), one space for each fold."""
    return (_FOLD.sub(b" ", value) if b"\n" in value else value).strip()


def header_text(value: bytes, charset: str = "") -> str:
    """Return what an unstructured field says: unfolded, encoded words decoded, control characters removed."""
    text = decode_header_octets(unfold(value), charset)
    if "=?" in text:
        text = decode_words(text)
    return clean(text)


def clean(text: str) -> str:
    """Remove control characters and text direction overrides, and collapse white space."""
    if text.isascii() and text.isprintable():
        return _SPACES.sub(" ", text).strip() if "  " in text else text.strip()
    return _SPACES.sub(" ", _CONTROLS.sub("", _SPACES.sub(" ", text))).strip()


def decode_words(text: str) -> str:
    """Decode RFC 2047 encoded words, also where they stand without the white space the RFC asks for.

    White space between two encoded words is dropped (6.2). Neighbours in the same charset and encoding are joined
    before decoding: many writers split a character between two words.
    """
    pieces: list[str] = []
    run: list[bytes] = []
    run_charset = ""
    position = 0
    for word in _ENCODED_WORD.finditer(text):
        charset, encoding, payload = word.groups()
        between = text[position : word.start()]
        charset = charset.lower()
        if run and (between.strip() or charset != run_charset):
            pieces.append(decode_text(b"".join(run), run_charset))
            run = []
        if between.strip() or not position:
            pieces.append(between)
        run.append(_decode_payload(payload, encoding))
        run_charset = charset
        position = word.end()
    if run:
        pieces.append(decode_text(b"".join(run), run_charset))
    pieces.append(text[position:])
    return "".join(pieces)


def _decode_payload(payload: str, encoding: str) -> bytes:
    octets = payload.encode("utf-8", "replace")
    if encoding in "bB":
        return decode_base64(octets)
    return binascii.a2b_qp(octets.replace(b" ", b"_"), header=True)


_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
PADDING = b"="
BASE64_AND_SPACE = _BASE64 + PADDING + b" \t\r\n"
NOT_BASE64 = bytes(octet for octet in range(256) if octet not in _BASE64)
MOST_JUNK = 20  # one octet in twenty


def decode_base64(data: bytes) -> bytes:
    """Decode as much as there is: white space, some junk, missing or misplaced padding are forgiven.

    Where more than one octet in twenty cannot be base64, the label is wrong: `data` is returned as it is.
    """
    if len(data.translate(None, BASE64_AND_SPACE)) * MOST_JUNK > len(data):
        return data
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        letters = data.translate(None, NOT_BASE64)
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    return binascii.a2b_base64(letters + PADDING * (-len(letters) % 4))
