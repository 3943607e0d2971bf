"""The tree of body parts of messages whose multiparts are written as most programs write them.

Every delimiter stands alone on its line, every multipart is closed, every part has a short head. What looks different
is left to `structure.py`, which reads anything and gives the same tree.
"""

from __future__ import annotations

import re

from protocols.message.bodies import BodyParts, body_parts
from protocols.message.octets import Octets
from protocols.message.structure import Part, short_head

_DEEPEST = 10
_MOST_PARTS = 100
_LONGEST_HEAD = 1_000  # octets
_CR = 13
_CRLF = b"\r\n"
_MULTIPART = re.compile(
    r"""multipart/([a-z-]{1,30});[ \t]*boundary=(?:"([0-9A-Za-z'()+_,./:=-]{1,70})"|([0-9A-Za-z'+_.-]{1,70}))""",
    re.IGNORECASE,
)
_MULTIPART_HEAD = re.compile(rb"Content-Type: (multipart/[^\r\n]{1,150}(?:\r\n[ \t][^\r\n]{1,150})?)\r\n\r\n")


def multipart(content_type: str) -> tuple[str, str] | None:
    """Return the type and the boundary of an unfolded multipart field without other parameters."""
    found = _MULTIPART.fullmatch(content_type)
    if found is None:
        return None
    subtype, quoted, bare = found.groups()
    return f"multipart/{subtype.lower()}", quoted or bare


def take_apart(raw: Octets, root: Part) -> bool:
    """Give `root`, a multipart, its children; False where anything is unusual, and then `root` is of no use."""
    return _divide(raw, root, 0)


def _divide(raw: Octets, parent: Part, depth: int) -> bool:
    """Cut raw[parent.body_start:parent.body_end] at its delimiter lines (RFC 2046, 5.1.1)."""
    delimiter = b"\n--" + parent.parameters["boundary"].encode("ascii")
    length, end, children = len(delimiter), parent.body_end, parent.children
    part: Part | None = None
    at = raw.find(delimiter, parent.body_start - 1, end)
    while at >= 0:
        if raw[at - 1] != _CR:
            return False
        if part is not None:
            part.body_end = max(part.body_start, at - 1)
            if part.content_type.startswith("multipart/") and (depth >= _DEEPEST or not _divide(raw, part, depth + 1)):
                return False
        after = at + length
        mark = raw[after : after + 2]
        if mark == b"--":
            return part is not None and (after + 2 == len(raw) or raw.startswith(_CRLF, after + 2))
        if mark != _CRLF or len(children) >= _MOST_PARTS:
            return False
        number = len(children) + 1
        part = _begun(raw, f"{parent.path}.{number}" if parent.path else str(number), after + 2, parent)
        if part is None:
            return False
        children.append(part)
        at = raw.find(delimiter, part.body_start - 1, end)
    return False


def _begun(raw: Octets, path: str, start: int, parent: Part) -> Part | None:
    """Read the head of the part at `start`, whose end is not known yet; None where it is unusual."""
    blank = raw.find(b"\n\r\n", start, start + _LONGEST_HEAD)
    if blank < 0:
        return None
    head, body = raw[start : blank + 3], blank + 3
    if (nested := _MULTIPART_HEAD.fullmatch(head)) and nested[1].isascii():
        kind = multipart(re.sub(r"\r\n[ \t]+", " ", nested[1].decode("ascii")))
        if kind is None or kind[1] == parent.parameters["boundary"]:
            return None
        return Part(path, kind[0], {"boundary": kind[1]}, "", "", "", "", start, body, body)
    known = short_head(head, "message/rfc822" if parent.content_type == "multipart/digest" else "text/plain")
    if known is None or known.body_start != len(head) or known.content_type.startswith("multipart/"):
        return None
    return Part(
        path, known.content_type, known.parameters, known.encoding, known.disposition, known.filename, known.cid,
        start, body, body,
    )  # fmt: skip


def usual_bodies(root: Part) -> BodyParts:
    """Sort the leaves as `body_parts` does; a text, its HTML and attachments behind them are recognised at once."""
    parts = root.children
    if root.content_type == "multipart/alternative" and _is_alternative(parts):
        return BodyParts([parts[0]], [parts[1]], [])
    if root.content_type == "multipart/mixed" and all(_is_attached(part) for part in parts[1:]):
        first = parts[0]
        if first.content_type == "multipart/alternative" and _is_alternative(first.children):
            return BodyParts([first.children[0]], [first.children[1]], parts[1:])
        if first.content_type in ("text/plain", "text/html") and first.disposition != "attachment":
            return BodyParts([first], [first], parts[1:])
    return body_parts(root)


def _is_alternative(parts: list[Part]) -> bool:
    if len(parts) != 2:
        return False
    plain, html = parts
    return (
        plain.content_type == "text/plain"
        and html.content_type == "text/html"
        and plain.disposition != "attachment" != html.disposition
        and not html.filename
    )


def _is_attached(part: Part) -> bool:
    return part.disposition == "attachment" and not part.children
