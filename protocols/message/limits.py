"""How much of one message we are willing to look at. Whatever lies beyond is stored, but not parsed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that keep the time and memory for one message predictable, whoever wrote it.

    header_bytes: octets of one header section that are parsed.
    depth:        nested multiparts; a deeper one is an opaque part.
    parts:        body parts, containers included.
    delimiters:   lines that look like a multipart delimiter (they begin with two hyphens).
    addresses:    addresses in one header field.
    references:   message identifiers in one field; the first and the newest ones are kept.
    text_shown:   octets of decoded text shown to a reader.
    text_indexed: characters of text kept for search.
    """

    header_bytes: int = 256 * 1024
    depth: int = 50
    parts: int = 1_000
    delimiters: int = 200_000
    addresses: int = 5_000
    references: int = 1_000
    text_shown: int = 2 * 1024 * 1024
    text_indexed: int = 256 * 1024


LIMITS = Limits()
