"""The two listening sockets of the sandbox and the connections behind them."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from sandbox.imap.connection import converse
from sandbox.imap.session import MAX_LINE, Session
from sandbox.people import Doorman
from sandbox.postroom import Postroom
from sandbox.smtp import SubmissionSession
from sandbox.store import Store

LOOPBACK: Final = "127.0.0.1"

logger = logging.getLogger(__name__)


class PortTaken(Exception):
    """Somebody else listens there, or we may not; the message names the port and the cure."""


class Dismissible(Protocol):
    def dismiss(self) -> None:
        """Say goodbye without waiting."""


@dataclass(frozen=True, slots=True)
class Ports:
    imap: int
    smtp: int


class Servers:
    """IMAP and SMTP on loopback. Use `start`, then `stop`."""

    def __init__(self, store: Store, doorman: Doorman, *, later_after: int) -> None:
        self._store = store
        self._doorman = doorman
        self._postroom = Postroom(store, later_after=later_after)
        self._listening: list[asyncio.Server] = []
        self._connections: dict[asyncio.Task[None], Dismissible] = {}

    async def start(self, wanted: Ports) -> Ports:
        """Listen and return the ports. 0 asks for the port of the last start, or any if that one is taken.

        Raises PortTaken for a port that was asked for by number.
        """
        imap = await self._listen(self._serve_imap, wanted.imap, "imap", limit=MAX_LINE)
        smtp = await self._listen(self._serve_smtp, wanted.smtp, "smtp", limit=64 * 1024)
        return Ports(imap, smtp)

    async def stop(self) -> None:
        """Stop listening, say goodbye to everybody, end all connections."""
        for server in self._listening:
            server.close()
        for session in self._connections.values():
            session.dismiss()
        await asyncio.sleep(0)
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(tuple(self._connections), timeout=0.5)

    async def _listen(self, serve: _Serve, wanted: int, name: str, *, limit: int) -> int:
        """Mailboxes that were connected keep the port in their settings, so it should be the same next time."""
        remembered = int(self._store.fact(f"{name}-port") or 0)
        server = None
        for port in [wanted] if wanted else [remembered, 0]:
            try:
                server = await asyncio.start_server(serve, LOOPBACK, port, limit=limit)
                break
            except OSError as exc:
                if wanted or port == 0:
                    raise PortTaken(_port_sentence(name, port, exc)) from exc
        assert server is not None
        self._listening.append(server)
        port = int(server.sockets[0].getsockname()[1])
        self._store.remember(f"{name}-port", str(port))
        return port

    async def _serve_imap(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(reader, writer, store=self._store, doorman=self._doorman)
        await self._attend(converse(session), session, writer)

    async def _serve_smtp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = SubmissionSession(reader, writer, postroom=self._postroom, doorman=self._doorman)
        await self._attend(session.converse(), session, writer)

    async def _attend(self, conversation: Awaitable[None], session: Dismissible, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = session
        try:
            await conversation
        except asyncio.CancelledError:
            pass  # at shutdown; there is nobody above us who waits for it
        except Exception:
            logger.exception("A connection ended by a defect of the sandbox.")
        finally:
            del self._connections[task]
            writer.close()


_Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def _port_sentence(name: str, port: int, exc: OSError) -> str:
    if exc.errno == errno.EADDRINUSE:
        return f"Port {port} for {name.upper()} is taken. Choose another with --{name}-port, or 0 for any free one."
    return f"Cannot listen on port {port} for {name.upper()}: {exc.strerror}. Choose another with --{name}-port."
