"""Waiting for news of an INBOX by IDLE (RFC 2177), without input or output: octets in, octets and news out.

A server may lose a notice, and a router between us may forget the line. So IDLE is ended and asked again from time to
time, and a NOOP in between makes the server tell what it has not told (RFC 9051, 5.2 and 6.1.2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, Flag, auto
from typing import Final

from protocols.errors import ProtocolViolation, Unreachable
from protocols.wire import readable

LONGEST_LINE: Final = 64 * 1024  # octets; no answer that belongs here is longer

_NEWS = re.compile(rb"\* (?:(\d{1,10}) )?(EXISTS|EXPUNGE|FETCH|VANISHED)\b", re.IGNORECASE | re.ASCII)
_LITERAL = re.compile(rb"\{(\d{1,10})\+?\}$", re.ASCII)
_BYE = re.compile(rb"\* BYE ?", re.IGNORECASE)


class Phase(Enum):
    """What the server owes us."""

    ASKED = auto()  # the go-ahead of IDLE
    WAITING = auto()  # nothing: it speaks when it has news
    ENDING = auto()  # the end of IDLE
    POLLING = auto()  # the answer to NOOP


class News(Flag):
    """What happened in the folder."""

    NOTHING = 0
    ARRIVAL = auto()  # it holds more messages than before
    CHANGE = auto()  # messages left, or their flags changed


@dataclass(slots=True)
class Idling:
    """The conversation on one line whose folder is open.

    exists: messages in the folder, as last told.
    """

    exists: int
    phase: Phase = Phase.ASKED
    _number: int = 0
    _unread: bytes = b""
    _to_skip: int = 0  # octets of a literal that nobody wants

    @property
    def is_owed(self) -> bool:
        """Whether the server has to answer; while it merely waits it may be silent."""
        return self.phase is not Phase.WAITING

    def begin(self) -> bytes:
        """Return the octets that ask for IDLE."""
        self.phase = Phase.ASKED
        return self._command(b"IDLE")

    def renew(self) -> bytes:
        """Return the octets that end IDLE; what follows, up to the next one, comes out of `receive`."""
        self.phase = Phase.ENDING
        return b"DONE\r\n"

    def leave(self) -> bytes:
        """Return the octets that say goodbye. Nothing is read any more."""
        return (b"DONE\r\n" if self.phase in (Phase.ASKED, Phase.WAITING) else b"") + self._command(b"LOGOUT")

    def receive(self, octets: bytes) -> tuple[News, bytes]:
        """Take what the server sent; return the news in it and what to answer.

        Raises Unreachable with the server's words (BYE, or it refuses to go on), ProtocolViolation for what is no IMAP.
        """
        news, answer = News.NOTHING, b""
        octets = self._unread + octets
        self._unread = b""
        position = 0
        while position < len(octets):
            if self._to_skip:
                skipped = min(self._to_skip, len(octets) - position)
                self._to_skip -= skipped
                position += skipped
                continue
            end = octets.find(b"\n", position)
            if end < 0:
                self._keep(octets[position:])
                break
            line = octets[position:end].rstrip(b"\r")
            position = end + 1
            if line[:1] == b"*":
                news |= self._hear(line)
            elif not self._continues_literal(line):
                answer += self._answered(line)
        return news, answer

    def _keep(self, unread: bytes) -> None:
        if len(unread) > LONGEST_LINE:
            raise ProtocolViolation(f"The server sent a line of more than {LONGEST_LINE} octets.")
        self._unread = unread

    def _hear(self, line: bytes) -> News:
        if _BYE.match(line):
            raise Unreachable("The server ended the connection.", reply=readable(line[6:], limit=200))
        match = _NEWS.match(line)
        if match is None:
            return News.NOTHING  # "* OK Still here", RECENT, and what else servers say
        if literal := _LITERAL.search(line):
            self._to_skip = int(literal[1])
        if match[2].upper() != b"EXISTS":
            if match[2].upper() == b"EXPUNGE":
                self.exists = max(0, self.exists - 1)
            return News.CHANGE
        before, self.exists = self.exists, int(match[1] or 0)
        return News.ARRIVAL if self.exists > before else News.NOTHING if self.exists == before else News.CHANGE

    def _continues_literal(self, line: bytes) -> bool:
        """Whether `line` is the rest of a response behind a literal; it may announce a further one."""
        if line[:1] == b"+" or line.startswith(b"W%d " % self._number):
            return False
        if not line.endswith(b")") and not _LITERAL.search(line):
            raise ProtocolViolation("The server's answer fits no question.", reply=readable(line, limit=200))
        if literal := _LITERAL.search(line):
            self._to_skip = int(literal[1])
        return True

    def _answered(self, line: bytes) -> bytes:
        """Take the go-ahead or the end of a command; return the next command."""
        if line[:1] == b"+":
            if self.phase is Phase.ASKED:
                self.phase = Phase.WAITING
            return b""
        status = line.partition(b" ")[2]
        if self.phase in (Phase.ASKED, Phase.WAITING) or not status.upper().startswith(b"OK"):
            raise Unreachable("The server waits no longer for news.", reply=readable(status, limit=200))
        if self.phase is Phase.ENDING:
            self.phase = Phase.POLLING
            return self._command(b"NOOP")
        return self.begin()

    def _command(self, name: bytes) -> bytes:
        self._number += 1
        return b"W%d %s\r\n" % (self._number, name)
