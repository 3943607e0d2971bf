"""Logos: what was uploaded is decoded and encoded anew, so that only its pixels are kept (spec C2)."""

from __future__ import annotations

import hashlib
from io import BytesIO
from typing import Final

from django.db import transaction
from PIL import Image, ImageOps

from providers.models import Provider, ProviderLogo

LARGEST_FILE: Final = 256 * 1024  # octets
LONGEST_SIDE: Final = 2048  # pixels of what is uploaded; a small file may claim to be a huge image
SIDE: Final = 128  # pixels of what is kept
FORMATS: Final = ("PNG", "JPEG", "WEBP")
CONTENT_TYPE: Final = "image/png"

_MARKUP = (b"<script", b"<html", b"<!doctype", b"<svg ", b"<?php")


class LogoRefused(ValueError):
    """This file is not taken as a logo; the message tells the person why, and what to send instead."""


def encode(raw: bytes) -> bytes:
    """Return a square PNG of 128 pixels with the picture in its middle. Raises LogoRefused.

    The content decides, never the name: PNG, JPEG or WebP of at most 256 KiB and 2048 pixels a side, with nothing
    behind its end and no markup within, so that no other program takes the same file for a page.
    """
    if not raw:
        raise LogoRefused("The file of the logo is empty. Choose another one.")
    if len(raw) > LARGEST_FILE:
        raise LogoRefused(f"The logo has {_shown_size(len(raw))}; at most 256 KB are taken. Save it smaller.")
    lowered = raw.lower()
    if any(mark in lowered for mark in _MARKUP) or raw.lstrip()[:5].lower() == b"<?xml":
        raise LogoRefused("The logo has to be an image of pixels: a PNG, JPEG or WebP file without markup in it.")
    try:
        with Image.open(BytesIO(raw), formats=FORMATS) as image:
            _refuse_what_claims_too_much(image, raw)
            return _square(image)
    except LogoRefused:
        raise
    except Exception as exc:  # a decoder that is fed a stranger's octets raises whatever it likes
        raise LogoRefused("The logo could not be read. Choose a PNG, JPEG or WebP file.") from exc


def keep(provider: Provider, image: bytes) -> None:
    """Store `image`, made by `encode`, as the logo of an own entry."""
    with transaction.atomic():
        ProviderLogo.objects.update_or_create(provider=provider, defaults={"image": image})
        provider.logo_digest = hashlib.sha256(image).hexdigest()
        provider.save(update_fields=["logo_digest"])


def remove(provider: Provider) -> None:
    with transaction.atomic():
        ProviderLogo.objects.filter(provider=provider).delete()
        provider.logo_digest = ""
        provider.save(update_fields=["logo_digest"])


def _refuse_what_claims_too_much(image: Image.Image, raw: bytes) -> None:
    """Before a pixel is decoded. Raises LogoRefused."""
    width, height = image.size
    if max(width, height) > LONGEST_SIDE:
        raise LogoRefused(f"The logo has {width:,} × {height:,} pixels; at most 2,048 × 2,048 are taken.")
    if not _ends_with_the_image(raw, str(image.format)):
        raise LogoRefused("There is something behind the end of the logo's image. Save it anew and try again.")


def _square(image: Image.Image) -> bytes:
    upright = ImageOps.exif_transpose(image).convert("RGBA")
    scale = SIDE / max(upright.size)
    width, height = (max(1, round(length * scale)) for length in upright.size)
    square = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0))
    fitting = upright.resize((width, height), Image.Resampling.LANCZOS)
    square.paste(fitting, ((SIDE - width) // 2, (SIDE - height) // 2))
    out = BytesIO()
    square.save(out, "PNG", optimize=True)
    return out.getvalue()


def _ends_with_the_image(raw: bytes, kind: str) -> bool:
    if kind == "PNG":
        return raw.endswith(b"\0\0\0\0IEND\xaeB`\x82")
    if kind == "WEBP":
        return len(raw) - 8 - int.from_bytes(raw[4:8], "little") in (0, 1)  # chunks are padded to even lengths
    return raw.rstrip(b"\0").endswith(b"\xff\xd9")


def _shown_size(octets: int) -> str:
    return f"{octets / 1024:,.0f} KB" if octets < 1024 * 1024 else f"{octets / 1024 / 1024:,.1f} MB"
