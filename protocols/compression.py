"""A line that is compressed in both directions (COMPRESS=DEFLATE, RFC 4978).

What arrives is inflated straight into the reader's buffer, never more than fits: a server that packs gigabytes into
a few octets gains nothing, because lines, literals and time are bounded on what comes out.
"""

from __future__ import annotations

import socket
import zlib
from typing import Final

from protocols.errors import ProtocolViolation

TAKEN_AT_ONCE: Final = 64 * 1024  # compressed octets
MOST_EMPTY_READS: Final = 1_000  # in a row; blocks without content are allowed, a line of nothing else is not
_RAW_DEFLATE: Final = -zlib.MAX_WBITS  # RFC 1951 without the zlib header
_SMALL_WINDOW: Final = -10  # what we send are short commands; a window of 32 KB would only cost memory


class DeflatedLine:
    """Reads and writes of `sock`, inflated and deflated. `ahead` is what the server had already sent compressed.

    Raises OSError like a socket, ProtocolViolation for what is no deflate stream.
    """

    def __init__(self, sock: socket.socket, ahead: bytes) -> None:
        self._sock = sock
        self._inflater = zlib.decompressobj(_RAW_DEFLATE)
        self._deflater = zlib.compressobj(level=6, wbits=_SMALL_WINDOW, memLevel=5)
        self._compressed = ahead
        self._may_hold_more = bool(ahead)

    def recv_into(self, buffer: memoryview) -> int:
        """Fill `buffer` with at least one octet; 0 at the end of the connection."""
        for _ in range(MOST_EMPTY_READS):
            if not self._may_hold_more:
                self._compressed = self._sock.recv(TAKEN_AT_ONCE)
                if not self._compressed:
                    return 0
            octets = self._inflated(len(buffer))
            # A full buffer may have more behind it inside the inflater, without any octet left to feed it.
            self._may_hold_more = bool(self._compressed) or len(octets) == len(buffer)
            if octets:
                buffer[: len(octets)] = octets
                return len(octets)
        raise ProtocolViolation("The server compresses nothing but nothing.")

    def sendall(self, data: bytes | memoryview) -> None:
        self._sock.sendall(self._deflater.compress(data) + self._deflater.flush(zlib.Z_SYNC_FLUSH))

    def _inflated(self, at_most: int) -> bytes:
        try:
            octets = self._inflater.decompress(self._compressed, at_most)
        except zlib.error as exc:
            raise ProtocolViolation("The server's compressed line cannot be read.", reply=str(exc)) from exc
        if self._inflater.eof:
            raise ProtocolViolation("The server ended the compressed line in the middle of the conversation.")
        self._compressed = self._inflater.unconsumed_tail
        return octets
