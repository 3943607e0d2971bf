"""The tree of body parts (RFC 2046), found in one pass over the octets.

Only lines that begin with two hyphens are looked at, and each is looked up among the boundaries that are open, so the
time does not depend on how deep multiparts are nested. Nothing is decoded and nothing is copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from protocols.message.headers import Head, header_text, read_head, unfold
from protocols.message.limits import Limits
from protocols.message.octets import Octets
from protocols.message.parameters import parameter_token, parse_content_type, parse_disposition

CONTENT_FIELDS = frozenset(
    (b"content-type", b"content-transfer-encoding", b"content-disposition", b"content-id", b"content-location")
)
_ENCODING = b"content-transfer-encoding"
_LONGEST_ENCODING = 80
_SHORT_HEAD = 200  # octets
_HYPHEN_LINES = 8  # a head rarely holds one line that begins with two hyphens
_NOTHING: Mapping[str, str] = {}


@dataclass(slots=True)
class Part:
    """One body part, as offsets into the raw message.

    path:         section number as in IMAP (RFC 9051, 6.4.5): "1", "2.1"; "" for a multipart that is the whole message.
    content_type: lower-case type/subtype; where it is missing or unreadable "text/plain" (RFC 2045, 5.2).
    encoding:     lower-case Content-Transfer-Encoding; "" when there is none.
    """

    path: str
    content_type: str
    parameters: Mapping[str, str]
    encoding: str
    disposition: str
    filename: str
    cid: str
    head_start: int
    body_start: int
    body_end: int
    children: list[Part] = field(default_factory=list)

    @property
    def is_container(self) -> bool:
        """Tell whether this is a multipart that was taken apart."""
        return bool(self.children)

    @property
    def charset(self) -> str:
        """The declared charset, "" when none is declared."""
        return parameter_token(self.parameters.get("charset", ""))

    @property
    def subtype(self) -> str:
        """The second half of the content type."""
        return self.content_type.partition("/")[2]

    def leaves(self) -> Iterator[Part]:
        """Yield the parts that hold content, in order. The depth is bounded by the limits of the scan."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()


def scan_structure(raw: Octets, head: Head, limits: Limits) -> tuple[Part, list[str]]:
    """Return the root part of the message whose header section is `head`, and defects. Linear, never raises."""
    root = _part(head, "", 0, "text/plain")
    root.body_end = len(raw)
    defects: list[str] = []
    if root.content_type.startswith("multipart/"):
        _Scan(raw, limits, defects).run(root)
    if not root.children:
        root.path = "1"
    return root, defects


