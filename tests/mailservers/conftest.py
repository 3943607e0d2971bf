from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_network

import pytest

from mailservers import checking, test_message
from mailservers.models import MailServer
from mailservers.rulebook import load_rules
from organizations.models import Organization
from protocols.credentials import Secret
from protocols.network import Dialer, DialPolicy
from protocols.tls import TlsTrust
from tests.servers.certificates import trust
from tests.servers.scripted import ScriptedServer

STORED = "stored-secret-7391"


@pytest.fixture
def make_server(organization: Organization) -> Callable[..., MailServer]:
    def make(name: str = "Production", *, password: str = STORED, **fields: object) -> MailServer:
        values: dict[str, object] = {
            "organization": organization,
            "name": name,
            "host": "smtp.example.org",
            "username": "office@example.org",
        }
        server = MailServer(**{**values, **fields})
        server.password = Secret(password)
        server.save()
        return server

    return make


@pytest.fixture
def server(make_server: Callable[..., MailServer]) -> MailServer:
    return make_server()


@pytest.fixture
def rules(db: None) -> None:
    load_rules()


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ScriptedServer]]:
    """`scripted(script, context=None, tls=False)`: a server that the checks may dial as 127.0.0.1."""
    started: list[ScriptedServer] = []

    def start(script: str, context: object = None, *, tls: bool = False) -> ScriptedServer:
        peer = ScriptedServer(script, context, tls=tls)  # type: ignore[arg-type]
        started.append(peer)
        let_through(monkeypatch, *(other.port for other in started))
        return peer

    yield start
    for peer in started:
        peer.stop()


def let_through(monkeypatch: pytest.MonkeyPatch, *ports: int, trusting: TlsTrust | None = None) -> None:
    """Dial loopback on these ports, as an administrator's allow-list would permit."""
    policy = DialPolicy(
        ports=frozenset(ports), networks=(ip_network("127.0.0.0/8"),), names={"mail.sandbox.test": "127.0.0.1"}
    )
    for module in (checking, test_message):
        monkeypatch.setattr(module, "dialer", lambda: Dialer(policy))
        monkeypatch.setattr(module, "trust", lambda: trusting or trust())
