"""The dialer lets nobody reach inside: every spelling of a forbidden address ends in one sentence and no connection."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import pytest

from protocols.errors import DestinationRefused, Unreachable
from protocols.network import Dialer, DialPolicy, dns_name, is_public, literal_address, system_resolver
from protocols.steps import Step, StepName, StepStatus

LOOPBACK_SPELLINGS = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f.1", "0x7f000001", "0X7F.0.0.1", "0177.0.0.1", "017700000001",
    "127.0.0.1.", "0", "0.0.0.0", "0x0", "127.255.255.254", "::1", "[::1]", "::", "0:0:0:0:0:0:0:1",
    "::ffff:127.0.0.1", "::ffff:7f00:1", "[::ffff:7f00:1]", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::127.0.0.1",
    "64:ff9b:1::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::", "fe80::1%lo", "fe80::1", "::1%lo", "fec0::1",
    "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1", "3fff::1", "100::1",
    "１２７.0.0.1", "①②⑦.⓪.⓪.①", "127。0。0。1", "127．0．0．1",
    "169.254.169.254", "::ffff:169.254.169.254", "169.254.43518", "2852039166",
    "100.64.0.1", "10.0.0.1", "10.1", "172.16.0.1", "192.168.0.1", "192.168.257", "192.0.0.192", "192.0.0.8",
    "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "203.0.113.7", "192.88.99.1", "0.0.0.1",
]  # fmt: skip
LOOPBACK_NAMES = [
    "localhost", "localhost.", "LOCALHOST", "localhost.localdomain", "ⓛocalhost", "mail.example.org",
    "xn--bcher-kva.example",    "bücher.example", "a" * 63 + ".example",
]  # fmt: skip
JUNK = [
    "", " ", ".", "..", "a..b", "user@127.0.0.1", "user:pw@localhost", "http://127.0.0.1", "127.0.0.1/", "127.0.0.1:80",
    "127.0.0.1 x", "127.0.0.1\r\nX", "local\0host", "127.0.0.1\0.example.org", "-a.example", "a" * 64 + ".example",
    "a." * 130, "1.2.3.4.5", "1.2.3.256", "example.0x7f", "[::1", "::1]", "::g", "exa mple.org", "example.org?x",
    "\u202e.org",
]  # fmt: skip


@contextmanager
def listener() -> Iterator[tuple[int, socket.socket]]:
    """A server on every loopback address that would notice a connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server.getsockname()[1], server


def nobody_came(server: socket.socket) -> bool:
    try:
        server.accept()
    except BlockingIOError:
        return True
    return False


@pytest.mark.proves("J2", "T1")
@pytest.mark.parametrize("host", LOOPBACK_SPELLINGS + LOOPBACK_NAMES + JUNK)
def test_no_spelling_of_a_forbidden_address_is_dialed(host: str) -> None:
    steps: list[Step] = []
    with listener() as (port, server):
        dialer = Dialer(DialPolicy(ports=frozenset({port})), resolve=lambda name, port: ["127.0.0.1"])
        with pytest.raises(DestinationRefused) as refusal:
            dialer.connect(host, port, timeout=1, observe=steps.append)
        assert nobody_came(server)
    assert steps == []
    assert refusal.value.reply == ""


@pytest.mark.proves("J2", "T1")
@pytest.mark.parametrize("bad", ["127.0.0.1", "::1", "10.0.0.8", "fe80::1%eth0", "::ffff:10.0.0.1", "junk"])
def test_one_bad_address_spoils_the_name(bad: str) -> None:
    dialer = Dialer(DialPolicy(), resolve=lambda name, port: ["192.0.43.8", "2001:500:88:200::8", bad])
    with pytest.raises(DestinationRefused):
        dialer.connect("mixed.example.org", 993, timeout=1)


@pytest.mark.proves("J2", "T1")
def test_a_name_that_changes_its_address_is_looked_up_only_once() -> None:
    answers = iter([["192.0.43.8"], ["127.0.0.1"]])
    asked: list[str] = []

    def flipping(name: str, port: int) -> list[str]:
        asked.append(name)
        return next(answers)

    with listener() as (port, server):
        network = ipaddress.ip_network("192.0.43.8/32")
        dialer = Dialer(DialPolicy(ports=frozenset({port}), networks=(network,)), resolve=flipping)
        with pytest.raises(Unreachable):
            dialer.connect("flip.example.org", port, timeout=0.3)
        assert nobody_came(server)
    assert asked == ["flip.example.org"]


