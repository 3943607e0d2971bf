"""What the tests of accounts share: a dialer that reaches loopback, a running sandbox, and forms filled in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_network

import pytest
from django.test import Client
from django.urls import reverse

from accounts import sessions
from accounts.models import Mailbox
from mailservers import checking
from mailservers.models import MailServer
from mailservers.rulebook import load_rules
from organizations.models import Organization, User
from protocols.credentials import Secret
from protocols.network import Dialer, DialPolicy
from providers.models import Provider, ProviderDomain
from providers.sandbox import Sandbox, offer_sandbox
from tests.accounts.forms import Form
from tests.sandbox.running import Running, running
from tests.servers import certificates
from tests.servers.scripted import ScriptedServer

LOOPBACK_NAMES = ("mail.sandbox.test", "imap.sandbox.test", "smtp.sandbox.test")


@pytest.fixture
def reach_loopback(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`reach_loopback(*ports)`: the guard lets these ports through, under the names of the sandbox."""

    def allow(*ports: int) -> None:
        policy = DialPolicy(
            ports=frozenset(ports),
            networks=(ip_network("127.0.0.0/8"),),
            names=dict.fromkeys(LOOPBACK_NAMES, "127.0.0.1"),
        )
        for module in (checking, sessions):
            monkeypatch.setattr(module, "dialer", lambda: Dialer(policy))
            monkeypatch.setattr(module, "trust", certificates.trust)

    return allow


@pytest.fixture
def rules(db: None) -> None:
    load_rules()


@pytest.fixture(scope="session")
def running_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("accounts-sandbox")) as server:
        yield server


@pytest.fixture
def sandbox(running_sandbox: Running, rules: None, reach_loopback: Callable[..., None]) -> Running:
    """The sandbox, recognised by its domain and allowed by the guard, as `./run` sets it up."""
    offer_sandbox(Sandbox(running_sandbox.imap_port, running_sandbox.smtp_port, running_sandbox.password))
    reach_loopback(running_sandbox.imap_port, running_sandbox.smtp_port)
    return running_sandbox


@pytest.fixture
def make_provider(db: None) -> Callable[..., Provider]:
    """`make_provider(key, "domain.example", **fields)`: an entry of the shared catalog."""

    def make(key: str, *domains: str, **fields: object) -> Provider:
        values: dict[str, object] = {
            "name": key.title(),
            "imap_host": f"imap.{key}.example",
            "smtp_host": f"smtp.{key}.example",
        }
        provider = Provider.objects.create(key=key, **{**values, **fields})
        for domain in domains:
            ProviderDomain.objects.create(domain=domain, provider=provider)
        return provider

    return make


@pytest.fixture
def mail_server(organization: Organization) -> MailServer:
    server = MailServer(organization=organization, name="Production", host="smtp.example.org", username="office")
    server.password = Secret("server-secret-1")
    server.save()
    return server


@pytest.fixture
def form_of(client_of: Callable[[User], Client]) -> Callable[..., Form]:
    """`form_of(user, "wizard", **values)`: posts forms as the page does; `form(address="...")` overrides values."""

    def make(user: User, view: str, /, *args: object, **values: object) -> Form:
        return Form(client_of(user), reverse(f"accounts:{view}", args=args), values)

    return make


@pytest.fixture
def scripted(reach_loopback: Callable[..., None]) -> Iterator[Callable[..., ScriptedServer]]:
    """`scripted(script, context=None, tls=False)`: a server under the name mail.sandbox.test."""
    started: list[ScriptedServer] = []

    def start(script: str, context: object = None, *, tls: bool = False) -> ScriptedServer:
        peer = ScriptedServer(script, context, tls=tls)  # type: ignore[arg-type]
        started.append(peer)
        reach_loopback(*(other.port for other in started))
        return peer

    yield start
    for peer in started:
        peer.stop()


def values_of(mailbox: Mailbox) -> dict[str, object]:
    """The values of the edit dialog for a mailbox that is not changed: its password is left blank."""
    return {
        "display_name": mailbox.display_name,
        "mail_server": mailbox.mail_server_id or "",
        **({"sends": "on"} if mailbox.sends else {}),
        "imap_host": mailbox.imap_host,
        "imap_port": mailbox.imap_port,
        "imap_security": mailbox.imap_security,
        "imap_username": mailbox.imap_username,
        "smtp_host": mailbox.smtp_host,
        "smtp_port": mailbox.smtp_port,
        "smtp_security": mailbox.smtp_security,
        "smtp_username": mailbox.smtp_username,
        "password": "",
    }
