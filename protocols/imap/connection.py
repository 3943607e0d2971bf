"""Commands out, responses in: the part of IMAP that every command shares (RFC 9051, 2.2 and 7).

The standard library's client is not used: it lets line breaks in arguments through, gives up at lines over one
million octets, and reports a refusal as a string in a string.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Generator, Iterable
from dataclasses import dataclass
from time import monotonic

from protocols.errors import Deferred, ProtocolViolation, Unreachable, UnsafeArgument
from protocols.imap.responses import Untagged, refusal, response_code, untagged
from protocols.transcript import Transcript
from protocols.wire import Wire, readable

LARGEST_LITERAL = 256 * 1024 * 1024  # octets
LARGE_LITERAL = 25 * 1024 * 1024  # octets; above, a literal is poured where somebody takes it in pieces
LINES_PER_COMMAND = 64 * 1024 * 1024  # octets of lines (literals not counted) that one command may answer
LONGEST_COMMAND = 600.0  # seconds, for commands that do not stream
LONGEST_QUOTED = 1000  # octets; longer strings go as literals

_LITERAL_MARK = re.compile(rb"~?\{(\d{1,20})\+?\}$", re.ASCII)
_STATUS = re.compile(rb"\* (?:OK|NO|BAD|BYE|PREAUTH)\b", re.IGNORECASE)
_MESSAGE = re.compile(rb"\* (\d{1,10}) FETCH (\([^\r\n{}]{1,1000})\{(\d{1,8})\}\r\n", re.ASCII)
_UNSAFE = re.compile(rb"[\r\n\0]")


@dataclass(frozen=True, slots=True)
class Literal:
    """A string sent as counted octets (RFC 9051, 4.3)."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Pieces:
    """A literal of `size` octets that are read while they are sent, so that they are never in memory together."""

    size: int
    octets: Iterable[bytes]


Argument = bytes | Literal | Pieces
Sink = Callable[[memoryview], object]


class Poured(bytes):
    """Stands for a literal whose octets went elsewhere while they came. Itself it is empty."""


def astring(value: str | bytes) -> Argument:
    """Encode a value somebody typed or a server sent, so that it can be nothing but one string.

    Raises UnsafeArgument for CR, LF and NUL.
    """
    octets = value.encode() if isinstance(value, str) else value
    if _UNSAFE.search(octets):
        raise UnsafeArgument("A line break or a NUL character cannot be part of a name, user name, password or search.")
    if not octets.isascii() or len(octets) > LONGEST_QUOTED:
        return Literal(octets)
    return b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


