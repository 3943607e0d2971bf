"""From a host name to a logged-in connection: greeting, STARTTLS, capabilities, login (RFC 9051, 3 and 6.2).

The chosen security is kept or the connection ends: STARTTLS is never "if offered", nothing is believed that was
said before TLS, and a server that claims we are logged in before TLS is left at once.
"""

from __future__ import annotations

import base64
import socket

from protocols import tls
from protocols.credentials import Credentials
from protocols.endpoint import Endpoint, Security
from protocols.errors import LoginRefused, Refused, SecurityRefused
from protocols.imap.connection import Connection, astring
from protocols.imap.responses import response_code
from protocols.network import Dialer
from protocols.stepping import watched
from protocols.steps import Observer, StepName, ignore
from protocols.tls import TlsTrust
from protocols.transcript import Transcript
from protocols.wire import Wire

CLIENT_ID = b'("name" "emailsettings" "version" "1")'


def connect(
    endpoint: Endpoint, dialer: Dialer, *, trust: TlsTrust, observe: Observer, transcript: Transcript | None
) -> tuple[Connection, bool]:
    """Dial and protect the line; return the connection and whether the server took us in without a login (PREAUTH).

    Raises Unreachable and its kinds, Deferred (too busy), SecurityRefused, ProtocolViolation.
    """
    sock = dialer.connect(endpoint.host, endpoint.port, timeout=endpoint.timeout, observe=observe)
    try:
        if endpoint.security is Security.TLS:
            sock = tls.wrap(sock, endpoint, trust=trust, observe=observe)
        connection = Connection(Wire(sock, timeout=endpoint.timeout), transcript)
        with watched(StepName.GREETING, observe) as step:
            greeting = connection.greeting()
            step.detail = greeting.text
        if endpoint.security is Security.STARTTLS:
            with watched(StepName.STARTTLS, observe) as step:
                _agree_on_tls(connection, preauthenticated=greeting.kind == b"PREAUTH")
                # Before anything is answered: octets that came along with the go-ahead must not be read as TLS.
                step.detail = _protect(connection, endpoint, trust)
                sock = connection.wire.sock
        with watched(StepName.CAPABILITIES, observe) as step:
            # What came in the clear before STARTTLS does not count, whatever it says.
            if endpoint.security is Security.STARTTLS or not _told(connection, greeting.text):
                ask_capabilities(connection)
            step.detail = " ".join(sorted(connection.capabilities))
    except BaseException:
        sock.close()
        raise
    return connection, greeting.kind == b"PREAUTH"


def log_in(connection: Connection, credentials: Credentials) -> None:
    """Offer the credentials. Raises LoginRefused, Deferred, or Refused where the server takes none on this line."""
    username, password = credentials.username, credentials.password.reveal()
    takes_names = "ID" in connection.capabilities
    plain = f"{username}{password}".isascii() and "LOGINDISABLED" not in connection.capabilities
    try:
        if plain or "AUTH=PLAIN" not in connection.capabilities:
            if "LOGINDISABLED" in connection.capabilities:
                raise SecurityRefused("The server takes no password on an unprotected line; choose TLS or STARTTLS.")
            connection.command(b"LOGIN", astring(username), astring(password), secret=True)
        else:
            astring(username), astring(password)  # refuses what must not be in either
            response = base64.b64encode(f"\0{username}\0{password}".encode())
            connection.authenticate(b"PLAIN", response)
    except Refused as exc:
        refused_by_server = type(exc) is Refused
        if refused_by_server and (connection.status == "NO" or "AUTH" in response_code(exc.reply)[0]):
            raise LoginRefused("The server refused the user name or password.", reply=exc.reply) from exc
        raise
    if not _told(connection, connection.answer):
        ask_capabilities(connection)
    if takes_names or "ID" in connection.capabilities:
        introduce(connection)


def compress(connection: Connection) -> None:
    """Compress both directions from here on where the server offers it (RFC 4978); without it nothing changes."""
    if "COMPRESS=DEFLATE" not in connection.capabilities:
        return
    try:
        connection.command(b"COMPRESS", b"DEFLATE")
    except Refused:
        return
    connection.wire.compress()


def introduce(connection: Connection) -> None:
    """Say who we are (RFC 2971): some servers open no folder to a client that did not. A refusal does not matter."""
    try:
        connection.command(b"ID", CLIENT_ID)
    except Refused:
        return


def ask_capabilities(connection: Connection) -> None:
    """Ask anew: what was said before TLS or before the login no longer counts (RFC 9051, 6.1.1)."""
    connection.capabilities = frozenset()
    answers = connection.command(b"CAPABILITY", wanted={b"CAPABILITY"})
    connection.capabilities = frozenset(
        word.decode("ascii", "replace").upper() for answer in answers for word in answer.parts[0].split()
    )


def _told(connection: Connection, text: str) -> bool:
    """Take the capabilities out of a greeting or of the answer to the login (RFC 9051, 7.1); False: none are there."""
    code, argument = response_code(text)
    if code != "CAPABILITY":
        return False
    connection.capabilities = frozenset(argument.upper().split())
    return True


def line_before_tls(endpoint: Endpoint, dialer: Dialer) -> socket.socket:
    """A second connection, brought to where TLS starts, on which a certificate can be looked at; nothing else."""
    sock = dialer.connect(endpoint.host, endpoint.port, timeout=min(endpoint.timeout, tls.HANDSHAKE_TIMEOUT))
    if endpoint.security is Security.STARTTLS:
        try:
            connection = Connection(Wire(sock, timeout=tls.HANDSHAKE_TIMEOUT))
            _agree_on_tls(connection, preauthenticated=connection.greeting().kind == b"PREAUTH")
        except BaseException:
            sock.close()
            raise
    return sock


def _agree_on_tls(connection: Connection, *, preauthenticated: bool) -> None:
    if preauthenticated:
        raise SecurityRefused("The server claims a login before TLS has started; the line may be tampered with.")
    ask_capabilities(connection)
    if "STARTTLS" not in connection.capabilities:
        offered = " ".join(sorted(connection.capabilities))
        raise SecurityRefused("The server does not offer STARTTLS on this port.", reply=f"CAPABILITY {offered}")
    try:
        connection.command(b"STARTTLS")
    except Refused as exc:
        raise SecurityRefused("The server refused to start TLS.", reply=exc.reply) from exc


def _protect(connection: Connection, endpoint: Endpoint, trust: TlsTrust) -> str:
    connection.wire.refuse_read_ahead()
    protected = tls.wrap(connection.wire.sock, endpoint, trust=trust, observe=ignore, step=StepName.STARTTLS)
    connection.wire.protect(protected)
    return tls.summary(protected.version(), tls.describe(protected.getpeercert(binary_form=True) or b""))
