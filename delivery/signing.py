"""The bodies of a mail that a person wrote: its text, the signature below it, and what it quotes below that."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Final

from django.utils.html import urlize

from accounts.signature import SignatureParts
from delivery.quoted_html import QUOTATION, QuotedHtml
from protocols.message.alternative import readable_text
from protocols.message.build import Attachment

_MARKS: Final = re.compile(r"(?:> ?)*")
_DEEPEST: Final = 10  # quotations in each other
_LONGEST_WITH_LINKS: Final = 20_000  # characters; finding addresses in more takes too long


@dataclass(frozen=True, slots=True)
class Bodies:
    """html: None where plain text says it all. images: those that the HTML shows."""

    text: str
    html: str | None = None
    images: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class RichBody:
    """What was written with formatting. images: each with the Content-ID that `html` names."""

    html: str
    images: tuple[Attachment, ...] = ()


def rich_bodies(
    written: RichBody, quote: str, quoted: QuotedHtml | None, signature: SignatureParts | None, *, language: str
) -> Bodies:
    """As `bodies`, for text with formatting. quote: the original as plain text; quoted: its HTML, where it has any."""
    html = f'<div lang="{escape(language)}">{written.html}</div>'
    plain, images = "", written.images
    if signature is not None:
        plain = f"-- \n{signature.text}" if signature.text and not quote.strip() else signature.text
        html += f"<br><div>{signature.html}</div>"
        images += signature.images
    if quoted is not None:
        html += f"<br><div>{quoted.html}</div>"
        images += quoted.images
    elif quote.strip():
        html += f"<br><div>{''.join(_quoted(quote))}</div>"
    return Bodies(_joined(readable_text(written.html) + "\n", plain, quote), html, images)


def bodies(text: str, quote: str, signature: SignatureParts | None, *, language: str) -> Bodies:
    """Join what was written, the signature and the quotation. Without a signature the mail stays plain text.

    language: the tag of the one it is written in (RFC 5646); what is quoted may be in any.
    """
    if signature is None:
        return Bodies(_joined(text, quote))
    plain = signature.text
    if plain and not quote.strip():
        plain = f"-- \n{plain}"  # readers take everything below that line for the signature (RFC 3676, 4.3)
    html = f'<div lang="{escape(language)}">{_written(text)}</div><br><div>{signature.html}</div>'
    if quote.strip():
        html += f"<br><div>{''.join(_quoted(quote))}</div>"
    return Bodies(_joined(text, plain, quote), html, signature.images)


def _joined(*parts: str) -> str:
    """The parts that say something, an empty line between each two."""
    first, *others = parts
    below = [part.strip("\n") for part in others if part.strip()]
    return "\n\n".join([first.rstrip(), *below]) + "\n" if below else first


def _written(text: str) -> str:
    lines = text.rstrip().replace("\r\n", "\n")
    html = urlize(lines, autoescape=True) if len(lines) <= _LONGEST_WITH_LINKS else escape(lines)
    return _spaced(html)


def _spaced(html: str) -> str:
    """Line ends and runs of spaces as HTML shows them."""
    return html.replace("  ", "&nbsp; ").replace("\n ", "\n&nbsp;").replace("\n", "<br>\n")


def _quoted(text: str) -> Iterator[str]:
    """Lines with quotation marks as quotations in each other, as deep as they have marks."""
    depth = 0
    for line in text.replace("\r\n", "\n").strip("\n").split("\n"):
        marks = _MARKS.match(line)
        assert marks is not None  # it matches nothing, too
        wanted = min(marks[0].count(">"), _DEEPEST)
        yield QUOTATION * (wanted - depth)
        yield "</blockquote>" * (depth - wanted)
        depth = wanted
        yield f"{_spaced(escape(line[marks.end() :]))}<br>\n"
    yield "</blockquote>" * depth
