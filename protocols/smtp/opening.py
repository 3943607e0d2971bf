"""From a host name to a connection that takes mail: greeting, EHLO, STARTTLS, AUTH (RFC 5321, 3207, 4954)."""

from __future__ import annotations

import base64
import re
import socket

from protocols import tls
from protocols.credentials import Credentials
from protocols.endpoint import Endpoint, Security
from protocols.errors import Deferred, LoginRefused, Refused, SecurityRefused, UnsafeArgument
from protocols.network import Dialer
from protocols.smtp.connection import Connection
from protocols.smtp.replies import Reply
from protocols.stepping import watched
from protocols.steps import Observer, StepName, ignore
from protocols.tls import TlsTrust
from protocols.transcript import Transcript
from protocols.wire import Wire

_EHLO_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}|\[[A-Za-z0-9.:-]{2,80}\]")


def connect(
    endpoint: Endpoint,
    dialer: Dialer,
    *,
    trust: TlsTrust,
    observe: Observer,
    transcript: Transcript | None,
    ehlo_name: str,
) -> Connection:
    """Dial, protect the line and introduce us. Raises Unreachable, Deferred, Refused, SecurityRefused.

    ehlo_name: our host name; empty: our address in brackets (RFC 5321, 4.1.4).
    """
    if ehlo_name and not _EHLO_NAME.fullmatch(ehlo_name):
        raise UnsafeArgument(f"“{ehlo_name[:80]!r}” is no host name to introduce ourselves with.")
    sock = dialer.connect(endpoint.host, endpoint.port, timeout=endpoint.timeout, observe=observe)
    ehlo_name = ehlo_name or _own_address(sock)
    try:
        if endpoint.security is Security.TLS:
            sock = tls.wrap(sock, endpoint, trust=trust, observe=observe)
        connection = Connection(Wire(sock, timeout=endpoint.timeout), transcript)
        with watched(StepName.GREETING, observe) as step:
            step.detail = str(_greeting(connection))
        if endpoint.security is Security.STARTTLS:
            with watched(StepName.STARTTLS, observe) as step:
                _agree_on_tls(connection, ehlo_name)
                connection.wire.refuse_read_ahead()
                protected = tls.wrap(sock, endpoint, trust=trust, observe=ignore, step=StepName.STARTTLS)
                connection.wire.protect(protected)
                certificate = tls.describe(protected.getpeercert(binary_form=True) or b"")
                step.detail = tls.summary(protected.version(), certificate)
        with watched(StepName.CAPABILITIES, observe) as step:
            _introduce(connection, ehlo_name)
            step.detail = ", ".join(f"{name} {value}".strip() for name, value in connection.capabilities.items())
    except BaseException:
        sock.close()
        raise
    return connection


def log_in(connection: Connection, credentials: Credentials) -> None:
    """AUTH PLAIN or LOGIN, whichever EHLO offers. Raises LoginRefused, Deferred, or Refused without either."""
    mechanisms = connection.capabilities.get("AUTH", "").split()
    username, password = credentials.username, credentials.password.reveal()
    if any(character in f"{username}{password}" for character in "\r\n\0"):
        raise UnsafeArgument("A line break or a NUL character cannot be part of a user name or password.")
    if "PLAIN" in mechanisms:
        reply = connection.ask(f"AUTH PLAIN {_base64(f'{chr(0)}{username}{chr(0)}{password}')}", shown="AUTH PLAIN ***")
    elif "LOGIN" in mechanisms:
        reply = connection.ask("AUTH LOGIN")
        for answer in (username, password):
            if reply.code == 334:
                reply = connection.ask(_base64(answer), shown="***")
    else:
        offered = " ".join(mechanisms) or "none"
        raise Refused(
            f"The server takes no password on this line (it offers: {offered}).",
            reply=f"AUTH methods offered: {offered}",
        )
    if reply.code == 334:  # an error challenge: an empty answer gets the refusal (RFC 4954, 4)
        reply = connection.ask("*")
    if reply.transient:
        raise Deferred("The server asks to come back later.", reply=str(reply), code=reply.code)
    if not reply.positive:
        raise LoginRefused("The server refused the user name or password.", reply=str(reply), code=reply.code)


def line_before_tls(endpoint: Endpoint, dialer: Dialer) -> socket.socket:
    """A second connection, brought to where TLS starts, on which a certificate can be looked at; nothing else."""
    sock = dialer.connect(endpoint.host, endpoint.port, timeout=min(endpoint.timeout, tls.HANDSHAKE_TIMEOUT))
    if endpoint.security is Security.STARTTLS:
        try:
            connection = Connection(Wire(sock, timeout=tls.HANDSHAKE_TIMEOUT))
            _greeting(connection)
            _agree_on_tls(connection, _own_address(sock))
        except BaseException:
            sock.close()
            raise
    return sock


def _greeting(connection: Connection) -> Reply:
    reply = connection.reply()
    if reply.code != 220:
        raise reply.failure("The server refused the connection.")
    return reply


def _introduce(connection: Connection, ehlo_name: str) -> None:
    """EHLO, or HELO where that is unknown; what was offered before TLS is forgotten (RFC 3207, 4.2)."""
    connection.capabilities = {}
    reply = connection.ask(f"EHLO {ehlo_name}")
    if reply.code in (500, 502, 504):
        reply = connection.ask(f"HELO {ehlo_name}")
        if reply.positive:
            return
    if not reply.positive:
        raise reply.failure("The server refused our introduction.")
    for line in reply.lines[1:]:
        keyword, _, parameters = line.replace("AUTH=", "AUTH ", 1).strip().partition(" ")
        known = connection.capabilities.get(keyword.upper(), "")
        connection.capabilities[keyword.upper()] = f"{known} {parameters.strip().upper()}".strip()


def _agree_on_tls(connection: Connection, ehlo_name: str) -> None:
    _introduce(connection, ehlo_name)
    if "STARTTLS" not in connection.capabilities:
        offered = " ".join(connection.capabilities) or "nothing"
        raise SecurityRefused("The server does not offer STARTTLS on this port.", reply=f"EHLO offers: {offered}")
    reply = connection.ask("STARTTLS")
    if reply.transient:
        raise Deferred("The server cannot start TLS just now.", reply=str(reply), code=reply.code)
    if reply.code != 220:
        raise SecurityRefused("The server refused to start TLS.", reply=str(reply), code=reply.code)


def _own_address(sock: socket.socket) -> str:
    address = str(sock.getsockname()[0]).partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")
