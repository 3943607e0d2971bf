"""SMTP submission (RFC 6409): takes mail for sandbox.test and puts it into the mailboxes before it says 250."""

from __future__ import annotations

import asyncio
import binascii
import logging
import sqlite3
import time
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from typing import Final

from sandbox.paths import read_path, refuse_parameters
from sandbox.people import DOMAIN, SHARED, Doorman
from sandbox.postroom import MAX_SIZE, Postroom, Reply

MAX_RECIPIENTS: Final = 100
MAX_ERRORS: Final = 20
MAX_COMMAND: Final = 12 * 1024  # octets; RFC 4954, 4 asks for 12288 with AUTH
SILENCE: Final = 300.0  # seconds (RFC 5321, 4.5.3.2.7)

EXTENSIONS: Final = (
    "PIPELINING",
    f"SIZE {MAX_SIZE}",
    "8BITMIME",
    "SMTPUTF8",
    "ENHANCEDSTATUSCODES",
    "AUTH PLAIN LOGIN",
)

logger = logging.getLogger(__name__)


class Hangup(Exception):
    """End the connection; what had to be said has been said."""


class SubmissionSession:
    """One connection. address: the mailbox signed in to; sender: None outside a transaction."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, postroom: Postroom, doorman: Doorman
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._postroom = postroom
        self._doorman = doorman
        self._greeted = ""
        self._address: str | None = None
        self._errors = 0
        self._reset()

    def _reset(self) -> None:
        self._sender: str | None = None
        self._recipients: list[str] = []
        self._utf8 = False

    async def converse(self) -> None:
        """Talk until the client leaves or is silent for five minutes."""
        try:
            self._say(Reply(220, "", f"{DOMAIN} ESMTP Sandbox ready"))
            while True:
                await self._writer.drain()
                async with asyncio.timeout(SILENCE):
                    line = await self._read_command()
                reply = await self._answer(line)
                self._say(reply)
                self._errors += 500 <= reply.code <= 503
                if self._errors > MAX_ERRORS:
                    self._say(Reply(421, "4.7.0", "Too many mistakes; goodbye"))
                    return
        except TimeoutError:
            self._say(Reply(421, "4.4.2", "Silent for five minutes; goodbye"))
        except (Hangup, ConnectionError, asyncio.IncompleteReadError):
            pass

    def dismiss(self) -> None:
        """Say goodbye at shutdown, as far as the socket takes it without waiting."""
        self._say(Reply(421, "4.3.2", "The sandbox stops"))

    def _say(self, reply: Reply) -> None:
        self._writer.write(reply.encode())

    async def _read_line(self, limit: int) -> bytes | None:
        """Read up to CRLF; None when the line is longer than `limit` octets, which are then gone.

        Only CRLF ends a line; a bare CR or LF is part of it (RFC 5321, 2.3.8).
        """
        pieces: list[bytes] = []
        size = 0
        while True:
            try:
                pieces.append(await self._reader.readuntil(b"\r\n"))
            except asyncio.LimitOverrunError as exc:
                piece = await self._reader.readexactly(exc.consumed)
                size += len(piece)
                if size <= limit:
                    pieces.append(piece)
                continue
            size += len(pieces[-1])
            return b"".join(pieces) if size <= limit else None

    async def _read_command(self) -> bytes:
        line = await self._read_line(MAX_COMMAND)
        return b"TOOLONG\r\n" if line is None else line

    async def _answer(self, line: bytes) -> Reply:
        try:
            text = line[:-2].decode("utf-8")
        except UnicodeDecodeError:
            return Reply(500, "5.5.2", "That is not UTF-8 text")
        if any(ord(character) < 32 and character != "\t" for character in text):
            return Reply(500, "5.5.2", "A command cannot hold control characters, nor a bare CR or LF")
        verb, _, rest = text.partition(" ")
        handlers: dict[str, Callable[[str], Awaitable[Reply]]] = {
            "EHLO": self._ehlo,
            "HELO": self._helo,
            "AUTH": self._auth,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "RSET": self._rset,
            "NOOP": self._noop,
            "VRFY": self._vrfy,
            "QUIT": self._quit,
        }
        handler = handlers.get(verb.upper())
        if handler is None:
            return Reply(500, "5.5.1", "The sandbox does not know that command")
        return await handler(rest.strip())

    async def _ehlo(self, name: str) -> Reply:
        if not name:
            return Reply(501, "5.5.4", "Say EHLO with your host name")
        self._greeted = name
        self._reset()
        return Reply(250, "", DOMAIN, *EXTENSIONS)

    async def _helo(self, name: str) -> Reply:
        if not name:
            return Reply(501, "5.5.4", "Say HELO with your host name")
        self._greeted = name
        self._reset()
        return Reply(250, "", DOMAIN)

    async def _noop(self, _: str) -> Reply:
        return Reply(250, "2.0.0", "Fine")

    async def _vrfy(self, _: str) -> Reply:
        return Reply(252, "2.5.0", "Try sending to it")

    async def _rset(self, _: str) -> Reply:
        self._reset()
        return Reply(250, "2.0.0", "Forgotten")

    async def _quit(self, _: str) -> Reply:
        self._say(Reply(221, "2.0.0", "See you"))
        await self._writer.drain()
        raise Hangup

    # Signing in (RFC 4954).

    async def _auth(self, rest: str) -> Reply:
        if not self._greeted:
            return Reply(503, "5.5.1", "Say EHLO first")
        if self._address or self._sender is not None:
            return Reply(503, "5.5.1", "Signed in already" if self._address else "Not in the middle of a message")
        mechanism, _, initial = rest.partition(" ")
        try:
            if mechanism.upper() == "PLAIN":
                return await self._auth_plain(initial)
            if mechanism.upper() == "LOGIN":
                return await self._auth_login(initial)
        except (binascii.Error, ValueError):
            return Reply(501, "5.5.2", "That is not base64 as the mechanism wants it")
        except asyncio.CancelledError:
            raise
        except _AuthCancelled:
            return Reply(501, "5.7.0", "Cancelled")
        return Reply(504, "5.5.4", "The sandbox knows AUTH PLAIN and AUTH LOGIN")

    async def _auth_plain(self, initial: str) -> Reply:
        response = _decoded(initial) if initial else await self._challenge(b"")
        authorization, username, password = response.split("\0")
        if authorization not in {"", username}:
            return Reply(535, "5.7.8", "The sandbox lets nobody act for somebody else")
        return self._sign_in(username, password)

    async def _auth_login(self, initial: str) -> Reply:
        username = _decoded(initial) if initial else await self._challenge(b"Username:")
        password = await self._challenge(b"Password:")
        return self._sign_in(username, password)

    async def _challenge(self, prompt: bytes) -> str:
        self._writer.write(b"334 " + b64encode(prompt) + b"\r\n")
        await self._writer.drain()
        async with asyncio.timeout(SILENCE):
            line = (await self._read_command()).strip()
        if line == b"*":
            raise _AuthCancelled
        return _decoded(line.decode("ascii"))

    def _sign_in(self, username: str, password: str) -> Reply:
        self._address = self._doorman.admits(username, password)
        if self._address is None:
            return Reply(
                535, "5.7.8", "The user name or the password is wrong; the sandbox prints its password when it starts"
            )
        return Reply(235, "2.7.0", "Welcome")

    # A message.

    async def _mail(self, rest: str) -> Reply:
        if not self._greeted:
            return Reply(503, "5.5.1", "Say EHLO first")
        if self._address is None:
            return Reply(530, "5.7.0", "Sign in first")
        if self._sender is not None:
            return Reply(503, "5.5.1", "There is a sender already")
        if (path := read_path(rest, "FROM:")) is None:
            return Reply(501, "5.1.7", "Write MAIL FROM:<address>")
        sender, parameters = path
        utf8 = "SMTPUTF8" in parameters
        if refusal := refuse_parameters(parameters, self._utf8_needed(sender) and not utf8):
            return refusal
        if sender.lower() not in {"", self._address, SHARED}:
            return Reply(553, "5.7.1", f"You are signed in as {self._address}: send from that address or from {SHARED}")
        self._sender, self._utf8 = sender, utf8
        return Reply(250, "2.1.0", "Sender fine")

    @staticmethod
    def _utf8_needed(address: str) -> bool:
        return not address.isascii()

    async def _rcpt(self, rest: str) -> Reply:
        if self._sender is None:
            return Reply(503, "5.5.1", "Say MAIL FROM first")
        path = read_path(rest, "TO:")
        if path is None or not path[0]:
            return Reply(501, "5.1.3", "Write RCPT TO:<address>")
        recipient, parameters = path
        if parameters:
            return Reply(555, "5.5.4", "RCPT TO takes no parameters here")
        if self._utf8_needed(recipient) and not self._utf8:
            return Reply(553, "5.6.7", "That address needs SMTPUTF8")
        if len(self._recipients) >= MAX_RECIPIENTS:
            return Reply(452, "4.5.3", f"At most {MAX_RECIPIENTS} recipients at once; send the rest separately")
        try:
            refusal = self._postroom.refuse(recipient, sender=self._sender, now=int(time.time()))
        except sqlite3.Error:
            logger.exception("The store failed at RCPT.")
            return Reply(451, "4.3.0", "The sandbox cannot use its store; try again later")
        if refusal:
            return refusal
        self._recipients.append(recipient)
        return Reply(250, "2.1.5", "Recipient fine")

    async def _data(self, rest: str) -> Reply:
        if rest:
            return Reply(501, "5.5.4", "DATA takes no parameters")
        if not self._recipients or self._sender is None or self._address is None:
            return Reply(503, "5.5.1", "Name a sender and at least one recipient first")
        self._say(Reply(354, "", "Go ahead, and end with a dot on a line of its own"))
        await self._writer.drain()
        raw, refusal = await self._read_message()
        sender, recipients = self._sender, self._recipients
        self._reset()
        if refusal:
            return refusal
        try:
            return self._postroom.deliver(raw, sender=sender, recipients=recipients, client=self._greeted)
        except sqlite3.Error:
            logger.exception("The store failed at DATA.")
            return Reply(452, "4.3.1", "The sandbox cannot write to its store; try again later")

    async def _read_message(self) -> tuple[bytes, Reply | None]:
        """Read up to CRLF.CRLF and nothing else, undo dot stuffing; also read to the end what is refused."""
        lines: list[bytes] = []
        size = 0
        refusal: Reply | None = None
        while True:
            async with asyncio.timeout(SILENCE):
                line = await self._read_line(MAX_SIZE)
            if line == b".\r\n":
                return b"".join(lines), refusal
            size += MAX_SIZE + 1 if line is None else len(line)
            if size > MAX_SIZE:
                refusal = Reply(552, "5.3.4", f"The message is larger than {MAX_SIZE // 2**20} MB")
            elif line and (line.count(b"\r") > 1 or line.count(b"\n") > 1):
                refusal = refusal or Reply(554, "5.6.0", "The message has a bare CR or LF; lines end with CRLF")
            if refusal or line is None:
                lines.clear()
            else:
                lines.append(line[1:] if line.startswith(b".") else line)


class _AuthCancelled(Exception):
    """The client answered a challenge with "*"."""


def _decoded(text: str) -> str:
    return "" if text == "=" else b64decode(text, validate=True).decode("utf-8")
