"""What people write with an editor: cleaned, with every image it shows taken out of it (spec E9, H3; threats T9, T12).

Stored HTML names its images `cid:` and their SHA-256. Signatures and mail differ only in how much they may hold.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

import nh3

from accounts.image_types import NotAnImage, kind_of
from protocols.message.build import Attachment

_TAGS: Final = {
    *("a", "abbr", "address", "b", "bdi", "bdo", "blockquote", "br", "center", "cite", "code", "col", "colgroup"),
    *("div", "em", "font", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "li", "ol", "p", "pre", "q", "s"),
    *("small", "span", "strike", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt"),
    *("u", "ul", "wbr"),
}
_ATTRIBUTES: Final = {
    "*": {"align", "valign", "width", "height", "bgcolor", "style", "dir", "lang", "title"},
    "a": {"href"},
    "img": {"src", "alt", "border", "hspace", "vspace"},
    "font": {"color", "face", "size"},
    "ol": {"start", "type"},
    "table": {"border", "cellpadding", "cellspacing"},
    "td": {"colspan", "rowspan", "nowrap"},
    "th": {"colspan", "rowspan", "nowrap"},
    "col": {"span"},
}
_STYLES: Final = {
    *("background", "background-color", "border", "border-bottom", "border-collapse", "border-color", "border-left"),
    *("border-radius", "border-right", "border-spacing", "border-style", "border-top", "border-width", "color"),
    *("direction", "display", "font", "font-family", "font-size", "font-style", "font-variant", "font-weight"),
    *("height", "letter-spacing", "line-height", "list-style-type", "margin", "margin-bottom", "margin-left"),
    *("margin-right", "margin-top", "max-width", "min-width", "padding", "padding-bottom", "padding-left"),
    *("padding-right", "padding-top", "text-align", "text-decoration", "text-indent", "text-transform"),
    *("vertical-align", "white-space", "width"),
}
_FETCHING_STYLE: Final = re.compile(r"url|image|src|expression|import|attr|var|\\|@", re.IGNORECASE)
_LINK: Final = re.compile(r"(?:https?://|mailto:|tel:)", re.IGNORECASE)
_DATA: Final = re.compile(r"data:image/[a-z0-9.+-]{1,40}(;base64)?,(.*)", re.IGNORECASE | re.DOTALL)
_KEPT: Final = re.compile(
    r"(?:cid:|(?:https?://[^/]{1,300})?/(?:mailboxes/\d+/settings/signature|mail/drafts/[0-9a-f]{32})/images/)([0-9a-f]{64})"
)
CID: Final = re.compile(r"cid:([0-9a-f]{64})")
_NO_SOURCE: Final = re.compile(r"<img(?![^<>]*\bsrc=)[^<>]*>")
FILE_ENDINGS: Final = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be kept. what: how a sentence names the thing that is too long, such as "a signature".

    image, total: octets of one image, and of all. html: characters without the images. tags: parsing takes time with
    the square of how deep they lie in each other.
    """

    what: str
    image: int
    total: int
    images: int
    html: int
    tags: int


class RichTextRefused(ValueError):
    """What was written cannot be kept as it is. The text is a sentence for the one who wrote it."""


@dataclass(frozen=True, slots=True)
class Image:
    sha256: str
    content_type: str
    content: bytes

    def inline(self, number: int, cid: str) -> Attachment:
        """As it travels in a mail whose HTML names it `cid`."""
        name = f"image{number}.{FILE_ENDINGS[self.content_type]}"
        return Attachment(filename=name, content_type=self.content_type, content=self.content, cid=cid)


@dataclass(frozen=True, slots=True)
class CleanHtml:
    """html: with `cid:` addresses; kept: of images that were stored before; new: images that came with the HTML."""

    html: str
    kept: frozenset[str]
    new: tuple[Image, ...]


