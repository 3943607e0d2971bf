"""One message opened for reading: its text, its HTML and its parts (RFC 2045 to 2049, RFC 2387, RFC 2392)."""

from __future__ import annotations

import html as markup
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from protocols.message.bodies import body_parts, decode_octets, decoded_size, part_text
from protocols.message.charsets import decode_text
from protocols.message.decoding import decoded_pieces
from protocols.message.filenames import safe_filename
from protocols.message.headers import read_head, with_line_feeds
from protocols.message.limits import LIMITS, Limits
from protocols.message.octets import Octets
from protocols.message.plaintext import html_to_text
from protocols.message.structure import CONTENT_FIELDS, Part, scan_structure

__all__ = [
    "ContentPart",
    "MessageContent",
    "iter_parts",
    "iter_pieces",
    "open_message",
    "part_bytes",
    "part_pieces",
    "safe_filename",
]

_CID = re.compile(r"cid:([^\"'\s<>)]{1,500})", re.IGNORECASE)
# An image may stand in the text by its Content-ID. SVG is a document that can hold script, so it never does.
_SHOWN_IMAGES = frozenset(
    ("image/png", "image/jpeg", "image/jpg", "image/pjpeg", "image/gif", "image/webp", "image/bmp", "image/avif")
)


@dataclass(frozen=True, slots=True)
class ContentPart:
    """A part that holds content; containers are not listed.

    path:        section number as in IMAP (RFC 9051, 6.4.5), e.g. "2.1".
    filename:    decoded, as the sender wrote it; `safe_filename` makes it usable. "" when there is none.
    disposition: "attachment", "inline", another lower-case word, or "".
    cid:         Content-ID without angle brackets, "" for none.
    size:        decoded octets.
    """

    path: str
    content_type: str
    filename: str
    disposition: str
    cid: str
    size: int


@dataclass(frozen=True, slots=True)
class MessageContent:
    """What a reader sees.

    html:        the HTML body, not sanitised; None when the message has none.
    text:        the plain text body, made from the HTML where the message has no other; None without any body.
    parts:       all parts, in order.
    attachments: the parts to list and download; images that stand in the HTML are not among them.
    inline:      Content-ID -> image that the HTML shows.
    truncated:   the body was longer than `Limits.text_shown`.
    """

    html: str | None
    text: str | None
    parts: tuple[ContentPart, ...]
    attachments: tuple[ContentPart, ...]
    inline: Mapping[str, ContentPart] = field(default_factory=dict)
    truncated: bool = False
    defects: tuple[str, ...] = ()


def open_message(raw: Octets, *, limits: Limits = LIMITS) -> MessageContent:
    """Read the bodies and list the parts of a message. Never raises; what cannot be understood is shown as text."""
    try:
        return _open(raw, limits)
    except Exception:  # a stored message is shown even where our own code is wrong (spec G1)
        shown = decode_text(raw[: limits.text_shown], truncated=True)
        return MessageContent(None, shown, (), (), truncated=len(raw) > limits.text_shown, defects=("unreadable",))


def part_bytes(raw: Octets, path: str) -> bytes:
    """Return the decoded octets of one part. Raises KeyError when the message has no part with that path."""
    raw, root, _ = _scan(raw, LIMITS)
    for part in root.leaves():
        if part.path == path:
            return decode_octets(raw[part.body_start : part.body_end], part.encoding)
    raise KeyError(path)


def part_pieces(raw: Octets, path: str) -> Iterator[bytes]:
    """Yield the decoded octets of one part in pieces. Raises KeyError at once when there is no part with that path."""
    raw, root, _ = _scan(raw, LIMITS)
    for part in root.leaves():
        if part.path == path:
            return decoded_pieces(raw, part)
    raise KeyError(path)


def iter_parts(raw: Octets) -> Iterator[tuple[ContentPart, bytes]]:
    """Yield every part with its decoded octets, one in memory at a time."""
    raw, root, _ = _scan(raw, LIMITS)
    for part in root.leaves():
        octets = decode_octets(raw[part.body_start : part.body_end], part.encoding)
        yield _content_part(part, len(octets)), octets


