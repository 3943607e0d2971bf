"""Where the mail behind one login goes now: to its own server, to the one that stands in for it, or nowhere yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from accounts.models import Mailbox
from delivery.hindrances import Hindrance, refused_login, waiting_for_login
from delivery.logins import Login
from delivery.models.routes import Route
from mailservers.circuits import Circuit
from mailservers.limits import Limits
from mailservers.models import MailServer
from protocols.endpoint import Endpoint, Security
from providers.models import Provider


@dataclass(frozen=True, slots=True)
class Way:
    """One login at one server, through which messages go.

    route:  whose limits and connections count: that of the login, which for a detour is not that of the messages.
    server: None where a mailbox sends with its own login.
    detour: why messages do not go through their own server; empty where they do.
    probe:  the circuit that is tried with the first message; None while the server is known to answer.
    """

    route: Route
    endpoint: Endpoint
    login: Login
    server: MailServer | None = None
    provider: Provider | None = None
    detour: str = ""
    probe: Circuit | None = None

    @property
    def limits(self) -> Limits:
        return self.route.limits

    @property
    def organization_pk(self) -> int:
        return self.route.organization_pk


def way_of(route: Route, now: datetime) -> Way | Hindrance:
    """Return the way that messages behind `route` take now, or what all of them wait for."""
    server, mailbox = route.mail_server, route.mailbox
    if server is None:
        assert mailbox is not None
        return _own_way(route, mailbox, now)
    if waiting := refused_login(Login.at(server), f"the mail server “{server}”", now) or held(route, now):
        return waiting
    way = _through(route, server)
    circuit = Circuit.objects.to(server.organization_id, way.endpoint).open().first()
    if circuit is None:
        return way
    if circuit.may_probe(now):
        return _probing(way, circuit)
    return _around(server, circuit, now) or unreachable(circuit, now)


def _own_way(route: Route, mailbox: Mailbox, now: datetime) -> Way | Hindrance:
    endpoint = mailbox.outgoing()
    if endpoint is None:  # each message of it fails before anything is dialled, and says why
        return Way(route, Endpoint("", 0, Security.NONE), Login.of(mailbox))
    if waiting := waiting_for_login(mailbox, now) or held(route, now):
        return waiting
    way = Way(route, endpoint, Login.of(mailbox), provider=mailbox.provider)
    circuit = Circuit.objects.to(mailbox.organization_id, endpoint).open().first()
    if circuit is None:
        return way
    return _probing(way, circuit) if circuit.may_probe(now) else unreachable(circuit, now)


def held(route: Route, now: datetime) -> Hindrance | None:
    """The pause that the server asked for, while it lasts."""
    if route.held_until is None or route.held_until <= now:
        return None
    return Hindrance(route.held_for, route.held_until)


def unreachable(circuit: Circuit, now: datetime) -> Hindrance:
    """What waits behind an open circuit is told, with when somebody looks again."""
    assert circuit.opened_at is not None
    until = circuit.next_look(now)
    return Hindrance(
        f"{circuit} could not be reached {circuit.failures} times in a row, the last time: {circuit.words} "
        f"It is looked after again at {clock(until)}.",
        until,
    )


def clock(moment: datetime) -> str:
    """A moment of today in a note that several people read."""
    return f"{moment.astimezone(UTC):%H:%M} UTC"


def _through(route: Route, server: MailServer, detour: str = "") -> Way:
    return Way(route, server.endpoint(), Login.at(server), server, server.provider, detour)


def _probing(way: Way, circuit: Circuit) -> Way:
    return Way(way.route, way.endpoint, way.login, way.server, way.provider, probe=circuit)


def _around(server: MailServer, circuit: Circuit, now: datetime) -> Way | None:
    """The way through the server that an administrator named for this case, where that one works; else None.

    One step only: what stands in for a server has nobody standing in for itself.
    """
    other = server.fallback
    if other is None or other.organization_id != server.organization_id:
        return None
    route = Route.objects.through(other)
    if refused_login(Login.at(other), str(other), now) or held(route, now):
        return None
    if Circuit.objects.to(other.organization_id, other.endpoint()).open().exists():
        return None
    since = clock(circuit.opened_at) if circuit.opened_at else ""
    return _through(route, other, f"“{server}” could not be reached since {since}, and “{other}” stands in for it.")
