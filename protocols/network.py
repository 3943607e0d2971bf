"""The one guarded dialer: every connection to a host that a person typed is opened here (spec J2, threat T1).

A name is resolved once. Every address it has must be public, or allowed by the administrator, else the name is
refused as a whole; then the checked address itself is dialed, so that a second answer from the DNS changes nothing.
A refusal is one sentence: no step, no banner, no timing, so that nobody can scan the inner network with it.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from time import monotonic
from types import MappingProxyType

import idna

from protocols.errors import DestinationRefused, Unreachable
from protocols.stepping import Stopwatch, watched
from protocols.steps import Observer, Step, StepName, StepStatus, ignore

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], list[str]]

MAIL_PORTS = frozenset({25, 465, 587, 143, 993, 2525})
CONNECT_TIMEOUT = 10.0  # seconds for all addresses together
NEXT_ADDRESS_AFTER = 3.0  # seconds before a silent address gives way to the next one
ADDRESSES_TRIED = 6

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_NUMERIC_LABEL = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST_6 = ipaddress.IPv6Network("2000::/3")
# Listed here and not left to `is_global`, whose table differs between Python releases.
_SPECIAL = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
        "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "2001::/23", "2001:db8::/32", "3fff::/20",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DialPolicy:
    """Where we may connect to.

    ports:     open to every allowed address.
    networks:  non-public networks that the administrator allows.
    endpoints: exact (address, port) pairs let through whatever the other rules say: the sandbox. A name instead of
               an address lets through the loopback addresses of that name.
    names:     names pinned to an address and never looked up; the address is checked like any other.
    """

    ports: frozenset[int] = MAIL_PORTS
    networks: tuple[IpNetwork, ...] = ()
    endpoints: frozenset[tuple[str, int]] = frozenset()
    names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def allows_port(self, port: int) -> bool:
        return port in self.ports or any(port == allowed for _, allowed in self.endpoints)

    def allows(self, name: str, address: IpAddress, port: int) -> bool:
        """Tell whether `address`, found under `name`, may be dialed on `port`."""
        if address.is_unspecified or address.is_multicast:
            return False
        if (str(address), port) in self.endpoints or (address.is_loopback and (name, port) in self.endpoints):
            return True
        listed = any(address.version == network.version and address in network for network in self.networks)
        return port in self.ports and (listed or is_public(address))


def is_public(address: IpAddress) -> bool:
    """Tell whether the public Internet routes `address`, and the IPv4 address inside a 6to4 or NAT64 one."""
    if any(address.version == network.version and address in network for network in _SPECIAL):
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global
    if address.scope_id is not None:
        return False
    if address in _NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if address.sixtofour is not None:
        return is_public(address.sixtofour)
    return address in _GLOBAL_UNICAST_6 and address.is_global


def literal_address(host: str) -> IpAddress | None:
    """Read every spelling of an address that a system resolver would accept (`127.1`, `0x7f.1`, `[::1]`); else None."""
    text = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        try:
            address = ipaddress.IPv4Address(socket.inet_aton(text))
        except (OSError, ValueError):
            return None
    return address.ipv4_mapped or address if isinstance(address, ipaddress.IPv6Address) else address


def dns_name(host: str) -> str:
    """Return `host` as the ASCII name that goes to the DNS and into the certificate check (RFC 5891).

    Raises DestinationRefused with one sentence when it cannot be a host name.
    """
    text = host.strip().lower()
    if len(text) > 1000 or any(character.isspace() or not character.isprintable() for character in text):
        raise DestinationRefused("A host name has no spaces or control characters; check it for typing errors.")
    try:
        name = text if text.isascii() else idna.encode(text, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as exc:
        raise DestinationRefused(f"“{host[:100]}” is not a host name; check it for typing errors.") from exc
    name = name.removesuffix(".")
    if literal_address(name) is not None:
        return name
    labels = name.split(".")
    well_formed = len(name) <= 253 and all(_LABEL.fullmatch(label) for label in labels)
    if not well_formed or _NUMERIC_LABEL.fullmatch(labels[-1]):
        raise DestinationRefused(f"“{host[:100]}” is not a host name; check it for typing errors.")
    return name


_lookups = threading.BoundedSemaphore(64)  # a resolver that hangs must not pile up threads


def system_resolver(host: str, port: int) -> list[str]:
    """Ask the operating system, for at most CONNECT_TIMEOUT seconds: getaddrinfo itself knows no timeout.

    Raises OSError when the name has no address, or none came in time.
    """
    answer: list[str] = []
    failure: list[OSError] = []

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.extend(dict.fromkeys(str(address[0]) for *_, address in found))
        except OSError as exc:
            failure.append(exc)
        except UnicodeError as exc:
            failure.append(OSError(str(exc)))
        finally:
            _lookups.release()

    if not _lookups.acquire(timeout=CONNECT_TIMEOUT):
        raise TimeoutError("too many look-ups are waiting for an answer")
    thread = threading.Thread(target=look_up, name="dns-look-up", daemon=True)
    thread.start()
    thread.join(CONNECT_TIMEOUT)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {CONNECT_TIMEOUT:.0f} s")
    if failure:
        raise failure[0]
    return answer


class Dialer:
    """Opens TCP connections within `policy`. Safe to share between threads."""

    def __init__(self, policy: DialPolicy, resolve: Resolver = system_resolver) -> None:
        self.policy = policy
        self._resolve = resolve

    def connect(self, host: str, port: int, *, timeout: float, observe: Observer = ignore) -> socket.socket:
        """Return a connected socket whose reads and writes wait `timeout` seconds; connecting takes at most 10.

        Raises DestinationRefused (our policy, nothing was sent) or Unreachable with the step DNS or TCP.
        """
        if not self.policy.allows_port(port):
            ports = ", ".join(map(str, sorted(self.policy.ports)))
            raise DestinationRefused(f"Port {port} is not open to connections from here; allowed are {ports}.")
        name = dns_name(host)
        watch = Stopwatch()
        addresses, looked_up = self._addresses(name, port, observe)
        if not all(self.policy.allows(name, address, port) for address in addresses):
            raise DestinationRefused(
                f"{name} is not a public mail server; an administrator can allow internal addresses."
            )
        if looked_up:
            observe(Step(StepName.DNS, StepStatus.OK, watch.ms, ", ".join(map(str, addresses[:4]))))
        with watched(StepName.TCP, observe) as tcp:
            sock = _connect_first(_interleaved(addresses)[:ADDRESSES_TRIED], port, min(timeout, CONNECT_TIMEOUT))
            tcp.detail = f"{sock.getpeername()[0]} port {port}"
        sock.settimeout(timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return sock

    def _addresses(self, name: str, port: int, observe: Observer) -> tuple[list[IpAddress], bool]:
        """Return every address of `name`, and whether the DNS was asked."""
        pinned = self.policy.names.get(name, name)
        literal = literal_address(pinned)
        if literal is not None:
            return [literal], False
        watch = Stopwatch()
        try:
            texts = self._resolve(name, port)
            if not texts:
                raise socket.gaierror(socket.EAI_NONAME, "the name has no address")
        except OSError as exc:
            reply = exc.strerror or str(exc)
            observe(Step(StepName.DNS, StepStatus.FAILED, watch.ms, reply))
            raise Unreachable(f"The host name {name} was not found.", reply=reply, step=StepName.DNS) from exc
        found = [literal_address(text) for text in texts]
        if None in found:
            raise DestinationRefused(f"The look-up of {name} gave an answer that is not an address.")
        return [address for address in found if address is not None], True


def _interleaved(addresses: Sequence[IpAddress]) -> list[IpAddress]:
    """Alternate the families, keeping the resolver's order within each: a dead IPv6 costs one attempt (RFC 8305)."""
    first = [address for address in addresses if address.version == addresses[0].version]
    second = [address for address in addresses if address.version != addresses[0].version]
    return [address for address in chain.from_iterable(zip_longest(first, second)) if address is not None]


def _connect_first(addresses: Sequence[IpAddress], port: int, budget: float) -> socket.socket:
    """Connect to the first address that answers within `budget` seconds for all; Unreachable when none does."""
    deadline = monotonic() + budget
    failure = OSError("no address to connect to")
    for left, address in zip(range(len(addresses) - 1, -1, -1), addresses, strict=True):
        remaining = deadline - monotonic()
        if remaining <= 0:
            break
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as exc:
            failure = exc
            continue
        try:
            sock.settimeout(min(remaining, NEXT_ADDRESS_AFTER) if left else remaining)
            sock.connect((str(address), port))
        except OSError as exc:
            sock.close()
            failure = exc
        else:
            return sock
    if isinstance(failure, TimeoutError):
        raise Unreachable(f"Nothing answered on port {port} within {budget:.0f} s.", reply="timed out") from failure
    reply = failure.strerror or str(failure)
    raise Unreachable(f"No connection to port {port}: {reply}.", reply=reply) from failure