def iter_pieces(raw: Octets) -> Iterator[tuple[ContentPart, Iterator[bytes]]]:
    """Yield every part with its decoded octets in pieces; its size is the sum of theirs, nearly."""
    raw, root, _ = _scan(raw, LIMITS)
    for part in root.leaves():
        yield _content_part(part, decoded_size(raw, part)), decoded_pieces(raw, part)


def _scan(raw: Octets, limits: Limits) -> tuple[Octets, Part, list[str]]:
    raw = with_line_feeds(raw, limits)
    head = read_head(raw, 0, len(raw), wanted=CONTENT_FIELDS, limits=limits, top=True)
    root, defects = scan_structure(raw, head, limits)
    return raw, root, head.defects + defects


def _open(raw: Octets, limits: Limits) -> MessageContent:
    raw, root, defects = _scan(raw, limits)
    bodies = body_parts(root)
    listed = {part.path: _content_part(part, decoded_size(raw, part)) for part in root.leaves()}
    budget = _Budget(limits.text_shown)
    html = _html_body(raw, bodies.html, budget)
    text = _text_body(raw, bodies.text, html, limits)
    inline = _inline_images(html, listed) if html else {}
    shown = {part.path for part in inline.values()}
    return MessageContent(
        html=html,
        text=text,
        parts=tuple(listed.values()),
        attachments=tuple(listed[part.path] for part in bodies.attachments if part.path not in shown),
        inline=inline,
        truncated=budget.exceeded or any(part.body_end - part.body_start > limits.text_shown for part in bodies.text),
        defects=tuple(dict.fromkeys(defects)),
    )


@dataclass(slots=True)
class _Budget:
    """How many octets of body text may still be decoded."""

    left: int
    exceeded: bool = False

    def take(self, raw: Octets, part: Part) -> str:
        text = part_text(raw, part, self.left)
        if len(text) >= self.left:
            self.exceeded = True
        self.left = max(0, self.left - len(text))
        return text


def _html_body(raw: Octets, parts: list[Part], budget: _Budget) -> str | None:
    if not any(part.content_type == "text/html" for part in parts):
        return None
    pieces: list[str] = []
    for part in parts:
        if budget.left <= 0:
            break
        if part.content_type == "text/html":
            pieces.append(budget.take(raw, part))
        elif part.content_type.startswith(("text/", "multipart/")) and (text := budget.take(raw, part)).strip():
            pieces.append(f'<div style="white-space: pre-wrap">{markup.escape(text)}</div>')
    return "\n".join(pieces)


def _text_body(raw: Octets, parts: list[Part], html: str | None, limits: Limits) -> str | None:
    budget = _Budget(limits.text_shown)
    pieces: list[str] = []
    for part in parts:
        if budget.left <= 0 or not part.content_type.startswith(("text/", "multipart/")):
            continue
        text = budget.take(raw, part)
        pieces.append(html_to_text(text) if part.content_type == "text/html" else text)
    if any(piece.strip() for piece in pieces):
        return "\n".join(pieces)
    if html is not None:
        return html_to_text(html)
    return pieces[0] if pieces else None


def _inline_images(html: str, listed: Mapping[str, ContentPart]) -> dict[str, ContentPart]:
    """Return the images of this message that its HTML names by Content-ID (RFC 2392)."""
    images = {
        part.cid: part for part in reversed(tuple(listed.values())) if part.cid and part.content_type in _SHOWN_IMAGES
    }
    if not images:
        return {}
    named = {unquote(markup.unescape(cid)) for cid in _CID.findall(html)}
    return {cid: part for cid, part in images.items() if cid in named}


def _content_part(part: Part, size: int) -> ContentPart:
    return ContentPart(part.path, part.content_type, part.filename, part.disposition, part.cid, size)
