"""From a filled-in composer to the bodies of a mail: with formatting or as plain text, signed, above the original."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.models import Mailbox
from accounts.rich_text import CID, CleanHtml
from accounts.signature import parts_of
from delivery.drafting import Original
from delivery.quoted_html import QuotedHtml
from delivery.signing import Bodies, RichBody, bodies, rich_bodies
from mailstore.models import Message
from mailstore.packs import RawUnavailable
from protocols.message.domains import ascii_domain

if TYPE_CHECKING:
    from delivery.forms import ComposeForm


def written(form: ComposeForm, original: Message | None, kind: str) -> Bodies:
    """The bodies of what the valid `form` holds; with formatting where it was written so."""
    values = form.cleaned_data
    mailbox: Mailbox = values["mailbox"]
    signature = parts_of(mailbox) if values["signed"] else None
    language = mailbox.writes_in.tag
    quote = values["quote"] if form.quotes_original else ""
    if form.rich is None:
        return bodies(values["text"], quote, signature, language=language)
    quoted = None
    if original is not None and form.shows_html and form.quotes_original:
        quoted = _original(original, mailbox, forward=kind == "forward")
    return rich_bodies(_with_parts(form.rich, mailbox), quote, quoted, signature, language=language)


def _with_parts(rich: CleanHtml, mailbox: Mailbox) -> RichBody:
    """Its images as parts of the mail."""
    domain = _domain(mailbox)
    images = [image.inline(number, f"{image.sha256[:40]}@{domain}") for number, image in enumerate(rich.new, start=1)]
    return RichBody(CID.sub(lambda match: f"cid:{match[1][:40]}@{domain}", rich.html), tuple(images))


def _original(message: Message, mailbox: Mailbox, *, forward: bool) -> QuotedHtml | None:
    """None where its octets cannot be read any more: then its text, which the page holds, stands there."""
    try:
        opened = Original.read(message)
    except RawUnavailable:
        return None
    return opened.quoted(mailbox.writes_in, forward=forward, domain=_domain(mailbox))


def _domain(mailbox: Mailbox) -> str:
    return ascii_domain(mailbox.address.rpartition("@")[2])
