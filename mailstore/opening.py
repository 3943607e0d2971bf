"""A stored message as a reader sees it: its text or HTML, its files, and an honest word where something is missing."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final

from django.utils.safestring import SafeString

from mailstore.inline_images import SHOWN, address_of
from mailstore.links import with_links
from mailstore.models import Attachment, Message
from mailstore.packs import RawUnavailable, open_raw
from mailstore.rendering import CleanBody, RemoteImages, clean, likely_height
from organizations.models import User
from protocols.message.content import MessageContent, open_message
from protocols.message.quoting import split_history

# Defects that may have cost the reader something; the others, such as a missing Message-ID, are nobody's business.
_COSTLY: Final = frozenset({
    "unreadable", "too_many_parts", "too_many_delimiters", "nested_too_deeply", "header_too_large",
    "multipart_not_closed", "multipart_without_boundary", "boundary_not_found",
})  # fmt: skip
NOTHING: Final = SafeString("")


@dataclass(frozen=True, slots=True)
class OpenedMessage:
    """The body of one message.

    written, history: plain text with links: what the author wrote, and the older messages quoted below it.
    is_html:          the message is shown in a frame instead; `frame_height` is a guess in CSS pixels.
    remote:           images of the HTML that were left out.
    attachments:      files to list.
    trouble:          a sentence, where not everything could be read; "" where all is well.
    """

    written: SafeString = NOTHING
    history: SafeString = NOTHING
    is_html: bool = False
    frame_height: int = 0
    remote: RemoteImages | None = None
    attachments: Collection[Attachment] = ()
    trouble: str = ""

    @property
    def is_empty(self) -> bool:
        return not (self.is_html or self.written or self.history)


def open_body(message: Message) -> OpenedMessage:
    """Read and prepare one message. Never raises: what is missing is named in `trouble`."""
    listed = list(message.attachments.all())
    try:
        content = open_message(open_raw(message))
    except RawUnavailable as exc:
        files = [attachment for attachment in listed if not attachment.is_inline]
        return OpenedMessage(attachments=files, trouble=f"{exc} Only what the list shows is known.")
    paths = {part.path for part in content.attachments}
    files = [attachment for attachment in listed if attachment.path in paths]
    trouble = _trouble(content)
    if content.html is not None:
        body = clean(content.html, lambda cid: "#" if cid in content.inline else None)
        height = likely_height(body.html)
        return OpenedMessage(is_html=True, frame_height=height, remote=body.remote, attachments=files, trouble=trouble)
    split = split_history((content.text or "").strip("\r\n"))
    return OpenedMessage(with_links(split.written), with_links(split.history), attachments=files, trouble=trouble)


def clean_html(message: Message, user: User) -> CleanBody | None:
    """Return the HTML of a message, safe for its frame, with images that `user` may fetch; None where it has none.

    Raises RawUnavailable.
    """
    content = open_message(open_raw(message))
    return clean(content.html, _inline_images(content, message, user)) if content.html is not None else None


def _inline_images(content: MessageContent, message: Message, user: User) -> Callable[[str], str | None]:
    return partial(_inline_image, content, message, user)


def _inline_image(content: MessageContent, message: Message, user: User, cid: str) -> str | None:
    """The address of the image with a Content-ID within this very message; None for any other part (T12)."""
    part = content.inline.get(cid)
    if part is None or part.content_type not in SHOWN:
        return None
    return address_of(message, part.path, user)


def _trouble(content: MessageContent) -> str:
    if content.truncated:
        return "This message is very long; only its beginning is shown."
    if _COSTLY.intersection(content.defects):
        return "This message is damaged, so something may be missing here."
    return ""