@pytest.mark.proves("J2", "T1")
def test_a_refusal_takes_no_longer_for_an_open_port_than_for_a_closed_one() -> None:
    with listener() as (open_port, _), listener() as (closed_port, closing):
        closing.close()
        dialer = Dialer(DialPolicy(ports=frozenset({open_port, closed_port})))
        best = dict.fromkeys((open_port, closed_port), 1.0)
        for port in list(best) * 10:  # the best of ten, since other work on the machine only adds
            began = monotonic()
            with pytest.raises(DestinationRefused):
                dialer.connect("127.0.0.1", port, timeout=1)
            best[port] = min(best[port], monotonic() - began)
    assert abs(best[open_port] - best[closed_port]) < 0.01


@pytest.mark.proves("J2", "T1")
@pytest.mark.parametrize("port", [22, 80, 6379, 0, -1, 65536, 99999])
def test_only_mail_ports_are_dialed(port: int) -> None:
    with pytest.raises(DestinationRefused, match="allowed are 25, 143, 465"):
        Dialer(DialPolicy(), resolve=lambda name, port: ["192.0.43.8"]).connect("mail.example.org", port, timeout=1)


def test_an_allowed_network_is_reached_and_both_steps_are_told() -> None:
    steps: list[Step] = []
    with listener() as (port, _):
        policy = DialPolicy(ports=frozenset({port}), networks=(ipaddress.ip_network("127.0.0.0/8"),))
        dialer = Dialer(policy, resolve=lambda name, port: ["127.0.0.1"])
        with dialer.connect("mail.internal", port, timeout=7, observe=steps.append) as sock:
            assert sock.gettimeout() == 7
    assert [(step.name, step.status) for step in steps] == [
        (StepName.DNS, StepStatus.OK),
        (StepName.TCP, StepStatus.OK),
    ]
    assert steps[1].detail == f"127.0.0.1 port {port}"


def test_the_sandbox_is_reached_by_its_pinned_name_and_nothing_else_there() -> None:
    with listener() as (port, _), listener() as (other, _):
        policy = DialPolicy(endpoints=frozenset({("127.0.0.1", port)}), names={"imap.sandbox.test": "127.0.0.1"})
        dialer = Dialer(policy)
        dialer.connect("imap.sandbox.test", port, timeout=1).close()
        dialer.connect("127.0.0.1", port, timeout=1).close()
        for refused in (other, 993):
            with pytest.raises(DestinationRefused):
                dialer.connect("imap.sandbox.test", refused, timeout=1)


def test_a_loopback_name_can_be_let_through_with_its_port() -> None:
    with listener() as (port, _):
        dialer = Dialer(
            DialPolicy(endpoints=frozenset({("localhost", port)})), resolve=lambda name, port: ["127.0.0.1"]
        )
        dialer.connect("localhost", port, timeout=1).close()
        with pytest.raises(DestinationRefused):
            dialer.connect("other.example.org", port, timeout=1)


@pytest.mark.proves("R37")
def test_a_dead_first_address_gives_way_to_the_next_one_in_time() -> None:
    with listener() as (port, _):
        networks = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::/0"))
        policy = DialPolicy(ports=frozenset({port}), networks=networks)
        addresses = ["2001:db8::1", "2001:db8::2", "127.0.0.1"]
        began = monotonic()
        with Dialer(policy, resolve=lambda name, port: addresses).connect("dual.example.org", port, timeout=30) as sock:
            assert sock.family is socket.AF_INET
        assert monotonic() - began < 15


def test_an_unknown_name_says_so_at_the_dns_step() -> None:
    steps: list[Step] = []

    def unknown(name: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(Unreachable) as failure:
        Dialer(DialPolicy(), resolve=unknown).connect("nowhere.example", 993, timeout=1, observe=steps.append)
    assert failure.value.step is StepName.DNS
    assert failure.value.reply == "Name or service not known"
    assert [(step.name, step.status) for step in steps] == [(StepName.DNS, StepStatus.FAILED)]


def test_a_closed_port_says_so_at_the_tcp_step() -> None:
    steps: list[Step] = []
    with listener() as (port, server):
        server.close()
        policy = DialPolicy(endpoints=frozenset({("127.0.0.1", port)}))
        with pytest.raises(Unreachable) as failure:
            Dialer(policy).connect("127.0.0.1", port, timeout=1, observe=steps.append)
    assert failure.value.step is StepName.TCP
    assert failure.value.reply == "Connection refused"
    assert [(step.name, step.status) for step in steps] == [(StepName.TCP, StepStatus.FAILED)]


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("Mail.Example.ORG.", "mail.example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("a_b.example", "a_b.example"),
    ],
)
def test_names_reach_the_dns_in_ascii(typed: str, asked: str) -> None:
    assert dns_name(typed) == asked


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "192.0.43.8", "64:ff9b::808:808", "2002:808:808::1"])
def test_public_addresses_pass(address: str) -> None:
    found = literal_address(address)
    assert found is not None
    assert is_public(found)


def test_the_system_resolver_knows_this_machine() -> None:
    assert "127.0.0.1" in system_resolver("localhost", 143) or "::1" in system_resolver("localhost", 143)
