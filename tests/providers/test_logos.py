"""What is taken as a logo, and what is kept of it (spec C2)."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from providers import logos
from tests.providers.conftest import picture

SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def png_that_claims(width: int, height: int) -> bytes:
    """A few octets that say they are a huge image."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.proves("C2")
@pytest.mark.parametrize(
    "raw",
    [
        picture("PNG"),
        picture("JPEG"),
        picture("WEBP"),
        picture("PNG", mode="RGBA"),
        picture("PNG", mode="L"),
        picture("PNG", mode="P"),
        picture("JPEG", mode="CMYK"),
        picture("PNG", (2048, 1)),
        picture("PNG", (1, 1)),
    ],
    ids=lambda raw: f"{len(raw)} octets",
)
def test_whatever_is_taken_becomes_a_square_png_of_128_pixels(raw: bytes):
    with Image.open(BytesIO(logos.encode(raw))) as image:
        assert (image.format, image.size, image.mode) == ("PNG", (128, 128), "RGBA")


def test_only_pixels_are_kept():
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    encoded = logos.encode(picture("JPEG", exif=exif))
    assert b"taken at home" not in encoded
    assert set(_chunks(encoded)) <= {b"IHDR", b"IDAT", b"IEND"}


def _chunks(png: bytes) -> list[bytes]:
    found, place = [], 8
    while place < len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        found.append(png[place + 4 : place + 8])
        place += 12 + length
    return found


@pytest.mark.proves("C2")
@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "empty"),
        (SVG, "without markup"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "without markup"),
        (b"<!DOCTYPE html><html><body>hello</body></html>", "without markup"),
        (b"plain words", "could not be read"),
        (picture("GIF", mode="P"), "could not be read"),
        (picture("BMP"), "could not be read"),
        (picture("TIFF"), "could not be read"),
        (picture("PNG") + b"PK\x03\x04 and an archive", "behind the end"),
        (picture("JPEG") + b"%PDF-1.7", "behind the end"),
        (picture("WEBP") + b"more", "behind the end"),
        (picture("PNG") + b"<script>alert(1)</script>", "without markup"),
        (picture("JPEG", comment=b"<script>alert(1)</script>"), "without markup"),
        (picture("PNG")[:60], "behind the end"),
        (picture("PNG")[:60] + b"\0\0\0\0IEND\xaeB`\x82", "could not be read"),
        (png_that_claims(2049, 10), "2,049 × 10"),
        (png_that_claims(50_000, 50_000), "could not be read|50,000"),
        (b"\0" * (256 * 1024 + 1), "256 KB"),
        (b"\0" * (3 * 1024 * 1024), "3.0 MB"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} octets",
)
def test_what_is_no_logo_is_refused_in_a_sentence(raw: bytes, why: str):
    with pytest.raises(logos.LogoRefused, match=why):
        logos.encode(raw)


@given(
    cut=st.integers(0, 400), flipped=st.binary(min_size=1, max_size=20), kind=st.sampled_from(["PNG", "JPEG", "WEBP"])
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_images_are_read_or_refused_and_never_break(cut: int, flipped: bytes, kind: str):
    raw = picture(kind, (40, 30))
    damaged = raw[:cut] + flipped + raw[cut + len(flipped) :]
    try:
        encoded = logos.encode(damaged)
    except logos.LogoRefused:
        return
    assert encoded.startswith(b"\x89PNG")
