"""What goes over the wire as DATA: nothing that another server could read as the end of a message (RFC 5321, 4.5.2)."""

from __future__ import annotations

import re

_LINE_END = re.compile(rb"\r\n|\r|\n")


def normalised(raw: bytes) -> bytes:
    """Return `raw` with every line ended by CRLF, no bare CR or LF, and the last line ended too."""
    line_ends = raw.count(b"\r\n")
    if raw.count(b"\n") != line_ends or raw.count(b"\r") != line_ends:
        raw = _LINE_END.sub(b"\r\n", raw)
    return raw if raw.endswith(b"\r\n") or not raw else raw + b"\r\n"


def dot_stuffed(octets: bytes) -> bytes:
    """Double the dot at the start of a line; `octets` must be normalised."""
    stuffed = octets.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed
