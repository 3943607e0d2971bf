"""From a message's own HTML to a document that a frame may show (spec H2; threats T9 to T12, T17).

Mail is stored raw and cleaned each time it is shown. Four walls stand one behind the other: this cleaning, the
document's own Content-Security-Policy, the sandboxed frame, and image addresses that only we can have signed.
Nothing is fetched from elsewhere: remote images are left out and counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from math import ceil
from typing import Final
from urllib.parse import unquote, urlsplit

import nh3

from mailstore.nesting import is_too_deep
from protocols.message.plaintext import html_to_text

FRAME_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)

_LAYOUT = {"align", "valign", "width", "height", "bgcolor", "style", "dir", "lang", "title"}
_TAGS = {
    *("a", "abbr", "address", "b", "bdi", "bdo", "blockquote", "br", "caption", "center", "cite", "code", "col"),
    *("colgroup", "dd", "del", "div", "dl", "dt", "em", "font", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img"),
    *("ins", "kbd", "li", "ol", "p", "pre", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup"),
    *("table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt", "u", "ul", "var", "wbr"),
}
_ATTRIBUTES = {
    "*": _LAYOUT,
    "a": {"href", "name"},
    "img": {"src", "alt", "border", "hspace", "vspace"},
    "font": {"color", "face", "size"},
    "ol": {"start", "type"},
    "table": {"border", "cellpadding", "cellspacing", "background"},
    "td": {"colspan", "rowspan", "nowrap", "background"},
    "th": {"colspan", "rowspan", "nowrap", "background"},
    "col": {"span"},
}
_STYLES = {
    *("background", "background-color", "border", "border-bottom", "border-collapse", "border-color", "border-left"),
    *("border-radius", "border-right", "border-spacing", "border-style", "border-top", "border-width", "box-sizing"),
    *("clear", "color", "direction", "display", "float", "font", "font-family", "font-size", "font-style"),
    *("font-weight", "height", "letter-spacing", "line-height", "list-style-type", "margin", "margin-bottom"),
    *("margin-left", "margin-right", "margin-top", "max-height", "max-width", "min-height", "min-width"),
    *("overflow-wrap", "padding", "padding-bottom", "padding-left", "padding-right", "padding-top", "table-layout"),
    *("text-align", "text-decoration", "text-indent", "text-transform", "vertical-align", "white-space", "width"),
    *("word-break", "word-wrap"),
}
_LINK_SCHEMES = ("https:", "http:", "mailto:", "tel:")
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\xad\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+")
_STRIPPED = "\x20\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_SPACES = re.compile(f"[{_STRIPPED}]+")
_DATA_IMAGE = re.compile(r"data:image/(png|gif|jpeg|webp);base64,[A-Za-z0-9+/=\s]{1,400000}", re.ASCII)
_FETCHING_STYLE = re.compile(r"url|image|src|expression|import|attr|var|\\|@", re.IGNORECASE)
_STYLE_ADDRESS = re.compile(r"url\(\s{0,20}[\"']?\s{0,20}((?:https?:)?//[^\s\"')]{1,2000})", re.IGNORECASE)

TALLEST: Final = 2400  # CSS pixels; the frame scrolls beyond

_LINE = 22
_LINE_LENGTH = 78  # characters
_BLOCK = re.compile(r"<(?:/?(?:p|div|tr|li|h[1-6]|blockquote|pre|dd|dt)|br|hr)\b[^<>]*>")
_SPACED = re.compile(r"<(?:p|h[1-6]|blockquote|hr|ul|ol)\b")
_TABLE_ROW = re.compile(r"<tr\b")
_HEADING = re.compile(r"<h[1-3]\b")
_CELL_PADDING = re.compile(r'\bcellpadding="(\d{1,3})"')
_TAG = re.compile(r"<[^<>]*>")
_IMAGE = re.compile(r"<img\b[^<>]*\bsrc=[^<>]*>")
_IMAGE_HEIGHT = re.compile(r'\bheight="(\d{1,4})"')

_FRAME = """<!doctype html><html><head><meta charset="utf-8"><meta name="referrer" content="no-referrer"><style>
html {{ color-scheme: light; }}
body {{ margin: 0; padding: 12px; font: 14px/1.55 system-ui, sans-serif; color: #1c1e21; background: #fff; }}
body {{ overflow-wrap: break-word; }} body > :first-child {{ margin-top: 0; }}
img {{ max-width: 100%; height: auto; }}
img:not([src]) {{ color: #6b6b66; font-size: 12px; aspect-ratio: auto !important; }}
img:not([src]) {{ display: inline !important; width: auto !important; height: auto !important; }}
table {{ max-width: 100%; }} pre {{ white-space: pre-wrap; }}
blockquote {{ margin: 8px 0 8px 4px; padding-left: 12px; border-left: 2px solid #c9c9c2; color: #565b63; }}
a {{ color: #0b57c2; }}
</style></head><body>{body}</body></html>"""


@dataclass
class RemoteImages:
    """Images that were left out since fetching them would tell the sender that the mail was read."""

    hosts: dict[str, int] = field(default_factory=dict)

    def count(self, address: str) -> None:
        try:
            host = urlsplit(address).hostname or "an unknown place"
        except ValueError:
            host = "an unknown place"
        self.hosts[host] = self.hosts.get(host, 0) + 1

    @property
    def total(self) -> int:
        return sum(self.hosts.values())

    @property
    def from_where(self) -> str:
        """ "harbour.example" or "harbour.example and 2 other places"."""
        first = max(self.hosts, key=lambda host: self.hosts[host])
        others = len(self.hosts) - 1
        return first if not others else f"{first} and {others} other place{'s' if others > 1 else ''}"


@dataclass(frozen=True, slots=True)
class CleanBody:
    """HTML that is safe inside the frame, and what was left out of it."""

    html: str
    remote: RemoteImages

    def document(self) -> str:
        return _FRAME.format(body=self.html)


def clean(html: str, inline_image: Callable[[str], str | None], *, keeps_remote: bool = False) -> CleanBody:
    """Clean a message's HTML. `inline_image` gives the address of the image with a Content-ID, None for no such image.

    keeps_remote: images on the web stay, counted all the same: for mail that is passed on, which no page of ours shows.

    HTML whose elements lie absurdly deep in each other is shown as its text.
    Scripts, forms, frames, styles that fetch and every handler are gone; links lead to http, https, mailto or tel only.
    """
    remote = RemoteImages()
    if is_too_deep(html):
        return CleanBody(f'<div style="white-space: pre-wrap">{escape(html_to_text(html))}</div>', remote)

    def attribute(tag: str, name: str, value: str) -> str | None:
        if name == "href":
            return link(value)
        if name == "src":
            return _image(value, inline_image, remote) or (_remote_image(value) if keeps_remote else None)
        if name == "background":
            _image(value, inline_image, remote)  # counted, never shown
            return None
        return _style(value, remote) if name == "style" else value

    cleaned = nh3.clean(
        html,
        tags=_TAGS,
        clean_content_tags={"script", "style", "title", "head", "noscript", "template", "svg", "math", "object"},
        attributes=_ATTRIBUTES,
        attribute_filter=attribute,
        filter_style_properties=_STYLES,
        url_schemes={"http", "https", "mailto", "tel", "cid", "data"},
        set_tag_attribute_values={"a": {"target": "_blank"}},
        link_rel="noopener noreferrer",
    )
    return CleanBody(cleaned, remote)


def link(address: str) -> str | None:
    """The address, if it is one that may be followed (T17); None for any other.

    What browsers and readers skip over is removed before it is judged, and stays removed; spaces within are encoded.
    """
    visible = _visible(address)
    return _SPACES.sub("%20", visible) if visible.lower().startswith(_LINK_SCHEMES) else None


def _visible(address: str) -> str:
    return _INVISIBLE.sub("", address).strip(_STRIPPED)


def _image(address: str, inline_image: Callable[[str], str | None], remote: RemoteImages) -> str | None:
    visible = _visible(address)
    scheme = visible[:5].lower()
    if scheme.startswith("cid:"):
        return inline_image(unquote(visible[4:]))
    if scheme == "data:":
        return visible if _DATA_IMAGE.fullmatch(visible) else None
    if visible.startswith(("//", "\\\\")) or scheme.startswith("http"):
        remote.count(visible)
    return None


def _remote_image(address: str) -> str | None:
    visible = _visible(address)
    return _SPACES.sub("%20", visible) if visible.lower().startswith("https://") else None


def _style(value: str, remote: RemoteImages) -> str | None:
    """The declarations that fetch nothing. What remains passes the list of properties afterwards."""
    if not _FETCHING_STYLE.search(value):
        return value
    for match in _STYLE_ADDRESS.finditer(value):
        remote.count(match[1])
    return ";".join(part for part in value.split(";") if not _FETCHING_STYLE.search(part)) or None


def likely_height(html: str) -> int:
    """Guess how tall a cleaned document will be, in CSS pixels, so that little moves when it has loaded.

    Rather a little too tall: an empty line below is nicer than a second scroll bar.
    """
    height = 40.0
    for block in _BLOCK.split(html):
        length = len(" ".join(_TAG.sub(" ", block).split()))
        height += _LINE * ceil(length / _LINE_LENGTH)
    padding = max((min(int(stated), 40) for stated in _CELL_PADDING.findall(html)), default=3)
    height += 2 * padding * len(_TABLE_ROW.findall(html))
    height += 14 * len(_SPACED.findall(html)) + 24 * len(_HEADING.findall(html))
    for image in _IMAGE.findall(html):
        stated = _IMAGE_HEIGHT.search(image)
        height += min(int(stated[1]), 600) if stated else 120
    return int(min(TALLEST, max(80, 1.2 * height)))
