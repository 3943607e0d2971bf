"""Small files made on the spot for attachments: pictures, PDFs and tables. Nothing here comes from elsewhere."""

from __future__ import annotations

import math
import struct
import zlib
from functools import lru_cache
from random import Random

from sandbox.seeds.letter import Attachment

_SKIES = ((250, 204, 60), (120, 190, 230), (150, 205, 150), (235, 160, 140), (200, 180, 230))
_PARTS = (
    *("Chain KC-11", "Chain KC-10", "Hub NH-32 black", "Hub NH-32 silver", "Hub NH-36 black", "Tube 28 x 35"),
    *("Tube 28 x 25", "Brake pad, pair", "Spoke 2.0 x 290", "Spoke 2.0 x 288", "Rim 20 inch, double wall"),
    *("Saddle Croissant", "Front light", "Bell, brass", "Rim 26 inch, purple"),
)


def attachment(filename: str) -> Attachment:
    """Make a file that fits its name: .png, .pdf or .csv."""
    title, _, kind = filename.rpartition(".")
    match kind:
        case "png":
            return Attachment(filename, "image/png", picture(title))
        case "csv":
            return Attachment(filename, "text/csv; charset=utf-8", table(title))
        case "pdf":
            return Attachment(filename, "application/pdf", pdf(title))
    raise ValueError(f"no way to make {filename!r}")


@lru_cache
def picture(title: str, width: int = 160, height: int = 120) -> bytes:
    """A PNG of a wheel on a coloured ground; the title decides colour and number of spokes."""
    seed = zlib.crc32(title.encode())
    sky, spokes = _SKIES[seed % len(_SKIES)], 8 + seed % 9
    rows = bytearray()
    for y in range(height):
        rows.append(0)  # filter: none
        for x in range(width):
            distance = math.hypot(x - width / 2, y - height / 2) / (height / 2)
            turn = math.atan2(y - height / 2, x - width / 2) / math.tau * spokes % 1
            dark = 0.78 < distance < 0.92 or distance < 0.1 or (distance < 0.78 and turn < 0.06 / (distance + 0.15))
            rows += bytes((40, 44, 52)) if dark else bytes(max(0, tone - y // 4) for tone in sky)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def pdf(title: str) -> bytes:
    """A valid one-page PDF with the title and a few lines of figures."""
    lines = [
        title.replace("-", " "),
        "",
        *(line.replace(",", "    ") for line in table(title).decode().split("\r\n")[:9]),
    ]
    shown = "".join(f"({_pdf_text(line)}) Tj T*\n" for line in lines)
    stream = f"BT /F1 12 Tf 16 TL 60 780 Td\n{shown}ET\n".encode("latin-1", "replace")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources 6 0 R >>",
        b"<< /Length %d >>\nstream\n%sendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Font << /F1 5 0 R >> >>",
    ]
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def _pdf_text(line: str) -> str:
    return line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def table(title: str) -> bytes:
    """A CSV of parts, pieces and prices; the same for the same title."""
    random = Random(zlib.crc32(title.encode()))  # noqa: S311  # figures for show
    rows = ["part,pieces,price"]
    rows += [f"{part},{random.randint(4, 400)},{random.randint(90, 8900) / 100:.2f}" for part in _PARTS]
    return "\r\n".join([*rows, ""]).encode()