class Connection:
    """A line to an IMAP server on which commands follow each other.

    broken: a command was left in the middle; nothing more can be said, only the socket closed.
    """

    def __init__(self, wire: Wire, transcript: Transcript | None = None) -> None:
        self.wire = wire
        self.capabilities: frozenset[str] = frozenset()
        self.broken = False
        self.status = ""  # OK, NO or BAD of the last command
        self.answer = ""  # and the words behind it
        self.alerts: list[str] = []
        self.pour: Callable[[bytes], Sink] | None = None  # told what stands before a large literal; takes its octets
        self._transcript = transcript
        self._sent_commands = 0

    def greeting(self) -> Untagged:
        """Read the first line; Deferred or Unreachable when it is a BYE."""
        parts = self._read()
        first = untagged(parts)
        if first.kind == b"BYE":
            failure = refusal(first.text)
            if isinstance(failure, Deferred):
                raise failure
            raise Unreachable("The server hung up at once.", reply=first.text)
        if first.kind not in (b"OK", b"PREAUTH"):
            raise ProtocolViolation("What answered is not an IMAP server.", reply=readable(parts[0], limit=200))
        return first

    def command(
        self, name: bytes, *arguments: Argument, wanted: Collection[bytes] = (), secret: bool = False
    ) -> list[Untagged]:
        """Run a command to its end and return the untagged responses of the `wanted` kinds.

        Raises Refused or Deferred (NO and BAD, with the server's words), Unreachable, ProtocolViolation.
        """
        return [response for response in self.converse(name, *arguments, secret=secret) if response.kind in wanted]

    def converse(
        self, name: bytes, *arguments: Argument, secret: bool = False, streaming: bool = False
    ) -> Generator[Untagged, None, None]:
        """Run a command, yielding untagged responses as they arrive.

        Leaving before the end makes the connection `broken`: the rest of the answer is still on its way.
        """
        if self.broken:
            raise Unreachable("The connection was left in the middle of a command.")
        if any(isinstance(argument, bytes) and _UNSAFE.search(argument) for argument in arguments):
            raise UnsafeArgument("A line break or a NUL character cannot be part of a command.")
        self.broken = True
        tag = self._next_tag()
        yield from self._send(tag, name, arguments, secret=secret)
        deadline = None if streaming else monotonic() + LONGEST_COMMAND
        budget = LINES_PER_COMMAND
        while True:
            while streaming and budget >= 0 and (message := self._message()) is not None:
                budget -= len(message.parts[0])
                yield message
            parts = self._read()
            line = parts[0]
            if line.startswith(b"* "):
                budget -= len(line) if len(parts) == 1 else sum(map(len, parts[::2]))
                if budget < 0 or (deadline is not None and monotonic() > deadline):
                    raise ProtocolViolation("The server does not come to an end with its answer.")
                yield self._noticed(untagged(parts))
            else:
                self._finish(tag, line)
                return

    def authenticate(self, mechanism: bytes, response: bytes) -> None:
        """AUTHENTICATE with one client response in base64 (RFC 9051, 6.2.2), in the command itself where offered."""
        if "SASL-IR" in self.capabilities:
            self.command(b"AUTHENTICATE", mechanism, response, secret=True)
            return
        self.broken = True
        tag = self._next_tag()
        self._say(tag + b" AUTHENTICATE " + mechanism, shown=None)
        if self._await_go_ahead(tag):
            self._say(response, shown=b"***")
        while True:
            line = self._read()[0]
            if line.startswith(b"* "):
                self._noticed(untagged([line]))
            elif line.startswith(b"+"):
                self._say(b"", shown=None)  # an error challenge: the server waits for an empty line to say NO
            else:
                self._finish(tag, line)
                return

    def close(self) -> None:
        self.broken = True
        self.wire.close()

    def _next_tag(self) -> bytes:
        self._sent_commands += 1
        return b"A%d" % self._sent_commands

    def _send(self, tag: bytes, name: bytes, arguments: tuple[Argument, ...], *, secret: bool) -> list[Untagged]:
        early: list[Untagged] = []
        line = tag + b" " + name
        shown = line
        for argument in arguments:
            if isinstance(argument, bytes):
                line += b" " + argument
                shown += b" ***" if secret else b" " + argument
                continue
            size = len(argument.octets) if isinstance(argument, Literal) else argument.size
            at_once = "LITERAL+" in self.capabilities or ("LITERAL-" in self.capabilities and size <= 4096)
            mark = b" {%d+}" if at_once else b" {%d}"
            self._say(line + mark % size, shown=shown + mark % size)
            if not at_once:
                self._await_go_ahead(tag, early)
            self._send_octets(argument)
            line = shown = b""
        self._say(line, shown=shown)
        return early

    def _send_octets(self, literal: Literal | Pieces) -> None:
        if isinstance(literal, Literal):
            self.wire.send(literal.octets)
            return
        missing = literal.size
        for piece in literal.octets:
            missing -= len(piece)
            if b"\0" in piece:
                raise UnsafeArgument("The message contains a NUL character, which mail servers do not take.")
            if missing < 0:  # the server would take it for commands
                break
            self.wire.send(piece)
        if missing:
            raise UnsafeArgument("The message has not as many octets as were announced.")

    def _await_go_ahead(self, tag: bytes, early: list[Untagged] | None = None) -> bool:
        """Wait for the `+` that lets us go on; raises the server's refusal when it comes instead."""
        for _ in range(10_000):
            parts = self._read()
            if parts[0].startswith(b"+"):
                return True
            if not parts[0].startswith(b"* "):
                self._finish(tag, parts[0])
                raise ProtocolViolation("The server said OK before it had the command.", reply=readable(parts[0]))
            response = self._noticed(untagged(parts))
            if early is not None:
                early.append(response)
        raise ProtocolViolation("The server does not come to an end with its answer.")

    def _say(self, line: bytes, *, shown: bytes | None) -> None:
        if self._transcript is not None:
            self._transcript.sent(line if shown is None else shown)
        self.wire.send(line + b"\r\n")

    def _read(self) -> list[bytes]:
        """Read one response: its line, or line, literal, line, literal, line ..."""
        line = self.wire.readline()
        if self._transcript is not None:
            self._transcript.received(line)
        parts = [line]
        if line[-1:] != b"}" or not line.startswith(b"* ") or _STATUS.match(line):
            return parts
        return self._with_literals(parts)

    def _message(self) -> Untagged | None:
        """Read a FETCH response with a literal, as messages stream in, in fewer steps than `_read` and `untagged`.

        None, and nothing is read, where something else comes, or the line has not arrived yet.
        """
        found = self.wire.take(_MESSAGE) if self._transcript is None else None
        if found is None:
            return None
        number, line, size = found.groups()
        parts = [line, self._literal(line, int(size)), self.wire.readline()]
        return Untagged(b"FETCH", int(number), parts if parts[2] == b")" else self._with_literals(parts))

    def _with_literals(self, parts: list[bytes]) -> list[bytes]:
        """Read on after a line as long as the last one announces a literal."""
        line = parts[-1]
        while line[-1:] == b"}" and (mark := _LITERAL_MARK.search(line)):
            size = int(mark[1])
            if size > LARGEST_LITERAL or len(parts) > 1000:
                raise ProtocolViolation(f"The server announced {size} octets; at most {LARGEST_LITERAL} are taken.")
            parts[-1] = line[: mark.start()]
            parts.append(self._literal(parts[-1], size))
            line = self.wire.readline()
            parts.append(line)
        return parts

    def _literal(self, before: bytes, size: int) -> bytes:
        if size <= LARGE_LITERAL or self.pour is None:
            return self.wire.read(size)
        self.wire.pour(size, self.pour(before))
        return Poured()

    def _noticed(self, response: Untagged) -> Untagged:
        if response.kind == b"BYE":
            self.wire.last_words = response.text
        elif response.kind in (b"OK", b"NO", b"BAD") and len(self.alerts) < 10:
            text = response.text
            if response_code(text)[0] == "ALERT":
                self.alerts.append(text)
        return response

    def _finish(self, tag: bytes, line: bytes) -> None:
        """Take the tagged answer; the connection is whole again, also when it was no."""
        head, _, rest = line.partition(b" ")
        status, _, text = rest.partition(b" ")
        status = status.upper()
        if head != tag or status not in (b"OK", b"NO", b"BAD"):
            raise ProtocolViolation("The server's answer fits no question.", reply=readable(line, limit=200))
        self.broken = False
        self.status, self.answer = status.decode(), readable(text)
        if status != b"OK":
            raise refusal(self.answer)
