"""Transfer encodings undone piece by piece, for parts too large to be decoded in memory (RFC 2045, 6).

The same octets come out as from `bodies.decode_octets`; tests compare the two. Only uuencoded parts whose begin line
comes after a megabyte, or with lines that long, come out longer.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator

from protocols.message.bodies import UU_NAMES, decode_octets, uu_lines
from protocols.message.headers import BASE64_AND_SPACE, MOST_JUNK, NOT_BASE64, PADDING
from protocols.message.octets import WINDOW, Octets, pieces
from protocols.message.structure import Part

_NOT_BASE64_NOR_PADDING = NOT_BASE64.replace(PADDING, b"")
_RUN_OF_PADDING = re.compile(rb"=+")
_QUAD = 4  # letters of base64 that make three octets


def decoded_pieces(raw: Octets, part: Part) -> Iterator[bytes]:
    """Yield the decoded octets of a part in pieces of about a megabyte. Never raises."""
    start, end = part.body_start, part.body_end
    if end - start <= WINDOW:
        return iter((decode_octets(raw[start:end], part.encoding),))
    if part.encoding == "base64" and not _is_mislabelled(raw, start, end):
        return _from_base64(pieces(raw, start, end))
    if part.encoding == "quoted-printable":
        return map(binascii.a2b_qp, _whole_lines(pieces(raw, start, end)))
    if part.encoding in UU_NAMES:
        return _from_uu(_whole_lines(pieces(raw, start, end)))
    return pieces(raw, start, end)


def _is_mislabelled(raw: Octets, start: int, end: int) -> bool:
    junk = sum(len(piece.translate(None, BASE64_AND_SPACE)) for piece in pieces(raw, start, end))
    return junk * MOST_JUNK > end - start


def _from_base64(encoded: Iterable[bytes]) -> Iterator[bytes]:
    """Decode up to where padding ends it; padding in other places is passed over."""
    held = b""
    for piece in encoded:
        held += piece.translate(None, _NOT_BASE64_NOR_PADDING)
        if PADDING in held:
            held, is_over = _up_to_padding(held)
            if is_over:
                yield _last_of(held)
                return
        if PADDING not in held:  # else the padding goes on in the next piece
            whole = len(held) // _QUAD * _QUAD
            yield binascii.a2b_base64(held[:whole])
            held = held[whole:]
    yield _last_of(held.replace(PADDING, b""))


def _up_to_padding(held: bytes) -> tuple[bytes, bool]:
    """Return the letters before padding that fills a group of four, and whether there is one.

    Padding elsewhere is dropped, but for some at the end, of which more may come.
    """
    done, position = bytearray(), 0
    while (at := held.find(PADDING, position)) >= 0:
        done += held[position:at]
        run = _RUN_OF_PADDING.match(held, at)
        assert run is not None
        position = run.end()
        filled = len(done) % _QUAD
        if filled > 1 and filled + position - at >= _QUAD:
            return bytes(done), True
        if position == len(held) and filled > 1:
            return bytes(done) + held[at:], False
    return bytes(done) + held[position:], False


def _last_of(letters: bytes) -> bytes:
    if len(letters) % _QUAD == 1:
        letters = letters[:-1]
    return binascii.a2b_base64(letters + PADDING * (-len(letters) % _QUAD))


def _whole_lines(encoded: Iterable[bytes]) -> Iterator[bytes]:
    """Cut at ends of lines; a line of more than a megabyte is cut anywhere but within "=3D"."""
    held = b""
    for piece in encoded:
        held += piece
        cut = held.rfind(b"\n") + 1
        if not cut and len(held) > WINDOW:
            cut = held.find(b"=", len(held) - 3)
            cut = len(held) if cut < 0 else len(held[:cut].rstrip(b"="))
        if cut:
            yield held[:cut]
            held = held[cut:]
    yield held


def _from_uu(encoded: Iterable[bytes]) -> Iterator[bytes]:
    """Decode what stands between the first begin line and its end; without a begin line all of it."""
    is_first = True
    for piece in encoded:
        octets, is_over = uu_lines(piece, begins=is_first)
        yield octets
        if is_over:
            return
        is_first = False
