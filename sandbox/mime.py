"""The part tree of a message as offsets into its octets, so that BODY[2.1] answers exactly what was stored.

Never raises on odd mail: what cannot be read as MIME is text. Linear in the size of the message per level of nesting.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

MAX_DEPTH: Final = 50
MAX_PARTS: Final = 1000

_BLANK_LINE: Final = re.compile(rb"(?:\A|\n)\r?\n")
_FIELD: Final = re.compile(rb"^([!-9;-~]+)[ \t]*:((?:[^\n]*)(?:\n[ \t][^\n]*)*)", re.MULTILINE)
_PARAMETER: Final = re.compile(rb';\s*([^\s=;"]+)\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^;\s]*))', re.DOTALL)
_TOKEN: Final = re.compile(rb"\s*([^\s;/()]+)\s*(?:/\s*([^\s;()]+))?")

Parameters = tuple[tuple[bytes, bytes], ...]


@dataclass(slots=True)
class Part:
    """A message or a body part. Its header is raw[start:body_start], its body raw[body_start:end].

    maintype, subtype: lower case; parameters: of Content-Type, names in lower case.
    children: of a multipart. message: what a message/rfc822 part contains.
    """

    raw: bytes = field(repr=False)
    start: int
    body_start: int
    end: int
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    maintype: bytes = b"text"
    subtype: bytes = b"plain"
    parameters: Parameters = ()
    children: list[Part] = field(default_factory=list)
    message: Part | None = None

    @property
    def header(self) -> bytes:
        """The header with the blank line that ends it."""
        return self.raw[self.start : self.body_start]

    @property
    def body(self) -> bytes:
        return self.raw[self.body_start : self.end]

    def value(self, name: bytes) -> bytes | None:
        """The first field of this name, unfolded; None when there is none."""
        wanted = name.lower()
        return next((value for key, value in self.fields if key.lower() == wanted), None)

    def numbered(self, number: int) -> Part | None:
        """The part that BODY[n] means below this one; a single part is its own number 1 (RFC 3501, 6.4.5)."""
        container = self.message or self
        if container.children:
            return container.children[number - 1] if 1 <= number <= len(container.children) else None
        return container if number == 1 else None


def parse(raw: bytes) -> Part:
    """Return the tree of a whole message."""
    return _Parser(raw).message(0, len(raw), 0)


def parameters_of(value: bytes) -> Parameters:
    """The parameters after the first semicolon of a structured field."""
    semicolon = value.find(b";")
    if semicolon < 0:
        return ()
    found = _PARAMETER.findall(value, semicolon)
    return tuple((name.lower(), re.sub(rb"\\(.)", rb"\1", quoted) or plain) for name, quoted, plain in found)


class _Parser:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._parts = 0

    def message(self, start: int, end: int, depth: int, default: bytes = b"text/plain") -> Part:
        """Parse the header and, below it, the parts found between `start` and `end`."""
        raw = self._raw
        blank = _BLANK_LINE.search(raw, start, end) if start < end else None
        if raw[start : start + 1] == b"\n" or raw[start : start + 2] == b"\r\n":
            body_start = raw.index(b"\n", start) + 1
        else:
            body_start = blank.end() if blank else end
        part = Part(raw, start, min(body_start, end), end)
        part.fields = [(name, _unfold(value)) for name, value in _FIELD.findall(raw, start, part.body_start)]
        self._parts += 1
        self._read_type(part, default)
        if depth < MAX_DEPTH and self._parts < MAX_PARTS:
            self._descend(part, depth)
        if part.maintype == b"multipart" and not part.children:
            part.maintype, part.subtype, part.parameters = b"text", b"plain", ()
        if (part.maintype, part.subtype) == (b"message", b"rfc822") and part.message is None:  # nested too deeply
            part.maintype, part.subtype = b"application", b"octet-stream"
        return part

    def _read_type(self, part: Part, default: bytes) -> None:
        value = part.value(b"Content-Type")
        match = _TOKEN.match(value if value is not None else default)
        if match and match[2]:
            part.maintype, part.subtype = match[1].lower(), match[2].lower()
            part.parameters = parameters_of(value or b"")

    def _descend(self, part: Part, depth: int) -> None:
        if part.maintype == b"multipart":
            boundary = dict(part.parameters).get(b"boundary")
            default = b"message/rfc822" if part.subtype == b"digest" else b"text/plain"
            for start, end in self._between(boundary, part.body_start, part.end) if boundary else ():
                if self._parts < MAX_PARTS:
                    part.children.append(self.message(start, end, depth + 1, default))
        elif (part.maintype, part.subtype) == (b"message", b"rfc822"):
            part.message = self.message(part.body_start, part.end, depth + 1)

    def _between(self, boundary: bytes, start: int, end: int) -> list[tuple[int, int]]:
        """Where the parts lie; the line break before a delimiter belongs to the delimiter (RFC 2046, 5.1.1)."""
        delimiter = re.compile(rb"^--" + re.escape(boundary) + rb"(--)?[ \t]*\r?(?:\n|\Z)", re.MULTILINE)
        ranges: list[tuple[int, int]] = []
        opened: int | None = None
        for match in delimiter.finditer(self._raw, start, end):
            if opened is not None:
                ranges.append((opened, max(opened, self._before_break(match.start()))))
            opened = match.end()
            if match[1]:
                return ranges
        if opened is not None:
            ranges.append((opened, end))
        return ranges

    def _before_break(self, position: int) -> int:
        position -= 1
        return position - 1 if self._raw[position - 1 : position] == b"\r" else position


def _unfold(value: bytes) -> bytes:
    return re.sub(rb"\r?\n(?=[ \t])", b"", value).strip()
