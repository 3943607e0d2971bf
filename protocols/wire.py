"""One socket, read through one buffer: lines and counted octets, bounded in size and in time.

Both protocols and the bulk reader of IMAP share this buffer, so nothing read ahead is ever lost between them, and
what an attacker slips in before TLS starts is seen.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable
from io import BytesIO
from time import monotonic
from typing import Final

from protocols.compression import DeflatedLine
from protocols.errors import ProtocolViolation, Unreachable

SMALL_BUFFER: Final = 8 * 1024  # octets; what an idle connection keeps
LARGE_BUFFER: Final = 1024 * 1024  # octets; while messages stream
LONGEST_LINE: Final = 16 * 1024 * 1024  # octets; a SEARCH answer over 1,000,000 messages fits
SLOWEST_RATE: Final = 4 * 1024  # octets per second below which a counted read is given up


class Wire:
    """Buffered reading and plain writing. Raises Unreachable when the line breaks or stalls.

    timeout: seconds without any octet, and for a whole line; a counted read gets more time by its size.
    """

    def __init__(self, sock: socket.socket, *, timeout: float) -> None:
        self._sock = sock
        self._line: socket.socket | DeflatedLine = sock  # what octets pass through
        self._allocate(SMALL_BUFFER)
        self._start = self._end = 0
        self.timeout = timeout
        self.last_words = ""  # what the peer said before it hung up, for the error
        sock.settimeout(timeout)

    @property
    def sock(self) -> socket.socket:
        return self._sock

    @property
    def pending(self) -> int:
        """Octets that arrived and were not read yet."""
        return self._end - self._start

    def be_patient(self, timeout: float) -> None:
        self.timeout = timeout
        self._sock.settimeout(timeout)

    def expect_much(self) -> None:
        """Enlarge the buffer for bulk reading; it shrinks again with `rest`."""
        if len(self._buffer) < LARGE_BUFFER:
            self._move_to(LARGE_BUFFER)

    def rest(self) -> None:
        """Give the large buffer back."""
        if len(self._buffer) > SMALL_BUFFER and self.pending <= SMALL_BUFFER:
            self._move_to(SMALL_BUFFER)

    def refuse_read_ahead(self) -> None:
        """Before TLS: octets that came in the clear behind the go-ahead were slipped in by somebody."""
        if self.pending:
            raise ProtocolViolation("The server sent data in the clear after TLS was agreed; the line may be tampered.")

    def protect(self, protected: ssl.SSLSocket) -> None:
        """Go on over TLS, on the same line."""
        self._sock = self._line = protected
        self.be_patient(self.timeout)

    def compress(self) -> None:
        """Go on compressed, on the same line; what was read ahead is compressed already."""
        self._line = DeflatedLine(self._sock, bytes(self._view[self._start : self._end]))
        self._start = self._end = 0

    def send(self, data: bytes | memoryview) -> None:
        try:
            self._line.sendall(data)
        except OSError as exc:
            raise self._broken(exc) from exc

    def readline(self, longest: int = LONGEST_LINE) -> bytes:
        """Return the next line without its line end. Raises ProtocolViolation past `longest` octets."""
        scanned = self._start
        deadline = 0.0
        while True:
            found = self._buffer.find(b"\n", scanned, self._end)
            if found >= 0:
                stop = found - 1 if found > self._start and self._buffer[found - 1] == 13 else found
                line = bytes(self._view[self._start : stop])
                self._start = found + 1
                return line
            if self.pending > longest:
                raise ProtocolViolation(f"The server sent a line of more than {longest} octets.")
            deadline = deadline or monotonic() + self.timeout
            unread = self.pending
            self._fill(deadline)
            scanned = self._start + unread

    def read(self, size: int) -> bytes:
        """Return exactly `size` octets, held once: those not yet buffered go straight into the result."""
        if size <= self.pending:
            octets = bytes(self._view[self._start : self._start + size])
            self._start += size
            return octets
        deadline = monotonic() + self.timeout + size / SLOWEST_RATE
        if size <= len(self._buffer) // 2:  # a small message at the end of the buffer is completed there
            while self.pending < size:
                self._fill(deadline)
            return self.read(size)
        gathered = BytesIO()
        missing = size
        while missing:
            if not self.pending:
                self._fill(deadline)
            taken = min(missing, self.pending)
            gathered.write(self._view[self._start : self._start + taken])
            self._start += taken
            missing -= taken
        return gathered.getvalue()

    def pour(self, size: int, into: Callable[[memoryview], object]) -> None:
        """Hand exactly `size` octets to `into` in pieces as they come; a piece is of no use after the call."""
        deadline = monotonic() + self.timeout + size / SLOWEST_RATE
        while size:
            if not self.pending:
                self._fill(deadline)
            taken = min(size, self.pending)
            into(self._view[self._start : self._start + taken])
            self._start += taken
            size -= taken

    def take(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """Take what `pattern` matches where reading goes on; None, and nothing is taken, where it does not match.

        Looks at what arrived already and waits for nothing.
        """
        found = pattern.match(self._buffer, self._start, self._end)
        if found is not None:
            self._start = found.end()
        return found

    def take_over(self) -> tuple[socket.socket, bytes]:
        """Give the line away, with what arrived on it and was not read yet. This object is of no use any more."""
        unread = bytes(self._view[self._start : self._end])
        self._start = self._end = 0
        return self._sock, unread

    def close(self) -> None:
        self._sock.close()

    def _fill(self, deadline: float) -> None:
        """Wait for at least one more octet."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self.pending == len(self._buffer):
            self._move_to(len(self._buffer) * 2)
        elif len(self._buffer) - self._end < len(self._buffer) // 4:
            self._move_to(len(self._buffer))
        try:
            count = self._line.recv_into(self._view[self._end :])
        except OSError as exc:
            raise self._broken(exc) from exc
        if not count:
            raise Unreachable("The server closed the connection.", reply=self.last_words or "connection closed")
        if monotonic() > deadline:
            raise Unreachable("The server answers too slowly to go on.", reply="timed out")
        self._end += count

    def _allocate(self, size: int) -> None:
        self._buffer = bytearray(size)
        self._view = memoryview(self._buffer)

    def _move_to(self, size: int) -> None:
        unread = bytes(self._view[self._start : self._end])
        if size != len(self._buffer):
            self._allocate(size)
        self._view[: len(unread)] = unread
        self._start, self._end = 0, len(unread)

    def _broken(self, exc: OSError) -> Unreachable:
        if isinstance(exc, TimeoutError):
            return Unreachable(f"The server said nothing for {self.timeout:g} seconds.", reply="timed out")
        reply = self.last_words or exc.strerror or str(exc)
        return Unreachable("The connection to the server broke.", reply=reply)


def readable(octets: bytes, *, limit: int = 2000) -> str:
    """A server's words for people: UTF-8 where it is, no control characters that a terminal or page would obey."""
    text = octets[: limit * 4].decode("utf-8", "replace")
    if text.isprintable():
        return text[:limit].strip()
    return "".join(character if character.isprintable() else " " for character in text)[:limit].strip()
