"""Small images of the kinds that mail programs show, made without a library."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode


def png(width: int = 2, height: int = 2, colour: bytes = b"\x2a\x4b\xc7") -> bytes:
    """A PNG of one colour (RFC 2083)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + colour * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


#: One pixel each, as far as is needed to tell what they are.
GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
JPEG = (
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    b"\xff\xc0\x00\x0b\x08\x00\x05\x00\x09\x01\x01\x11\x00\xff\xd9"
)
WEBP = b"RIFF\x1e\x00\x00\x00WEBPVP8L\x11\x00\x00\x00/\x03\x80\x00\x00\x07P\xd0\xfe\xf3\x8f"


def data_address(octets: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{b64encode(octets).decode()}"
