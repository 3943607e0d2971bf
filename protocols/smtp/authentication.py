"""Logging in: AUTH PLAIN, LOGIN, OAUTHBEARER and XOAUTH2 (RFC 4954, 4616, 7628).

The mechanism is one that EHLO offers now, on this line. A password is never offered as a token, nor a token as one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Final

from protocols.credentials import Credentials
from protocols.errors import LoginRefused, MailError, Refused, UnsafeArgument
from protocols.smtp.connection import Connection
from protocols.smtp.replies import Reply
from protocols.transcript import Transcript
from protocols.wire import readable

LONGEST_COMMAND: Final = 512  # octets with CRLF; a longer first response waits for the server's go-ahead (RFC 4954, 4)
UNKNOWN_MECHANISM: Final = 504  # offered, but not known after all: nothing was said about the password
_NEVER: Final = "\r\n\0\x01"  # each ends a field in one mechanism or another
_CANCEL: Final = "*"
_KVSEP: Final = "AQ=="  # base64 of a single \x01, the answer to an error challenge (RFC 7628, 3.2.3)

Exchange = Callable[[Connection, Credentials], Reply]


def log_in(connection: Connection, credentials: Credentials) -> None:
    """Offer the credentials by the first mechanism that both sides know.

    Raises LoginRefused, Deferred, or Refused where the server takes none on this line.
    """
    if any(character in f"{credentials.username}{credentials.password.reveal()}" for character in _NEVER):
        raise UnsafeArgument("A line break or a NUL character cannot be part of a user name or password.")
    mechanisms = connection.capabilities.get("AUTH", "").split()
    known = _WITH_TOKEN if credentials.is_token else _WITH_PASSWORD
    usable = [exchange for name, exchange in known.items() if name in mechanisms]
    if not usable:
        offered = " ".join(mechanisms) or "none"
        what = "access token" if credentials.is_token else "password"
        raise Refused(
            f"The server takes no {what} on this line (it offers: {offered}).",
            reply=f"AUTH methods offered: {offered}",
        )
    masked = Transcript(credentials)  # some servers repeat what they refuse
    for exchange in usable:
        try:
            reply = exchange(connection, credentials)
        except MailError as exc:
            exc.reply = masked.mask(exc.reply)
            raise
        if reply.code != UNKNOWN_MECHANISM:
            break
    reply = Reply(reply.code, tuple(map(masked.mask, reply.lines)))
    if reply.code == UNKNOWN_MECHANISM:
        raise reply.failure("The server does not know the ways to log in that it offers.")
    if not reply.positive:
        raise reply.failure("The server refused the user name or password.", LoginRefused)


def _plain(connection: Connection, credentials: Credentials) -> Reply:
    username, password = credentials.username, credentials.password.reveal()
    reply = _begin(connection, "PLAIN", f"\0{username}\0{password}")
    return connection.ask(_CANCEL) if reply.code == 334 else reply


def _login(connection: Connection, credentials: Credentials) -> Reply:
    reply = connection.ask("AUTH LOGIN")
    for answer in (credentials.username, credentials.password.reveal()):
        if reply.code == 334:
            reply = connection.ask(_base64(answer), shown="***")
    return connection.ask(_CANCEL) if reply.code == 334 else reply


def _oauthbearer(connection: Connection, credentials: Credentials) -> Reply:
    identity = credentials.username.replace("=", "=3D").replace(",", "=2C")
    token = f"n,a={identity},\x01auth=Bearer {credentials.password.reveal()}\x01\x01"
    return _after_error_challenge(connection, _begin(connection, "OAUTHBEARER", token), _KVSEP)


def _xoauth2(connection: Connection, credentials: Credentials) -> Reply:
    token = f"user={credentials.username}\x01auth=Bearer {credentials.password.reveal()}\x01\x01"
    return _after_error_challenge(connection, _begin(connection, "XOAUTH2", token), "")


#: In the order of preference.
_WITH_PASSWORD: Final[dict[str, Exchange]] = {"PLAIN": _plain, "LOGIN": _login}
_WITH_TOKEN: Final[dict[str, Exchange]] = {"OAUTHBEARER": _oauthbearer, "XOAUTH2": _xoauth2}


def _begin(connection: Connection, mechanism: str, response: str) -> Reply:
    """Send the first response with the command, or after an empty challenge where it would be too long for a line."""
    encoded = _base64(response)
    command = f"AUTH {mechanism} {encoded}"
    if len(command) + 2 <= LONGEST_COMMAND:
        return connection.ask(command, shown=f"AUTH {mechanism} ***")
    reply = connection.ask(f"AUTH {mechanism}")
    return connection.ask(encoded, shown="***") if reply.code == 334 else reply


def _after_error_challenge(connection: Connection, reply: Reply, answer: str) -> Reply:
    """A refused token is explained in a challenge, and refused once that is answered. Keep the explanation."""
    if reply.code != 334:
        return reply
    why = _challenge(reply)
    refusal = connection.ask(answer)
    if refusal.code == 334:
        refusal = connection.ask(_CANCEL)
    return Reply(refusal.code, (*refusal.lines, f"({why})")) if why else refusal


def _challenge(reply: Reply) -> str:
    try:
        return readable(base64.b64decode(reply.text, validate=True), limit=500)
    except binascii.Error:
        return ""


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")
