"""SMTP replies: several lines, one code, an enhanced code where given (RFC 5321, 4.2; RFC 3463)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from protocols.errors import Deferred, ProtocolViolation, Refused
from protocols.wire import Wire, readable

MOST_LINES = 500

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

    def failure(self, message: str = "The server refused.") -> Refused | Deferred:
        """The error for a negative reply."""
        if self.transient:
            return Deferred("The server asks to come back later.", reply=str(self), code=self.code)
        return Refused(message, reply=str(self), code=self.code)


def read_reply(wire: Wire) -> Reply:
    """Read one reply to its last line. Raises ProtocolViolation on what is none, Unreachable when the line breaks."""
    lines: list[str] = []
    code = 0
    for _ in range(MOST_LINES):
        line = wire.readline()
        match = _LINE.fullmatch(line)
        if match is None or (code and int(match[1]) != code):
            raise ProtocolViolation("What answered does not speak SMTP.", reply=readable(line, limit=200))
        code = int(match[1])
        lines.append(readable(match[3]))
        if match[2] != b"-":
            return Reply(code, tuple(lines))
    raise ProtocolViolation("The server does not come to an end with its reply.")
