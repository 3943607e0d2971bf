"""What goes over the wire as a message: nothing that another server could read as its end (RFC 5321, 2.3.8 and 4.5.2).

Everything works on blocks, so a message of any size takes the memory of one block.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

BLOCK: Final = 64 * 1024  # octets

#: A message as it is handed in: in one piece, or in blocks that can be walked again and again.
Raw = bytes | bytearray | memoryview | Iterable[bytes]

_LINE_END = re.compile(rb"\r\n|\r|\n")
_HEADER_END: Final = b"\r\n\r\n"


class Content:
    """A message, measured once before it is offered, and then sent.

    size:            octets with all line ends as CRLF, before dots are doubled: what SIZE means (RFC 1870, 4).
    ascii:           no octet above 127.
    ascii_header:    none of the header.

    Raises TypeError for an iterator, which could be walked only once.
    """

    def __init__(self, raw: Raw) -> None:
        if isinstance(raw, Iterator):
            raise TypeError("A message is measured before it is sent; an iterator could only be walked once.")
        self._raw = raw
        self._kept: list[bytes] | None = None
        self._measure()

    def blocks(self) -> Iterator[bytes]:
        """Yield the octets in order; no block is empty, none ends between CR and LF."""
        return iter(self._kept) if self._kept is not None else normalised(_blocks(self._raw))

    def _measure(self) -> None:
        self.size, self.ascii, self.ascii_header = 0, True, True
        in_header, before = True, b""
        kept: list[bytes] = []
        for block in normalised(_blocks(self._raw)):
            self.size += len(block)
            if not block.isascii():
                self.ascii = False
            if in_header:
                seen = before + block
                end = seen.find(_HEADER_END)
                self.ascii_header &= (seen if end < 0 else seen[:end]).isascii()
                in_header, before = end < 0, seen[-3:]
            if self.size <= BLOCK:
                kept.append(block)
        if self.size <= BLOCK:
            self._kept = kept  # most messages are this small: they are not worked through again


def normalised(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the octets with every line ended by CRLF, no bare CR or LF, and the last line ended too."""
    held = last = b""  # a CR at the end of a block: its LF may begin the next one
    for block in blocks:
        octets = held + block if held else block
        held = b"\r" if octets.endswith(b"\r") else b""
        if held:
            octets = octets[:-1]
        pairs = octets.count(b"\r\n")
        if octets.count(b"\n") != pairs or octets.count(b"\r") != pairs:
            octets = _LINE_END.sub(b"\r\n", octets)
        if octets:
            last = octets
            yield octets
    if held or (last and not last.endswith(b"\r\n")):
        yield b"\r\n"


def dot_stuffed(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Double the dot at the start of each line; the blocks must be normalised."""
    at_line_start = True
    for octets in blocks:
        stuffed = octets.replace(b"\r\n.", b"\r\n..")
        yield b"." + stuffed if at_line_start and octets.startswith(b".") else stuffed
        at_line_start = octets.endswith(b"\r\n")


def _blocks(raw: Raw) -> Iterator[bytes]:
    """Cut what came in one piece, or in large ones, into blocks."""
    if isinstance(raw, bytes) and len(raw) <= BLOCK:
        yield raw
        return
    for piece in (raw,) if isinstance(raw, bytes | bytearray | memoryview) else raw:
        view = memoryview(piece)
        for start in range(0, len(view), BLOCK):
            yield bytes(view[start : start + BLOCK])
