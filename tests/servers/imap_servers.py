"""Real IMAP servers of several makers, started when a test first asks and kept until the run ends.

A conftest.py takes `fleet` and asks it for a server by name: `fleet.server("pymap")`.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from protocols.credentials import Credentials, Secret
from protocols.endpoint import Endpoint, Security
from protocols.network import Dialer, DialPolicy
from tests.servers import dovecot, installed
from tests.servers.processes import accepts, free_port, private_folder, start, stop, unavailable, wait_until

PASSWORD = "correct-horse"
PREPARED_USERS = 60


@dataclass(frozen=True)
class ImapServer:
    """A running server without TLS on loopback.

    prefix:    what the names of a user's own folders begin with ("INBOX." at Courier).
    delimiter: between the levels of a name.
    new_user:  credentials of a user nobody has used yet.
    """

    name: str
    port: int
    new_user: Callable[[], Credentials]
    prefix: str = ""
    delimiter: str = "/"

    @property
    def dialer(self) -> Dialer:
        return Dialer(DialPolicy(endpoints=frozenset({("127.0.0.1", self.port)})))

    def endpoint(self, *, timeout: float = 20.0) -> Endpoint:
        return Endpoint("127.0.0.1", self.port, Security.NONE, timeout)


class Fleet:
    """Starts each kind of server at most once."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._running: dict[str, ImapServer] = {}

    def server(self, name: str) -> ImapServer:
        if name not in self._running:
            self._running[name] = self._stack.enter_context(KINDS[name]())
        return self._running[name]


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(stack)


def any_user() -> Credentials:
    return Credentials(f"alice-{secrets.token_hex(6)}@example.org", Secret(PASSWORD))


@contextmanager
def a_dovecot(name: str, more: str = "") -> Iterator[ImapServer]:
    if not Path(dovecot.BINARY).exists():
        unavailable("Dovecot is not installed")
    with dovecot.running_dovecot(more=more) as server:
        yield ImapServer(name, server.plain_port, server.new_user)


@contextmanager
def a_pymap() -> Iterator[ImapServer]:
    port = free_port()
    with private_folder("pymap-") as folder:
        command = [sys.executable, "-m", "tests.servers._pymap", str(port), PASSWORD]
        process = start(command, log=folder / "log", folder=Path.cwd())
        try:
            wait_until(lambda: accepts(port) or process.poll() is not None, "an answer of pymap")
            assert process.poll() is None, (folder / "log").read_text()[-2000:]
            yield ImapServer("pymap", port, any_user)
        finally:
            stop(process)


@contextmanager
def a_cyrus() -> Iterator[ImapServer]:
    packages = ("cyrus-imapd", "sasl2-bin")
    with installed.running("cyrus", packages, PASSWORD, str(PREPARED_USERS)) as port:
        yield ImapServer("cyrus", port, prepared_users())


@contextmanager
def a_courier() -> Iterator[ImapServer]:
    packages = ("courier-imap", "courier-authdaemon")
    with installed.running("courier", packages, PASSWORD, str(PREPARED_USERS)) as port:
        yield ImapServer("courier", port, prepared_users(), prefix="INBOX.", delimiter=".")


def prepared_users() -> Callable[[], Credentials]:
    """Users that the server was started with, each once."""
    numbers = iter(range(1, PREPARED_USERS + 1))
    return lambda: Credentials(f"user{next(numbers)}", Secret(PASSWORD))


COMPRESSED = "protocol imap {\n  mail_plugins = imap_zlib\n}\n"
# A server with fewer capabilities is a server whose extensions we do not see.
WITHOUT_QRESYNC = "imap_capability = IMAP4rev1 SASL-IR LITERAL+ ID ENABLE UIDPLUS CONDSTORE ESEARCH\n"
BARE = "imap_capability = IMAP4rev1\n"

KINDS: dict[str, Callable[[], AbstractContextManager[ImapServer]]] = {
    "dovecot": lambda: a_dovecot("dovecot"),
    "dovecot compressed": lambda: a_dovecot("dovecot compressed", COMPRESSED),
    "dovecot without QRESYNC": lambda: a_dovecot("dovecot without QRESYNC", WITHOUT_QRESYNC),
    "dovecot as IMAP4rev1": lambda: a_dovecot("dovecot as IMAP4rev1", BARE),
    "pymap": a_pymap,
    "cyrus": a_cyrus,
    "courier": a_courier,
}
