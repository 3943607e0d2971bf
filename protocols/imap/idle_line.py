"""One socket that waits for news in an event loop: opened like any session, then kept with next to no memory.

Dialing, TLS, STARTTLS and the login are those of every session (`protocols.imap.opening`), so the same rules hold; they
block, and belong into a thread. What is left afterwards is the socket and an `Idling`: no transport, no stream, no
buffer. It works alike with and without TLS.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Final, Protocol

from protocols.credentials import Credentials
from protocols.endpoint import Endpoint
from protocols.errors import MailError, Refused, Unreachable
from protocols.imap import opening
from protocols.imap.idle import Idling, News
from protocols.imap.plan import FolderState
from protocols.imap.session import ImapSession, say_goodbye
from protocols.network import Dialer
from protocols.steps import ignore
from protocols.tls import SYSTEM_TRUST, TlsTrust

INBOX: Final = b"INBOX"
READ_AT_ONCE: Final = 16 * 1024  # octets
READS_PER_TURN: Final = 16  # then the other lines have theirs

_NOT_NOW = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class IdleNotOffered(Refused):
    """The server does not know IDLE: its news are found by asking."""


class Listener(Protocol):
    """Who is told. Called in the event loop."""

    def heard(self, line: IdleLine, news: News) -> None: ...

    def ended(self, line: IdleLine, reason: MailError) -> None:
        """The line is closed already."""


class IdleLine:
    """A logged-in line with its INBOX open for reading. Silent until `listen`.

    state:  of the INBOX when it was opened.
    act_at: moment (seconds of the loop's clock) at which `tick` has something to do.
    """

    __slots__ = (
        *("_idling", "_listener", "_loop", "_renew_after", "_response_timeout", "_sock", "_unread"),
        *("act_at", "state"),
    )

    def __init__(self, sock: socket.socket, unread: bytes, state: FolderState) -> None:
        self._sock = sock
        self._unread = unread
        self._idling = Idling(state.exists)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener: Listener | None = None
        self.state = state
        self.act_at = 0.0

    def listen(self, listener: Listener, *, renew_after: Callable[[], float], response_timeout: float) -> None:
        """Wait for news from now on, in the running event loop.

        renew_after:      gives the seconds until IDLE is asked again; asked each time, so that it may vary.
        response_timeout: seconds that an answer may take.
        """
        self._loop, self._listener = asyncio.get_running_loop(), listener
        self._renew_after, self._response_timeout = renew_after, response_timeout
        self._sock.setblocking(False)
        self._loop.add_reader(self._sock.fileno(), self._readable)
        self._say(self._idling.begin())
        unread, self._unread = self._unread, b""
        if unread and self._listener is not None:
            self._take(unread)
        self._loop.call_soon(self._readable)  # TLS may hold what the kernel does not tell of any more

    def tick(self, now: float) -> None:
        """Ask again when it is time; give up where an answer did not come."""
        if now < self.act_at or self._listener is None:
            return
        if self._idling.is_owed:
            self._end(Unreachable("The server does not answer any more.", reply="timed out"))
        else:
            self._say(self._idling.renew())

    def leave(self) -> None:
        """Say goodbye as far as the line takes it without waiting, and close. Nobody is told."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._sock.send(self._idling.leave())
        self.close()

    def close(self) -> None:
        if self._loop is not None and self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
        self._listener = None
        self._sock.close()

    def _readable(self) -> None:
        for _ in range(READS_PER_TURN):
            if self._listener is None:
                return
            try:
                octets = self._sock.recv(READ_AT_ONCE)
            except _NOT_NOW:
                return
            except OSError as exc:
                self._end(Unreachable("The connection to the server broke.", reply=exc.strerror or str(exc)))
                return
            if not octets:
                self._end(Unreachable("The server closed the connection.", reply="connection closed"))
                return
            self._take(octets)
        if self._loop is not None:
            self._loop.call_soon(self._readable)

    def _take(self, octets: bytes) -> None:
        was_owed = self._idling.is_owed
        try:
            news, answer = self._idling.receive(octets)
        except MailError as exc:
            self._end(exc)
            return
        if answer:
            self._say(answer)
        elif was_owed and not self._idling.is_owed:
            self._note_patience()  # not at every line: a talkative server must not put the renewal off for ever
        if news and self._listener is not None:
            self._listener.heard(self, news)

    def _say(self, octets: bytes) -> None:
        """Send a line. It is a few octets on a line that was silent: where they find no room, the peer is gone."""
        try:
            sent = self._sock.send(octets)
        except OSError as exc:
            self._end(Unreachable("The connection to the server broke.", reply=exc.strerror or str(exc)))
            return
        if sent < len(octets):
            self._end(Unreachable("The server takes nothing any more.", reply="timed out"))
            return
        self._note_patience()

    def _note_patience(self) -> None:
        assert self._loop is not None
        patience = self._response_timeout if self._idling.is_owed else self._renew_after()
        self.act_at = self._loop.time() + patience

    def _end(self, reason: MailError) -> None:
        listener = self._listener
        self.close()
        if listener is not None:
            listener.ended(self, reason)


def open_line(
    endpoint: Endpoint, credentials: Credentials, *, dialer: Dialer, trust: TlsTrust = SYSTEM_TRUST
) -> IdleLine:
    """Log in, open the INBOX for reading, and return the line. Blocks: for a thread.

    Raises IdleNotOffered, and what `protocols.imap.session.open_session` raises.
    """
    connection, logged_in = opening.connect(endpoint, dialer, trust=trust, observe=ignore, transcript=None)
    try:
        if not logged_in:
            opening.log_in(connection, credentials)
        state = _open_inbox(ImapSession(connection))
    except BaseException:
        say_goodbye(connection)
        raise
    return IdleLine(*connection.wire.take_over(), state)


def _open_inbox(session: ImapSession) -> FolderState:
    if "IDLE" not in session.capabilities:
        raise IdleNotOffered("The server does not tell news by itself.")
    return session.examine(INBOX)
