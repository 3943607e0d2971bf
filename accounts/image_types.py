"""What an image is, by its octets alone: type and size in pixels, without decoding it (threats T9, T12)."""

from __future__ import annotations

from collections.abc import Callable
from struct import unpack
from typing import Final

MOST_PIXELS: Final = 8_000  # on a side; more is no signature but a trap for whoever decodes it

_JPEG_FRAMES = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)))
_JPEG_BARE = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a length


_SIGNATURES: Final = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


class NotAnImage(ValueError):
    """The octets are none of the images that every mail program shows."""


def kind_of(octets: bytes) -> str:
    """Return the content type: PNG, JPEG, GIF or WebP. Raises NotAnImage for anything else, or a size beyond reason."""
    content_type = type_by_signature(octets)
    try:
        size = _MEASURES[content_type](octets) if content_type else None
    except (IndexError, ValueError, ArithmeticError, _Short):
        size = None
    if content_type is None or size is None:
        raise NotAnImage("It is not a PNG, JPEG, GIF or WebP image.")
    if not all(1 <= side <= MOST_PIXELS for side in size):
        raise NotAnImage(f"It is {size[0]} by {size[1]} pixels; up to {MOST_PIXELS} on a side are possible.")
    return content_type


def type_by_signature(octets: bytes) -> str | None:
    """The content type that the first octets tell, whatever follows them; None: no PNG, JPEG, GIF or WebP."""
    if octets[:4] == b"RIFF" and octets[8:12] == b"WEBP":
        return "image/webp"
    return next((name for start, name in _SIGNATURES.items() if octets.startswith(start)), None)


class _Short(Exception):
    """The octets end too early."""


def _slice(octets: bytes, start: int, length: int) -> bytes:
    piece = octets[start : start + length]
    if len(piece) < length:
        raise _Short
    return piece


def _png(octets: bytes) -> tuple[int, int] | None:
    if octets[12:16] != b"IHDR":
        return None
    width, height = unpack(">II", _slice(octets, 16, 8))
    return width, height


def _gif(octets: bytes) -> tuple[int, int]:
    width, height = unpack("<HH", _slice(octets, 6, 4))
    return width, height


def _jpeg(octets: bytes) -> tuple[int, int] | None:
    """Walk the segments up to the frame header (ITU T.81, B.1.1.3)."""
    at = 2
    while True:
        mark, code = _slice(octets, at, 2)
        if mark != 0xFF:
            return None
        if code == 0xFF:
            at += 1
        elif code in _JPEG_BARE:
            at += 2
        elif code in _JPEG_FRAMES:
            height, width = unpack(">HH", _slice(octets, at + 5, 4))
            return width, height
        else:
            (length,) = unpack(">H", _slice(octets, at + 2, 2))
            if length < 2:
                return None
            at += 2 + length


def _webp(octets: bytes) -> tuple[int, int] | None:
    """RFC 9649, 2.5 to 2.7."""
    chunk = octets[12:16]
    if chunk == b"VP8X":
        data = _slice(octets, 24, 6)
        return int.from_bytes(data[:3], "little") + 1, int.from_bytes(data[3:], "little") + 1
    if chunk == b"VP8L":
        bits = int.from_bytes(_slice(octets, 21, 4), "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        width, height = unpack("<HH", _slice(octets, 26, 4))
        return width & 0x3FFF, height & 0x3FFF
    return None


_MEASURES: Final[dict[str, Callable[[bytes], tuple[int, int] | None]]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/gif": _gif,
    "image/webp": _webp,
}
