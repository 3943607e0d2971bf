"""The conversation of one IMAP connection: read a command, run its handler, tell the news, answer."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from typing import Final

from sandbox.imap.commands import COMMANDS
from sandbox.imap.grammar import LITERAL_AT_END, Arguments, BadSyntax
from sandbox.imap.selected import FolderGone
from sandbox.imap.session import AUTOLOGOUT, CAPABILITIES, MAX_LINE, Command, Goodbye, No, Session, State
from sandbox.store import FolderExists, NoSuchFolder, StoreError

MAX_MESSAGE: Final = 50 * 1024 * 1024
MAX_BEFORE_LOGIN: Final = 8 * 1024

logger = logging.getLogger(__name__)


async def converse(session: Session) -> None:
    """Talk until the client leaves, is silent for too long, or the folder under it is deleted."""
    session.store.listeners.add(session.hear)
    try:
        await session.send(b"* OK [CAPABILITY %s] Sandbox ready.\r\n" % CAPABILITIES)
        await session.flush()
        while True:
            async with asyncio.timeout(AUTOLOGOUT):
                text, literals = await _read_command(session)
            await _answer(session, Arguments(text, literals))
            await session.flush()
    except FolderGone:
        await _say_goodbye(session, b"The selected folder was deleted.")
    except TimeoutError:
        await _say_goodbye(session, b"Signed out after half an hour of silence.")
    except (Goodbye, ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        session.store.listeners.discard(session.hear)


async def _say_goodbye(session: Session, why: bytes) -> None:
    try:
        await session.send(b"* BYE %s\r\n" % why)
        await session.flush()
    except ConnectionError:
        pass


async def _read_command(session: Session) -> tuple[bytes, list[bytes]]:
    """Read a command with its literals (RFC 3501, 4.3; RFC 7888)."""
    text, literals, total = b"", list[bytes](), 0
    while True:
        text += await session.read_line()
        announced = LITERAL_AT_END.search(text)
        if announced is None:
            return text, literals
        if len(text) > MAX_LINE:
            raise Goodbye
        size = int(announced[1])
        total += size
        if total > (MAX_MESSAGE if session.address else MAX_BEFORE_LOGIN):
            await _refuse_literal(session, text, waiting=not announced[2])
            text, literals, total = b"", [], 0
            continue
        if not announced[2]:
            await session.send(b"+ Go ahead.\r\n")
            await session.flush()
        literals.append(await session.reader.readexactly(size))


async def _refuse_literal(session: Session, text: bytes, *, waiting: bool) -> None:
    """Refuse before a client that waits sends it; one that does not wait is cut off."""
    tag = text.split(b" ", 1)[0]
    await session.send(b"%s NO [TOOBIG] That is larger than the sandbox takes.\r\n" % tag)
    if not waiting:
        await session.send(b"* BYE That is larger than the sandbox takes.\r\n")
    await session.flush()
    if not waiting:
        raise Goodbye


async def _answer(session: Session, arguments: Arguments) -> None:
    session.tag = "*"
    try:
        session.tag = arguments.tag()
        arguments.space()
        command, by_uid = _find_command(session, arguments)
        done = await command.run(session, arguments)
        if session.selected:
            await session.send(b"".join(session.selected.news(may_expunge=command.may_expunge, with_uid=by_uid)))
        await session.send(f"{session.tag} OK {done}\r\n".encode())
    except BadSyntax as exc:
        await session.send(f"{session.tag} BAD {exc}\r\n".encode())
    except No as exc:
        await session.send(f"{session.tag} NO {exc}\r\n".encode())
    except NoSuchFolder as exc:
        await session.send(f"{session.tag} NO [NONEXISTENT] {exc}\r\n".encode("ascii", "backslashreplace"))
    except FolderExists as exc:
        await session.send(f"{session.tag} NO [ALREADYEXISTS] {exc}\r\n".encode("ascii", "backslashreplace"))
    except StoreError as exc:
        await session.send(f"{session.tag} NO [CANNOT] {exc}\r\n".encode("ascii", "backslashreplace"))
    except sqlite3.Error as exc:
        logger.exception("The store failed.")
        await session.send(f"{session.tag} NO [UNAVAILABLE] The sandbox cannot use its store: {exc}.\r\n".encode())


def _find_command(session: Session, arguments: Arguments) -> tuple[Command, bool]:
    name = arguments.atom()
    by_uid = name == "UID"
    if by_uid:
        arguments.space()
        name = "UID " + arguments.atom()
    command = COMMANDS.get(name)
    if command is None:
        raise BadSyntax(f"The sandbox does not know {name}.")
    if command.state >= State.SIGNED_IN and session.address is None:
        raise BadSyntax("Sign in first.")
    if command.state == State.SELECTED and session.selected is None:
        raise BadSyntax("Select a folder first.")
    return command, by_uid
