"""Commands about the connection: who is there, signing in, waiting, leaving."""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode
from typing import Final, NoReturn

from sandbox.imap.grammar import Arguments, BadSyntax
from sandbox.imap.session import AUTOLOGOUT, CAPABILITIES, Goodbye, No, Session

SIGN_IN_REFUSED: Final = (
    "[AUTHENTICATIONFAILED] The user name or the password is wrong. "
    "The sandbox prints its password when it starts; the user name is the whole address."
)


async def capability(session: Session, arguments: Arguments) -> str:
    arguments.end()
    await session.send(b"* CAPABILITY %s\r\n" % CAPABILITIES)
    return "That is what the sandbox can do."


async def identify(session: Session, arguments: Arguments) -> str:
    """RFC 2971. What the client says about itself is of no interest here."""
    await session.send(b'* ID ("name" "Sandbox")\r\n')
    return "Pleased to meet you."


async def noop(session: Session, arguments: Arguments) -> str:
    arguments.end()
    return "Done."


async def logout(session: Session, arguments: Arguments) -> NoReturn:
    arguments.end()
    await session.send(f"* BYE See you.\r\n{session.tag} OK Signed out.\r\n".encode())
    await session.flush()
    raise Goodbye


async def login(session: Session, arguments: Arguments) -> str:
    arguments.space()
    username = arguments.text()
    arguments.space()
    password = arguments.text()
    arguments.end()
    return _sign_in(session, username, password)


async def authenticate(session: Session, arguments: Arguments) -> str:
    """AUTHENTICATE PLAIN (RFC 4616), with or without the initial response (RFC 4959)."""
    arguments.space()
    if arguments.atom() != "PLAIN":
        raise No("[CANNOT] The sandbox speaks AUTHENTICATE PLAIN only.")
    if arguments.at_end():
        await session.send(b"+ \r\n")
        await session.flush()
        coded = (await session.read_line()).strip()
    else:
        arguments.space()
        coded = arguments.rest()
    if coded == b"*":
        raise BadSyntax("Cancelled.")
    try:
        authorization, username, password = b64decode(coded, validate=True).decode("utf-8").split("\0")
    except (binascii.Error, ValueError) as exc:
        raise BadSyntax("That is not a PLAIN response.") from exc
    if authorization not in {"", username}:
        raise No("[AUTHORIZATIONFAILED] The sandbox lets nobody act for somebody else.")
    return _sign_in(session, username, password)


def _sign_in(session: Session, username: str, password: str) -> str:
    if session.address:
        raise BadSyntax("Signed in already.")
    session.address = session.doorman.admits(username, password)
    if session.address is None:
        raise No(SIGN_IN_REFUSED)
    return f"[CAPABILITY {CAPABILITIES.decode()}] Welcome."


async def idle(session: Session, arguments: Arguments) -> str:
    """RFC 2177: tell the news as it happens, until the client says DONE."""
    arguments.end()
    await session.send(b"+ Waiting.\r\n")
    said = asyncio.ensure_future(session.read_line())
    rung = asyncio.ensure_future(session.changed.wait())
    try:
        async with asyncio.timeout(AUTOLOGOUT):
            while not said.done():
                if session.selected:
                    session.changed.clear()
                    await session.send(b"".join(session.selected.news(may_expunge=True, with_uid=False)))
                await session.flush()
                if rung.done():
                    rung = asyncio.ensure_future(session.changed.wait())
                await asyncio.wait({said, rung}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        rung.cancel()
        said.cancel()
    if (await said).strip().upper() != b"DONE":
        raise BadSyntax("Expected DONE.")
    return "Done waiting."
