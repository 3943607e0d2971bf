"""The signature of a mailbox: cleaned when it is saved, with every image it shows kept beside it (spec E9).

Stored HTML names its images `cid:` and their SHA-256. Pages show them through a guarded address, mail carries them as
parts of its own (RFC 2392), so that no reader has to fetch anything.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from django.db import transaction

from accounts import rich_text
from accounts.models import Mailbox, Signature, SignatureImage
from accounts.rich_text import CID, CleanHtml, Image, Limits, RichTextRefused
from protocols.message.alternative import readable_text
from protocols.message.build import Attachment
from protocols.message.domains import ascii_domain

LARGEST_IMAGE: Final = 2 * 1024 * 1024  # octets
LARGEST_TOTAL: Final = 4 * 1024 * 1024  # octets of all images: each mail carries them
MOST_IMAGES: Final = 30
LIMITS: Final = Limits(
    "a signature", image=LARGEST_IMAGE, total=LARGEST_TOTAL, images=MOST_IMAGES, html=60_000, tags=6_000
)


@dataclass(frozen=True, slots=True)
class SignatureParts:
    """What a mail takes of a signature. images: each with the Content-ID that `html` names."""

    html: str
    text: str
    images: tuple[Attachment, ...] = ()


def clean(html: str, known: Iterable[str] = ()) -> CleanHtml:
    """As `rich_text.clean`, with what a signature may hold. Raises RichTextRefused."""
    return rich_text.clean(html, LIMITS, known)


def save(mailbox: Mailbox, html: str, *, is_on: bool) -> Signature:
    """Clean and store; images that the new signature does not show are let go. Raises RichTextRefused."""
    with transaction.atomic():
        Mailbox.objects.select_for_update().get(pk=mailbox.pk)  # two savings of one signature, one after the other
        sizes = dict(mailbox.signature_images.values_list("sha256", "size"))
        cleaned = clean(html, sizes)
        total = sum(sizes[name] for name in cleaned.kept) + sum(len(image.content) for image in cleaned.new)
        if total > LARGEST_TOTAL:
            raise RichTextRefused(
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
    return CID.sub(lambda match: address_of(match[1]), html)


def for_preview(mailbox: Mailbox) -> str:
    """Stored HTML with its images inside, for a frame that fetches nothing; empty where there is no signature."""
    signature = Signature.objects.filter(mailbox=mailbox).first()
    if signature is None:
        return ""
    images = {image.sha256: image for image in mailbox.signature_images.all()}

    def inside(match: re.Match[str]) -> str:
        image = images.get(match[1])
        return f"data:{image.content_type};base64,{b64encode(image.content).decode()}" if image else ""

    return CID.sub(inside, signature.html)


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
    shown = [name for name in dict.fromkeys(CID.findall(signature.html)) if name in images]

    def cid(name: str) -> str:
        return f"{name[:40]}@{domain}"

    return SignatureParts(
        html=CID.sub(lambda match: f"cid:{cid(match[1])}", signature.html),
        text=readable_text(signature.html),
        images=tuple(
            Image(name, images[name].content_type, bytes(images[name].content)).inline(number, cid(name))
            for number, name in enumerate(shown, start=1)
        ),
    )
