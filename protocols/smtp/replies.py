"""SMTP replies: several lines, one code, an enhanced code where given (RFC 5321, 4.2; RFC 3463)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from time import monotonic
from typing import Final

from protocols.errors import Deferred, MailError, ProtocolViolation, Refused, Unreachable
from protocols.wire import Wire, readable

MOST_LINES: Final = 500
LONGEST_LINE: Final = 64 * 1024  # octets; RFC 5321 allows 512, and nobody needs more words than this

_LINE = re.compile(rb"([2-5]\d\d)([- ]?)(.*)", re.DOTALL)
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s|$)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. lines: the texts behind the code, one for each line."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The whole reply on one line, without the code; an enhanced code repeated on every line appears once."""
        enhanced = self.enhanced
        rest = [line.removeprefix(enhanced).strip() for line in self.lines]
        return " ".join(filter(None, [enhanced, *rest]))

    @property
    def enhanced(self) -> str:
        """The enhanced status code (RFC 3463), such as "5.1.1"; empty when the server gives none."""
        match = _ENHANCED.match(self.lines[0])
        return match[1] if match else ""

    @property
    def positive(self) -> bool:
        return self.code < 400

    @property
    def transient(self) -> bool:
        """4yz: the same attempt may succeed later."""
        return 400 <= self.code < 500

    def __str__(self) -> str:
        return f"{self.code} {self.text}".strip()

    def failure(self, message: str = "The server refused.", kind: type[MailError] = Refused) -> MailError:
        """The error for a negative reply: Deferred for 4yz, else `kind`."""
        if self.transient:
            kind, message = Deferred, "The server asks to come back later."
        return kind(message, reply=str(self), code=self.code, enhanced=self.enhanced)


@dataclass(frozen=True, slots=True)
class RecipientReply:
    """What became of one recipient. accepted: the server has taken responsibility for delivering to this one.

    code:     of the reply that decided, to RCPT or to the whole message; 0 where we refused ourselves.
    enhanced: RFC 3463 code, empty when the server gave none.
    """

    address: str
    code: int
    enhanced: str
    text: str
    accepted: bool

    @classmethod
    def of(cls, address: str, reply: Reply) -> RecipientReply:
        return cls(address, reply.code, reply.enhanced, reply.text, accepted=reply.positive)

    @property
    def deferred(self) -> bool:
        """4yz: to be tried again later."""
        return 400 <= self.code < 500


def read_reply(wire: Wire) -> Reply:
    """Read one reply to its last line, within the timeout of `wire` from its first line on.

    Raises ProtocolViolation on what is none, Unreachable when the line breaks or the reply does not come to its end.
    """
    lines: list[str] = []
    code = 0
    deadline = 0.0
    for _ in range(MOST_LINES):
        line = wire.readline(LONGEST_LINE)
        match = _LINE.fullmatch(line)
        if match is None or (code and int(match[1]) != code):
            raise ProtocolViolation("What answered does not speak SMTP.", reply=readable(line, limit=200))
        code = int(match[1])
        lines.append(readable(match[3]))
        if match[2] != b"-":
            return Reply(code, tuple(lines))
        deadline = deadline or monotonic() + wire.timeout
        if monotonic() > deadline:
            raise Unreachable("The server answers too slowly to go on.", reply="timed out")
    raise ProtocolViolation("The server does not come to an end with its reply.")
