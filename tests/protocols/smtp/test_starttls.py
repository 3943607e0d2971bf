"""STARTTLS as it was chosen or not at all: whatever a server or somebody on the line tries, no password (threat T5)."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable

import pytest

from protocols import tls
from protocols.endpoint import Security
from protocols.errors import (
    CertificateRefused,
    Deferred,
    MailError,
    ProtocolViolation,
    Refused,
    SecurityRefused,
    Unreachable,
)
from tests.protocols.smtp.scenes import ALICE, session_with
from tests.servers import certificates
from tests.servers.scripted import scripted

EHLO = "S: 220 hi\nC: EHLO *\n"
OFFERED = EHLO + "S: 250-x\nS: 250 STARTTLS\nC: STARTTLS\n"
AGREED = OFFERED + "S: 220 go\nTLS\n"
CANARIES = [
    b"canary",
    base64.b64encode(b"canary-password"),
    base64.b64encode(b"\0alice@example.org\0canary-password"),
    base64.b64encode(b"alice@example.org"),
]

CASES: dict[str, tuple[str, type[MailError]]] = {
    "not offered": (EHLO + "S: 250-x\nS: 250 AUTH PLAIN\nSTALL", SecurityRefused),
    "offered in the first line, which is a name": (EHLO + "S: 250 STARTTLS\nSTALL", SecurityRefused),
    "another keyword": (EHLO + "S: 250-x\nS: 250-XSTARTTLS\nS: 250 STARTTLSX\nSTALL", SecurityRefused),
    "blanked out on the way": (EHLO + "S: 250-x\nS: 250-XXXXXXXA\nS: 250 AUTH PLAIN\nSTALL", SecurityRefused),
    "EHLO unknown, HELO known": (EHLO + "S: 502 what\nC: HELO *\nS: 250 x\nSTALL", SecurityRefused),
    "refused for good": (OFFERED + "S: 502 no\nSTALL", SecurityRefused),
    "refused by policy": (OFFERED + "S: 554 5.7.3 no\nSTALL", SecurityRefused),
    "refused for now": (OFFERED + "S: 454 4.7.0 not now\nSTALL", Deferred),
    "answered with another success": (OFFERED + "S: 250 ok\nSTALL", SecurityRefused),
    "answered with a challenge": (OFFERED + "S: 334 go\nSTALL", SecurityRefused),
    "logged in without being asked": (
        EHLO + "S: 250-x\nS: 250 STARTTLS\nS: 235 in\nC: STARTTLS\nSTALL",
        SecurityRefused,
    ),
    "replies slipped in behind the go-ahead": (
        f"{OFFERED}S- 220 go\\r\\n250-injected\\r\\n250 AUTH PLAIN\\r\\n\nTLS\nSTALL",
        ProtocolViolation,
    ),
    "one octet slipped in": (f"{OFFERED}S- 220 go\\r\\nx\nTLS\nSTALL", ProtocolViolation),
    "hangs up in place of TLS": (OFFERED + "S: 220 go\nCLOSE", Unreachable),
    "goes on in the clear": (OFFERED + "S: 220 go\nS: 235 in\nSTALL", MailError),
    "says nothing in place of TLS": (OFFERED + "S: 220 go\nSTALL", Unreachable),
    "sends us elsewhere": ("S: 551 go to evil.example\nSTALL", Refused),
    "refuses the connection": ("S: 554 go away\nSTALL", Refused),
    "is busy": ("S: 421 busy\nSTALL", Deferred),
    "speaks IMAP": ("S: * PREAUTH logged in\nSTALL", ProtocolViolation),
    "changes its mind within the greeting": ("S: 220-never\nS: 221 mind\nSTALL", ProtocolViolation),
    "hangs up": ("CLOSE", Unreachable),
    "says nothing": ("STALL", Unreachable),
    "takes no password behind TLS": (AGREED + "C: EHLO *\nS: 250 x\nC: QUIT", Refused),
    "offered a login only before TLS": (
        EHLO
        + "S: 250-x\nS: 250-AUTH PLAIN\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nTLS\nC: EHLO *\nS: 250 x\nC: QUIT",
        Refused,
    ),
    "refuses us behind TLS": (AGREED + "C: EHLO *\nS: 554 go away\nC: QUIT", Refused),
    "hangs up behind TLS": (AGREED + "CLOSE", Unreachable),
}
BAD_CERTIFICATES: dict[str, Callable[[], ssl.SSLContext]] = {
    "expired": certificates.expired,
    "not yet valid": certificates.not_yet_valid,
    "of a stranger": certificates.from_a_stranger,
    "for another name": lambda: certificates.good("other.example"),
}


def refusal(
    script: str, security: Security = Security.STARTTLS, context: ssl.SSLContext | None = None
) -> tuple[MailError, bytes]:
    """How a login against `script` ends, and all that was said in the clear."""
    with (
        scripted(script, context=context or certificates.good()) as server,
        pytest.raises(MailError) as failure,
        session_with(server.port, security=security, user=ALICE, timeout=0.5),
    ):
        pass
    return failure.value, server.plaintext


def assert_nothing_secret(plaintext: bytes) -> None:
    assert b"AUTH" not in plaintext
    assert not any(canary in plaintext for canary in CANARIES)


def test_there_are_at_least_twenty_four_cases() -> None:
    assert len(CASES) >= 24


@pytest.mark.proves("T5", "T7")
@pytest.mark.parametrize("case", CASES)
def test_no_trick_around_starttls_gets_the_password(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_TIMEOUT", 0.5)
    script, error = CASES[case]
    failure, plaintext = refusal(script)
    assert isinstance(failure, error)
    assert_nothing_secret(plaintext)


@pytest.mark.proves("T5", "T6")
@pytest.mark.parametrize("certificate", BAD_CERTIFICATES)
def test_a_bad_certificate_behind_starttls_gets_nothing(certificate: str) -> None:
    failure, plaintext = refusal(OFFERED + "S: 220 go\nTLS\nSTALL", context=BAD_CERTIFICATES[certificate]())
    assert isinstance(failure, CertificateRefused)
    assert_nothing_secret(plaintext)


@pytest.mark.proves("T5")
def test_a_server_in_the_clear_gets_nothing_where_tls_was_chosen() -> None:
    failure, plaintext = refusal("S: 220 hi\nSTALL", Security.TLS)
    assert isinstance(failure, Unreachable)
    assert b"EHLO" not in plaintext
    assert_nothing_secret(plaintext)


@pytest.mark.proves("T5")
def test_what_was_offered_before_tls_is_forgotten() -> None:
    script = """
        S: 220 hi
        C: EHLO *
        S: 250-x
        S: 250-AUTH PLAIN
        S: 250-CHUNKING
        S: 250 STARTTLS
        C: STARTTLS
        S: 220 go
        TLS
        C: EHLO *
        S: 250-x
        S: 250 AUTH LOGIN
        C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: YWxpY2VAZXhhbXBsZS5vcmc=
        S: 334 UGFzc3dvcmQ6
        C: Y2FuYXJ5LXBhc3N3b3Jk
        S: 235 2.7.0 in
        C: QUIT
        S: 221 bye
    """
    with (
        scripted(script, context=certificates.good()) as server,
        session_with(server.port, security=Security.STARTTLS, user=ALICE) as session,
    ):
        assert session.capabilities == {"AUTH": "LOGIN"}
