"""The HTML of a message that is answered or passed on, as it stands below what somebody writes (spec H3)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from html import escape
from typing import Final

from mailstore.rendering import clean
from protocols.message.build import Attachment
from protocols.message.content import ContentPart, MessageContent, part_bytes
from protocols.message.filenames import safe_filename
from protocols.message.octets import Octets

QUOTATION: Final = (
    '<blockquote type="cite" style="margin: 0 0 0 8px; padding-left: 12px; border-left: 2px solid #c9c9c2">'
)


@dataclass(frozen=True, slots=True)
class QuotedHtml:
    """images: of the original, each with the Content-ID under which `html` names it."""

    html: str
    images: tuple[Attachment, ...] = ()


def quoted_html(content: MessageContent, raw: Octets, head: str, *, forward: bool, domain: str) -> QuotedHtml | None:
    """Return the body below `head` (lines of text); None where the message has no HTML.

    An answer quotes it without what lies on the web, which its writer has; passed on it stays whole.
    domain: of the Content-IDs.
    """
    if content.html is None:
        return None
    images = _Images(content, raw, domain)
    body = clean(content.html, images.address_of, keeps_remote=forward).html
    above = "<br>\n".join(escape(line) for line in head.splitlines())
    html = f"<div>{above}</div><br>{body}" if forward else f"<div>{above}</div>{QUOTATION}{body}</blockquote>"
    return QuotedHtml(html, tuple(images.taken.values()))


class _Images:
    """Takes along the images of the original that its HTML shows, each once."""

    def __init__(self, content: MessageContent, raw: Octets, domain: str) -> None:
        self._inline, self._raw, self._domain = content.inline, raw, domain
        self.taken: dict[str, Attachment] = {}

    def address_of(self, cid: str) -> str | None:
        part = self._inline.get(cid)
        if part is None:
            return None
        if part.path not in self.taken:
            self.taken[part.path] = self._attachment(part)
        return f"cid:{self.taken[part.path].cid}"

    def _attachment(self, part: ContentPart) -> Attachment:
        octets = part_bytes(self._raw, part.path)
        name = safe_filename(part.filename, part.content_type)
        cid = f"{hashlib.sha256(octets).hexdigest()[:32]}.{part.path}@{self._domain}"
        return Attachment(filename=name, content_type=part.content_type, content=octets, cid=cid)
