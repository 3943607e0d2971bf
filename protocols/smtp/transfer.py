"""A message on its way after its envelope: as DATA (RFC 5321, 4.1.1.4) or in chunks (BDAT, RFC 3030).

Either way `before_final_dot` runs when nothing is out yet that could make the message complete: before the final dot,
and before the command of the last chunk. Until then the server certainly has not taken it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import Final

from protocols.errors import OutcomeUnknown, ProtocolViolation, Unreachable
from protocols.smtp.connection import Connection
from protocols.smtp.octets import Content, dot_stuffed
from protocols.smtp.replies import Reply
from protocols.wire import SLOWEST_RATE

DATA_TIMEOUT: Final = 120.0  # seconds for the go-ahead to DATA, for each block, and for the answer to a chunk
FINAL_DOT_TIMEOUT = 600.0  # seconds; less would make us send twice (RFC 5321, 4.5.3.2.6)
CHUNK: Final = 1024 * 1024  # octets that are held and sent at a time
UNKNOWN_COMMAND: Final = frozenset({500, 501, 502, 504})

Progress = Callable[[int], object]


class UnknownChunking(Exception):
    """The server offers CHUNKING and does not know BDAT. Nothing of the message was taken."""


def as_data(
    connection: Connection, content: Content, before_final_dot: Callable[[], object], on_progress: Progress
) -> Reply:
    """Send the message after the go-ahead to DATA. From the final dot on, no reply means that nobody knows."""
    try:
        send = _Sender(connection, content.size, on_progress)
        for block in dot_stuffed(content.blocks()):
            send(block)
        before_final_dot()
    except BaseException:
        connection.broken = True  # what was sent so far must never get its dot
        raise
    return _finished(connection, (b".\r\n",))


def as_chunks(
    connection: Connection,
    content: Content,
    before_last: Callable[[], object],
    on_progress: Progress,
    *,
    is_proven: bool,
) -> Reply:
    """Send the message by BDAT; the reply is that to its last chunk, or the first that is not positive.

    is_proven: this server has taken a chunk before. If not, the first line goes ahead alone: a server that does not
    know BDAT takes what follows for commands, and that line is a header field of ours, never anybody's text.
    """
    chunks = _chunks(content, first_line_alone=not is_proven)
    try:
        send = _Sender(connection, content.size, on_progress)
        last, refusal = _all_but_the_last(connection, chunks, send, is_proven=is_proven)
        if refusal is not None:
            return refusal
        before_last()
    except UnknownChunking:
        raise
    except BaseException:
        connection.broken = True
        raise
    return _finished(connection, _with_command(last, " LAST"))


def _all_but_the_last(
    connection: Connection, chunks: Iterator[list[bytes]], send: _Sender, *, is_proven: bool
) -> tuple[list[bytes], Reply | None]:
    """Send each chunk that another one follows; return the one that is left, and the refusal that ended it early."""
    chunk = next(chunks)
    for number, following in enumerate(chunks):
        send(*_with_command(chunk, ""))
        reply = connection.reply()
        if number == 0 and not is_proven and reply.code in UNKNOWN_COMMAND:
            raise UnknownChunking
        if not reply.positive:
            return chunk, reply
        chunk = following
    return chunk, None


def _finished(connection: Connection, octets: Iterable[bytes]) -> Reply:
    """Send what makes the message complete, and wait for the answer. Raises OutcomeUnknown when there is none."""
    connection.wire.be_patient(FINAL_DOT_TIMEOUT)
    try:
        for block in octets:
            connection.send(block)
        reply = connection.reply()
    except (Unreachable, ProtocolViolation) as exc:
        connection.broken = True
        raise OutcomeUnknown(
            "The connection broke after the message was out; the server may have taken it.", reply=exc.reply
        ) from exc
    except BaseException:
        connection.broken = True
        raise
    if 300 <= reply.code < 400:
        connection.broken = True
        raise OutcomeUnknown("The server's answer to the message means nothing.", reply=str(reply))
    connection.in_transaction = False
    return reply


class _Sender:
    """Sends blocks, tells how many octets are out, and gives up on a server that takes them too slowly."""

    def __init__(self, connection: Connection, size: int, on_progress: Progress) -> None:
        self._connection = connection
        self._on_progress = on_progress
        self._deadline = monotonic() + connection.wire.timeout + size / SLOWEST_RATE
        self._sent = 0

    def __call__(self, *blocks: bytes) -> None:
        for block in blocks:
            self._connection.send(block)
            self._sent += len(block)
            if monotonic() > self._deadline:
                raise Unreachable("The server takes the message too slowly to go on.", reply="timed out")
        self._on_progress(self._sent)


def _chunks(content: Content, *, first_line_alone: bool) -> Iterator[list[bytes]]:
    """Yield the message in lists of blocks of about `CHUNK` octets; at least one list."""
    chunk: list[bytes] = []
    size = 0
    for block in content.blocks():
        if first_line_alone:
            first_line_alone = False
            line, end, block = block.partition(b"\r\n")
            yield [line + end]
        chunk.append(block)
        size += len(block)
        if size >= CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk or not content.size:
        yield chunk


def _with_command(chunk: list[bytes], last: str) -> Iterator[bytes]:
    size = sum(map(len, chunk))
    command = f"BDAT {size}{last}\r\n".encode()
    if size <= CHUNK // 8:
        yield b"".join((command, *chunk))  # one packet for most messages
    else:
        yield command
        yield from chunk
