"""A certificate that proves nothing is refused, each kind with its reason, before anything of ours is sent."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest

from protocols import tls
from protocols.endpoint import Endpoint, Security
from protocols.errors import CertificateProblem, CertificateRefused, Unreachable
from protocols.network import Dialer, DialPolicy
from protocols.steps import Step, StepName, StepStatus
from protocols.tls import TlsTrust
from tests.servers import certificates
from tests.servers.scripted import ScriptedServer, scripted


def dialer_to(server: ScriptedServer) -> Dialer:
    endpoints = frozenset({("127.0.0.1", server.port)})
    names = {certificates.NAME: "127.0.0.1", "other.sandbox.test": "127.0.0.1"}
    return Dialer(DialPolicy(endpoints=endpoints, names=names))


def shake_hands(
    server: ScriptedServer,
    *,
    host: str = certificates.NAME,
    trust: TlsTrust | None = None,
    observe: Callable[[Step], None] = lambda step: None,
) -> ssl.SSLSocket:
    endpoint = Endpoint(host, server.port, Security.TLS, timeout=5)
    sock = dialer_to(server).connect(host, server.port, timeout=5)
    return tls.wrap(sock, endpoint, trust=certificates.trust() if trust is None else trust, observe=observe)


@pytest.mark.proves("T6")
@pytest.mark.parametrize(
    ("context", "problem"),
    [
        (certificates.expired, CertificateProblem.EXPIRED),
        (certificates.not_yet_valid, CertificateProblem.NOT_YET_VALID),
        (certificates.self_signed, CertificateProblem.SELF_SIGNED),
        (certificates.from_a_stranger, CertificateProblem.UNKNOWN_ISSUER),
        (certificates.with_the_chain_of_a_stranger, CertificateProblem.UNKNOWN_ISSUER),
        (certificates.signed_with_sha1, CertificateProblem.OTHER),
    ],
)
def test_a_certificate_that_proves_nothing_is_refused(
    context: Callable[[], ssl.SSLContext], problem: CertificateProblem
) -> None:
    steps: list[Step] = []
    with scripted("STALL", context=context(), tls=True) as server, pytest.raises(CertificateRefused) as refusal:
        shake_hands(server, observe=steps.append)
    assert refusal.value.problem is problem
    assert refusal.value.step is StepName.TLS
    assert "certificate verify failed" in refusal.value.reply
    assert [(step.name, step.status) for step in steps] == [(StepName.TLS, StepStatus.FAILED)]


@pytest.mark.proves("T6")
@pytest.mark.parametrize("host", ["other.sandbox.test", "127.0.0.1"])
def test_a_certificate_for_another_name_is_refused(host: str) -> None:
    context = certificates.good("imap.hoster.example", "*.hoster.example")
    with scripted("STALL", context=context, tls=True) as server, pytest.raises(CertificateRefused) as refusal:
        shake_hands(server, host=host)
    assert refusal.value.problem is CertificateProblem.WRONG_NAME


@pytest.mark.proves("T6")
def test_tls_1_1_is_too_old() -> None:
    with scripted("STALL", context=certificates.only_tls_1_1(), tls=True) as server, pytest.raises(Unreachable):
        shake_hands(server)


@pytest.mark.proves("T6")
def test_the_host_is_named_in_the_handshake() -> None:
    with scripted("STALL", context=certificates.right_only_with_sni(), tls=True) as server:
        shake_hands(server).close()


def test_a_good_certificate_is_described() -> None:
    steps: list[Step] = []
    with scripted("STALL", context=certificates.good(), tls=True) as server:
        shake_hands(server, observe=steps.append).close()
    [step] = steps
    assert step.status is StepStatus.OK
    assert step.detail.startswith("TLS 1.3, certificate from trustme")
    assert "expires " in step.detail


def test_the_test_authority_is_trusted_only_where_it_is_given() -> None:
    with scripted("STALL", context=certificates.good(), tls=True) as server:
        with pytest.raises(CertificateRefused):
            shake_hands(server, trust=TlsTrust())
        shake_hands(server).close()


def test_a_pinned_certificate_is_accepted_and_no_other() -> None:
    with scripted("STALL", context=certificates.self_signed(), tls=True) as server:
        endpoint = Endpoint("127.0.0.1", server.port, Security.TLS)
        seen = tls.peek(dialer_to(server).connect("127.0.0.1", server.port, timeout=5), endpoint)
        assert seen is not None
        assert seen.names == (certificates.NAME,)
        shake_hands(server, trust=TlsTrust(fingerprint=seen.fingerprint.upper())).close()
        with pytest.raises(CertificateRefused) as refusal:
            shake_hands(server, trust=TlsTrust(fingerprint="00" * 32))
    assert refusal.value.problem is CertificateProblem.WRONG_FINGERPRINT
    assert refusal.value.fingerprint == seen.fingerprint


def test_a_server_that_speaks_in_the_clear_says_wrong_version() -> None:
    with scripted("S: * OK in the clear\nSTALL") as server, pytest.raises(Unreachable) as failure:
        shake_hands(server)
    assert failure.value.step is StepName.TLS
    assert "WRONG_VERSION_NUMBER" in failure.value.reply


def test_a_server_that_hangs_up_in_the_handshake_is_unreachable() -> None:
    with scripted("CLOSE") as server, pytest.raises(Unreachable) as failure:
        shake_hands(server)
    assert failure.value.step is StepName.TLS


def test_there_is_one_context_for_each_trust() -> None:
    assert tls._context("") is tls._context("")
    assert tls._context("").minimum_version is ssl.TLSVersion.TLSv1_2