def clean(html: str, limits: Limits, known: Iterable[str] = ()) -> CleanHtml:
    """Clean what an editor sent. known: SHA-256 of the images that are stored already.

    Raises RichTextRefused when an image cannot be kept or there is too much of anything: no image is lost silently.
    """
    images = _Images(limits, frozenset(known))
    cleaned = nh3.clean(
        _without_data(html, images),
        tags=_TAGS,
        clean_content_tags={"script", "style", "title", "head", "noscript", "template", "svg", "math", "object"},
        attributes=_ATTRIBUTES,
        attribute_filter=images.attribute,
        filter_style_properties=_STYLES,
        url_schemes={"http", "https", "mailto", "tel", "cid"},
        link_rel=None,
    )
    if not images.errors and _NO_SOURCE.search(cleaned):
        images.errors.append("An image lies on a computer. Save it as a file and insert that instead.")
    images.check()
    if len(cleaned) > limits.html:
        raise RichTextRefused(
            f"It is {len(cleaned):,} characters long with its formatting; {limits.html:,} are possible. Take some out."
        )
    return CleanHtml(cleaned.strip(), frozenset(images.used), tuple(images.new.values()))


@dataclass
class _Images:
    """Collects the images of one text while its HTML is cleaned. An exception must not cross the cleaner."""

    limits: Limits
    known: frozenset[str]
    used: set[str] = field(default_factory=set)
    new: dict[str, Image] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def attribute(self, tag: str, name: str, value: str) -> str | None:
        if name == "href":
            return value.strip() if _LINK.match(value.strip()) else None
        if name == "src" and tag == "img":
            return self._source(value.strip())
        if name == "style" and _FETCHING_STYLE.search(value):
            return ";".join(part for part in value.split(";") if not _FETCHING_STYLE.search(part)) or None
        return value

    def _source(self, address: str) -> str | None:
        kept = _KEPT.fullmatch(address)
        if kept and kept[1] in self.new:
            return f"cid:{kept[1]}"
        if kept and kept[1] in self.known:
            self.used.add(kept[1])
            return f"cid:{kept[1]}"
        if kept:
            self.errors.append("An image is no longer stored here. Take it out and insert it again.")
        elif address:
            self.errors.append(f"An image lies on the web ({address[:80]}). Save it as a file and insert that instead.")
        return None

    def add(self, content: bytes) -> str:
        """Keep an image; return its SHA-256, or "" where it cannot be kept."""
        number = len(self.new) + len(self.errors) + 1
        try:
            content_type = kind_of(content)
        except NotAnImage as exc:
            self.errors.append(f"Pasted image {number} cannot be used. {exc}")
            return ""
        if len(content) > self.limits.image:
            self.errors.append(
                f"Pasted image {number} is {len(content) / 1024**2:.1f} MB; {self.limits.image // 1024**2} MB are "
                "possible. Make it smaller."
            )
            return ""
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 in self.known:
            self.used.add(sha256)
        else:
            self.new[sha256] = Image(sha256, content_type, content)
        return sha256

    def check(self) -> None:
        total = sum(len(image.content) for image in self.new.values())
        if total > self.limits.total:
            self.errors.append(
                f"Its images are {total / 1024**2:.1f} MB together; {self.limits.total // 1024**2} MB are possible. "
                "Make them smaller, or take one out."
            )
        if len(self.new) + len(self.used) > self.limits.images:
            self.errors.append(f"There are more than {self.limits.images} images. Take some out.")
        if self.errors:
            raise RichTextRefused(" ".join(dict.fromkeys(self.errors)))


_DATA_SOURCE: Final = re.compile(r"""(<img\b[^<>]*?\bsrc\s*=\s*)(?:"(data:[^"]*)"|'(data:[^']*)')""", re.IGNORECASE)


def _without_data(html: str, images: _Images) -> str:
    """Move images that came inside the HTML out of it, so that what is parsed stays short. Raises RichTextRefused."""

    def moved(match: re.Match[str]) -> str:
        data = _DATA.fullmatch(match[2] or match[3])
        octets = None
        if data is not None:
            octets = _octets(data[2], is_base64=data[1] is not None)
        if octets is None:
            images.errors.append("A pasted image is damaged. Take it out and insert it again.")
            return f'{match[1]}""'
        sha256 = images.add(octets)
        return f'{match[1]}"cid:{sha256}"' if sha256 else f'{match[1]}""'

    short = _DATA_SOURCE.sub(moved, html)
    if len(short) > 10 * images.limits.html or short.count("<") > images.limits.tags:
        raise RichTextRefused(
            f"This is too long for {images.limits.what}. Paste only what belongs there, not a whole document."
        )
    return short


def _octets(text: str, *, is_base64: bool) -> bytes | None:
    raw = unquote_to_bytes(text)
    if not is_base64:
        return raw
    try:
        return b64decode(b"".join(raw.split()), validate=True)
    except (NotBase64, ValueError):
        return None