@dataclass(slots=True)
class _Scan:
    raw: Octets
    limits: Limits
    defects: list[str]
    stack: list[Part] = field(default_factory=list)
    open: dict[bytes, int] = field(default_factory=dict)  # boundary -> its level in the stack
    boundaries: list[bytes] = field(default_factory=list)
    needle: bytes = b"\n--"  # what every delimiter that is open begins with
    current: Part | None = None  # the leaf that is being passed through

    def run(self, root: Part) -> None:
        raw, find, end = self.raw, self.raw.find, len(self.raw)
        if not self._enter(root):
            return
        count = 1
        position = max(0, root.body_start - 1)  # the line break before the first line counts as its beginning
        for _ in range(self.limits.delimiters):
            at = find(self.needle, position)
            if at < 0:
                break
            position = find(b"\n", at + 1)
            if position < 0:
                position = end
            level, closing = self._match(at + 3, position)
            if level is None:
                continue
            self._leave(level + 1, at - 1 if raw[at - 1 : at] == b"\r" else at)
            if closing:
                self._leave(level, at)
                if not self.stack:
                    break
                continue
            if count >= self.limits.parts:
                self.defects.append("too_many_parts")
                break
            count += 1
            position = self._begin_part(self.stack[level], min(position + 1, end)) - 1
        else:
            self.defects.append("too_many_delimiters")
        if self.stack:
            self.defects.append("multipart_not_closed")
            self._leave(0, end)

    def _match(self, start: int, end: int) -> tuple[int | None, bool]:
        """Look up the delimiter line raw[start:end]; return (level in the stack, whether it closes)."""
        line = self.raw[start : min(end, start + self.limits.header_bytes)].rstrip()
        level = self.open.get(line)
        if level is not None:
            return level, False
        if line.endswith(b"--"):
            return self.open.get(line[:-2].rstrip()), True
        return None, False

    def _begin_part(self, parent: Part, start: int) -> int:
        """Read the head of the part at `start`; return where its body begins."""
        number = str(len(parent.children) + 1)
        path = f"{parent.path}.{number}" if parent.path else number
        default = "message/rfc822" if parent.content_type == "multipart/digest" else "text/plain"
        part = self._known_part(path, start, default) or self._read_part(path, start, default)
        part.body_end = len(self.raw)
        parent.children.append(part)
        if not (part.content_type.startswith("multipart/") and self._enter(part)):
            self.current = part
        return part.body_start

    def _known_part(self, path: str, start: int, default: str) -> Part | None:
        """Take a part with a short head from the cache: few heads of text parts differ, and they are most parts."""
        blank = self.raw.find(b"\n\r\n", start, start + min(_SHORT_HEAD, self.limits.header_bytes))
        known = short_head(self.raw[start : blank + 3], default) if blank >= 0 else None
        if known is None:
            return None
        return Part(
            path,
            known.content_type,
            known.parameters,
            known.encoding,
            known.disposition,
            known.filename,
            known.cid,
            start,
            start + known.body_start,
            start + known.body_start,
        )

    def _read_part(self, path: str, start: int, default: str) -> Part:
        end = min(len(self.raw), start + self.limits.header_bytes)
        delimiter = self._delimiter_within(start, end)  # the head ends there, should there be no empty line
        end = end if delimiter is None else delimiter
        head = read_head(self.raw, start, end, wanted=CONTENT_FIELDS, limits=self.limits)
        self.defects += head.defects
        return _part(head, path, start, default)

    def _delimiter_within(self, start: int, end: int) -> int | None:
        """Return where the first delimiter line in raw[start:end] begins."""
        at = start - 1
        for _ in range(_HYPHEN_LINES):
            at = self.raw.find(self.needle, at, end)
            if at < 0:
                return None
            line_end = self.raw.find(b"\n", at + 1)
            if self._match(at + 3, line_end if line_end >= 0 else len(self.raw))[0] is not None:
                return at + 1
            at += 1
        return None

    def _enter(self, part: Part) -> bool:
        """Open a multipart; False when it must be taken as one opaque part."""
        boundary = part.parameters.get("boundary", "").rstrip().encode("utf-8", "replace")
        if len(self.stack) >= self.limits.depth:
            self.defects.append("nested_too_deeply")
        elif not boundary:
            self.defects.append("multipart_without_boundary")
        elif boundary in self.open:
            self.defects.append("boundary_reused")
        else:
            self.open[boundary] = len(self.stack)
            self.stack.append(part)
            self.boundaries.append(boundary)
            self._aim()
            return True
        return False

    def _leave(self, level: int, at: int) -> None:
        """Close every multipart from `level` inwards, and the leaf inside, at offset `at`."""
        if self.current is not None:
            self.current.body_end = max(self.current.body_start, at)
            self.current = None
        for part in self.stack[level:]:
            part.body_end = max(part.body_start, at)
            if not part.children:
                self.defects.append("boundary_not_found")
        for boundary in self.boundaries[level:]:
            del self.open[boundary]
        del self.stack[level:]
        if len(self.boundaries) > level:
            del self.boundaries[level:]
            self._aim()

    def _aim(self) -> None:
        """Search for as long a string as all open delimiters share: the longer it is, the faster it is not found."""
        self.needle = b"\n--" + _shared_beginning(self.boundaries)


def _shared_beginning(boundaries: list[bytes]) -> bytes:
    if not boundaries:
        return b""
    if len(boundaries) == 1:
        return boundaries[0]
    first, last = min(boundaries), max(boundaries)
    length = next(
        (at for at, octets in enumerate(zip(first, last, strict=False)) if octets[0] != octets[1]),
        min(len(first), len(last)),
    )
    return first[:length]


def _part(head: Head, path: str, start: int, default: str) -> Part:
    fields = head.fields
    content_type, parameters = default, _NOTHING
    if b"content-type" in fields:
        content_type, parameters = parse_content_type(fields[b"content-type"][0])
    disposition, disposition_parameters = "", _NOTHING
    if b"content-disposition" in fields:
        disposition, disposition_parameters = parse_disposition(fields[b"content-disposition"][0])
    return Part(
        path=path,
        content_type=content_type or "text/plain",
        parameters=parameters,
        encoding=_known_encoding(fields[_ENCODING][0][:_LONGEST_ENCODING]) if _ENCODING in fields else "",
        disposition=disposition,
        filename=disposition_parameters.get("filename") or parameters.get("name") or "",
        cid=header_text(fields[b"content-id"][0]).strip("<> ") if b"content-id" in fields else "",
        head_start=start,
        body_start=head.body_start,
        body_end=head.body_start,
    )


@lru_cache(maxsize=512)
def short_head(octets: bytes, default: str) -> Part | None:
    """Read a head with its empty line; None where it has defects, or a line that may be a delimiter."""
    if octets.startswith(b"--") or b"\n--" in octets:
        return None
    head = read_head(octets, 0, len(octets), wanted=CONTENT_FIELDS)
    return None if head.defects else _part(head, "", 0, default)


@lru_cache(maxsize=64)
def _known_encoding(value: bytes) -> str:
    return parameter_token(unfold(value).decode("ascii", "replace").lower())
