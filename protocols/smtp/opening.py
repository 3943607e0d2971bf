"""From a host name to a connection that is protected and introduced: greeting, EHLO, STARTTLS (RFC 5321, 3207)."""

from __future__ import annotations

import re
import socket

from protocols import tls
from protocols.endpoint import Endpoint, Security
from protocols.errors import SecurityRefused, UnsafeArgument
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
        connection = Connection(Wire(sock, timeout=endpoint.timeout), transcript, server=str(endpoint))
        with watched(StepName.GREETING, observe) as step:
            step.detail = str(_greeting(connection))
        if endpoint.security is Security.STARTTLS:
            with watched(StepName.STARTTLS, observe) as step:
                _agree_on_tls(connection, ehlo_name)
                connection.wire.refuse_read_ahead()
                protected = tls.wrap(sock, endpoint, trust=trust, observe=ignore, step=StepName.STARTTLS)
                connection.wire.protect(protected)
                sock = protected
                certificate = tls.describe(protected.getpeercert(binary_form=True) or b"")
                step.detail = tls.summary(protected.version(), certificate)
        with watched(StepName.CAPABILITIES, observe) as step:
            _introduce(connection, ehlo_name)
            step.detail = ", ".join(f"{name} {value}".strip() for name, value in connection.capabilities.items())
    except BaseException:
        sock.close()
        raise
    return connection


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
    if reply.code != 220:
        raise reply.failure("The server refused to start TLS.", SecurityRefused)


def _own_address(sock: socket.socket) -> str:
    address = str(sock.getsockname()[0]).partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
