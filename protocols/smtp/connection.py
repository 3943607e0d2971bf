"""Commands out, replies in: the part of SMTP that every step shares (RFC 5321, 4)."""

from __future__ import annotations

import re

from protocols.errors import Unreachable, UnsafeArgument
from protocols.smtp.replies import Reply, read_reply
from protocols.transcript import Transcript
from protocols.wire import Wire

_UNSAFE = re.compile(r"[\r\n\0]")


class Connection:
    """A line to an SMTP server. Capabilities are what the last EHLO said, keyword to parameters, upper-cased.

    server:         "host:port", as it was dialled.
    broken:         the line is gone, out of step, or the server said 421; only closing is left.
    in_transaction: a sender stands that was taken; RSET or the end of a message clears it.
    """

    def __init__(self, wire: Wire, transcript: Transcript | None = None, *, server: str = "") -> None:
        self.wire = wire
        self.server = server
        self.capabilities: dict[str, str] = {}
        self.broken = False
        self.in_transaction = False
        self._transcript = transcript

    def reply(self) -> Reply:
        """Read the next reply; the connection is `broken` after a 421 and when none can be read."""
        self._expect_usable()
        self.broken = True
        reply = read_reply(self.wire)
        self.broken = reply.code == 421  # the server closes (RFC 5321, 3.8)
        if self._transcript is not None:
            for line in reply.lines:
                self._transcript.received(f"{reply.code} {line}".encode())
        return reply

    def say(self, *commands: str, shown: str | None = None) -> None:
        """Send commands in one go (more than one only with PIPELINING, RFC 2920).

        Raises UnsafeArgument when one contains a line break or NUL: nothing of it is sent then.
        """
        self._expect_usable()
        if any(_UNSAFE.search(command) for command in commands):
            raise UnsafeArgument("A line break or a NUL character cannot be part of an address, name or password.")
        if self._transcript is not None:
            for command in (shown,) if shown is not None else commands:
                self._transcript.sent(command.encode())
        self.send("".join(f"{command}\r\n" for command in commands).encode())

    def ask(self, command: str, *, shown: str | None = None) -> Reply:
        self.say(command, shown=shown)
        return self.reply()

    def send(self, data: bytes | memoryview) -> None:
        try:
            self.wire.send(data)
        except Unreachable:
            self.broken = True
            raise

    def close(self) -> None:
        self.broken = True
        self.wire.close()

    def _expect_usable(self) -> None:
        if self.broken:
            raise Unreachable("The connection to the server is no longer usable.", reply=self.wire.last_words)
