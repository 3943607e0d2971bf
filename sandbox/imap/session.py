"""What one IMAP connection knows, and how commands write to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from sandbox.imap.fetch import Message
from sandbox.imap.grammar import Arguments
from sandbox.imap.selected import Selected
from sandbox.people import Doorman
from sandbox.store import Row, Store

CAPABILITIES: Final = (
    b"IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN ID IDLE NAMESPACE CHILDREN SPECIAL-USE UIDPLUS MOVE UNSELECT ESEARCH"
)
MAX_LINE: Final = 1024 * 1024
AUTOLOGOUT: Final = 31 * 60.0  # seconds; RFC 3501, 5.4 asks for at least 30 minutes
_FLUSH_AT: Final = 64 * 1024


class State(IntEnum):
    """What must have happened before a command makes sense (RFC 3501, 3)."""

    ANY = 0
    SIGNED_IN = 1
    SELECTED = 2


class No(Exception):
    """Refuse a command with NO and this text, which may begin with a response code."""


class Goodbye(Exception):
    """End the connection; what had to be said has been said."""


class Session:
    """The state of one connection and its way to write.

    address: the mailbox signed in to; None before. selected: the open folder.
    tag:     of the command being answered. changed: set when the open folder changed.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, store: Store, doorman: Doorman
    ) -> None:
        self.reader = reader
        self.store = store
        self.doorman = doorman
        self.address: str | None = None
        self.selected: Selected | None = None
        self.changed = asyncio.Event()
        self.tag = "*"
        self._last: Message | None = None
        self._writer = writer
        self._pending = bytearray()

    @property
    def mailbox(self) -> str:
        """The mailbox signed in to. Only for commands that need it."""
        assert self.address is not None
        return self.address

    @property
    def open_folder(self) -> Selected:
        """The selected folder. Only for commands that need it."""
        assert self.selected is not None
        return self.selected

    async def send(self, octets: bytes) -> None:
        """Queue octets; they leave in blocks, so that many small answers cost few system calls."""
        self._pending += octets
        if len(self._pending) >= _FLUSH_AT:
            await self.flush()

    async def flush(self) -> None:
        """Hand over what is queued and wait until the client keeps up."""
        self._writer.write(bytes(self._pending))
        self._pending.clear()
        await self._writer.drain()
        await asyncio.sleep(0)  # drain alone would not let others in while a fast client keeps up

    def dismiss(self) -> None:
        """Say goodbye at shutdown, as far as the socket takes it without waiting."""
        self._writer.write(b"* BYE The sandbox stops.\r\n")

    def message(self, row: Row) -> Message:
        """The message of a row. The last one is kept, because clients fetch large ones piece by piece."""
        if self._last is None or self._last.row.content_pk != row.content_pk:
            self._last = Message(row, lambda: self.store.raw(row.content_pk))
        self._last.row = row
        return self._last

    def hear(self, folder_pk: int) -> None:
        if self.selected and self.selected.folder.pk == folder_pk:
            self.changed.set()

    async def read_line(self) -> bytes:
        """Read one line with its CRLF. Raises Goodbye when it is longer than a megabyte."""
        try:
            return await self.reader.readuntil(b"\r\n")
        except asyncio.LimitOverrunError as exc:
            await self.send(b"* BYE The line is longer than a megabyte.\r\n")
            await self.flush()
            raise Goodbye from exc


Handler = Callable[[Session, Arguments], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Command:
    """A handler with the state it needs. may_expunge: EXPUNGE may be told with its answer (RFC 3501, 7.4.1)."""

    run: Handler
    state: State
    may_expunge: bool
