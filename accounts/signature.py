"""The signature of a mailbox: cleaned when it is saved, with every image it shows kept beside it (spec E9).

Stored HTML names its images `cid:` and their SHA-256. Pages show them through a guarded address, mail carries them as
parts of its own (RFC 2392), so that no reader has to fetch anything.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

import nh3
from django.db import transaction

from accounts.image_types import NotAnImage, kind_of
from accounts.models import Mailbox, Signature, SignatureImage
from protocols.message.build import Attachment
from protocols.message.domains import ascii_domain
from protocols.message.plaintext import html_to_text

LARGEST_IMAGE: Final = 2 * 1024 * 1024  # octets
LARGEST_TOTAL: Final = 4 * 1024 * 1024  # octets of all images: each mail carries them
MOST_IMAGES: Final = 30
LONGEST_HTML: Final = 60_000  # characters, without the images
MOST_TAGS: Final = 6_000  # parsing takes time with the square of how deep they lie in each other

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
_KEPT: Final = re.compile(r"(?:cid:|(?:https?://[^/]{1,300})?/mailboxes/\d+/settings/signature/images/)([0-9a-f]{64})")
_CID: Final = re.compile(r"cid:([0-9a-f]{64})")
_NO_SOURCE: Final = re.compile(r"<img(?![^<>]*\bsrc=)[^<>]*>")
_FILE_ENDINGS: Final = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp"}


class SignatureRefused(ValueError):
    """The signature cannot be kept as it is. The text is a sentence for the one who wrote it."""


@dataclass(frozen=True, slots=True)
class Image:
    sha256: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class CleanSignature:
    """html: with `cid:` addresses; kept: of images that were stored before; new: images that came with the HTML."""

    html: str
    kept: frozenset[str]
    new: tuple[Image, ...]


@dataclass(frozen=True, slots=True)
class SignatureParts:
    """What a mail takes of a signature. images: each with the Content-ID that `html` names."""

    html: str
    text: str
    images: tuple[Attachment, ...] = ()


def clean(html: str, known: Iterable[str] = ()) -> CleanSignature:
    """Clean what an editor sent. known: SHA-256 of the images that are stored already.

    Raises SignatureRefused when an image cannot be kept or there is too much of anything: no image is lost silently.
    """
    images = _Images(frozenset(known))
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
    if len(cleaned) > LONGEST_HTML:
        raise SignatureRefused(
            f"It is {len(cleaned):,} characters long with its formatting; {LONGEST_HTML:,} are possible. Take some out."
        )
    return CleanSignature(cleaned.strip(), frozenset(images.used), tuple(images.new.values()))


def save(mailbox: Mailbox, html: str, *, is_on: bool) -> Signature:
    """Clean and store; images that the new signature does not show are let go. Raises SignatureRefused."""
    with transaction.atomic():
        Mailbox.objects.select_for_update().get(pk=mailbox.pk)  # two savings of one signature, one after the other
        sizes = dict(mailbox.signature_images.values_list("sha256", "size"))
        cleaned = clean(html, sizes)
        total = sum(sizes[name] for name in cleaned.kept) + sum(len(image.content) for image in cleaned.new)
        if total > LARGEST_TOTAL:
            raise SignatureRefused(
                f"Its images are {total / 1024**2:.1f} MB together; {LARGEST_TOTAL // 1024**2} MB are possible, since "
                "every mail carries them. Make them smaller, or take one out."
            )
        mailbox.signature_images.exclude(sha256__in=cleaned.kept).delete()
        SignatureImage.objects.bulk_create(
            SignatureImage(
                mailbox=mailbox,
                sha256=image.sha256,
                content_type=image.content_type,
                size=len(image.content),
                content=image.content,
            )
            for image in cleaned.new
        )
        signature, _ = Signature.objects.update_or_create(
            mailbox=mailbox, defaults={"html": cleaned.html, "is_on": is_on}
        )
        return signature


def for_editing(html: str, address_of: Callable[[str], str]) -> str:
    """Stored HTML with addresses that a page can fetch. address_of: SHA-256 -> the guarded address."""
    return _CID.sub(lambda match: address_of(match[1]), html)


def for_preview(mailbox: Mailbox) -> str:
    """Stored HTML with its images inside, for a frame that fetches nothing; empty where there is no signature."""
    signature = Signature.objects.filter(mailbox=mailbox).first()
    if signature is None:
        return ""
    images = {image.sha256: image for image in mailbox.signature_images.all()}

    def inside(match: re.Match[str]) -> str:
        image = images.get(match[1])
        return f"data:{image.content_type};base64,{b64encode(image.content).decode()}" if image else ""

    return _CID.sub(inside, signature.html)


def is_signed(mailbox: Mailbox) -> bool:
    """Whether mail from this mailbox gets a signature unless its writer takes it out."""
    return Signature.objects.filter(mailbox=mailbox, is_on=True).exclude(html="").exists()


def parts_of(mailbox: Mailbox) -> SignatureParts | None:
    """What mail from this mailbox carries; None where there is no signature or it is switched off."""
    signature = Signature.objects.filter(mailbox=mailbox, is_on=True).exclude(html="").first()
    if signature is None:
        return None
    domain = ascii_domain(mailbox.address.rpartition("@")[2])
    images = {image.sha256: image for image in mailbox.signature_images.all()}
    shown = [name for name in dict.fromkeys(_CID.findall(signature.html)) if name in images]

    def cid(name: str) -> str:
        return f"{name[:40]}@{domain}"

    return SignatureParts(
        html=_CID.sub(lambda match: f"cid:{cid(match[1])}", signature.html),
        text=html_to_text(signature.html),
        images=tuple(
            Attachment(
                filename=f"image{number}.{_FILE_ENDINGS[images[name].content_type]}",
                content_type=images[name].content_type,
                content=bytes(images[name].content),
                cid=cid(name),
            )
            for number, name in enumerate(shown, start=1)
        ),
    )


@dataclass
class _Images:
    """Collects the images of one signature while its HTML is cleaned. An exception must not cross the cleaner."""

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
        if len(content) > LARGEST_IMAGE:
            self.errors.append(
                f"Pasted image {number} is {len(content) / 1024**2:.1f} MB; {LARGEST_IMAGE // 1024**2} MB are "
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
        if len(self.new) + len(self.used) > MOST_IMAGES:
            self.errors.append(f"There are more than {MOST_IMAGES} images. Take some out.")
        if self.errors:
            raise SignatureRefused(" ".join(dict.fromkeys(self.errors)))


_DATA_SOURCE: Final = re.compile(r"""(<img\b[^<>]*?\bsrc\s*=\s*)(?:"(data:[^"]*)"|'(data:[^']*)')""", re.IGNORECASE)


def _without_data(html: str, images: _Images) -> str:
    """Move images that came inside the HTML out of it, so that what is parsed stays short. Raises SignatureRefused."""

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
    if len(short) > 10 * LONGEST_HTML or short.count("<") > MOST_TAGS:
        raise SignatureRefused("This is too long for a signature. Paste only the signature, not a whole document.")
    return short


def _octets(text: str, *, is_base64: bool) -> bytes | None:
    raw = unquote_to_bytes(text)
    if not is_base64:
        return raw
    try:
        return b64decode(b"".join(raw.split()), validate=True)
    except (NotBase64, ValueError):
        return None
