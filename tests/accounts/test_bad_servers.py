"""What goes wrong with servers, seen from the wizard: each ends in a sentence that names it and says what to do."""

from __future__ import annotations

import socket

import pytest

from accounts.models import Mailbox
from mailservers import checking
from protocols.endpoint import Endpoint
from tests.servers import certificates

pytestmark = pytest.mark.once

HOST = "mail.sandbox.test"
PASSWORD = "typed-secret-1284"


@pytest.fixture
def connect(form_of, alice, rules):
    """A read-only account with servers by hand, for the address of a domain that nobody knows."""
    return form_of(
        alice,
        "wizard-connect",
        address="anna@unknown.example",
        manual="1",
        display_name="Anna",
        imap_host=HOST,
        imap_port="993",
        imap_security="tls",
        smtp_port="465",
        smtp_security="tls",
        username="anna",
        password=PASSWORD,
    )


def failed(answer) -> str:
    """The words of the check, after making sure that nothing was kept and nothing given away."""
    assert answer.verdicts == [False]
    assert answer.goes_to is None
    assert not Mailbox.objects.exists()
    assert PASSWORD not in answer.text
    return answer.words


def test_a_host_that_does_not_exist(connect):
    words = failed(connect(imap_host="imap.does-not-exist.invalid"))
    assert "The host name imap.does-not-exist.invalid does not exist." in words
    assert "Compare the host" in words


def test_a_port_where_nobody_answers(connect, reach_loopback):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    reach_loopback(port)
    words = failed(connect(imap_port=port))
    assert "refuses the connection" in words or "refused" in words
    assert str(port) in words


def test_an_inner_address_is_refused_in_one_sentence(connect):
    words = failed(connect(imap_host="127.0.0.1"))
    assert "127.0.0.1 is not a public mail server" in words
    assert "Connection" not in words


@pytest.mark.parametrize("password", ["wrong-1", "“typographic”", "ü" * 900])
def test_a_wrong_password(connect, dovecot, monkeypatch, password):
    monkeypatch.setattr(checking, "dialer", lambda: dovecot.dialer)
    monkeypatch.setattr(checking, "trust", lambda: dovecot.trust)
    endpoint = dovecot.endpoint()
    answer = connect(
        imap_host=endpoint.host,
        imap_port=endpoint.port,
        imap_security="starttls",
        username=dovecot.new_user().username,
        password=password,
    )
    assert "does not know this user name with this password" in failed(answer)
    assert password not in answer.text


def test_tls_on_a_port_that_speaks_plainly_first(connect, scripted):
    peer = scripted("S: * OK [CAPABILITY IMAP4rev1 STARTTLS] ready\nC")
    answer = connect(imap_port=peer.port)
    words = failed(answer)
    assert "STARTTLS" in words
    assert "data-fill" in answer.text
    assert "imap_security" in answer.text


@pytest.mark.long  # it waits until both sides have given up
def test_starttls_on_a_port_that_expects_tls(connect, scripted):
    peer = scripted("S: * OK ready\nC", certificates.good(HOST), tls=True)
    words = failed(connect(imap_port=peer.port, imap_security="starttls"))
    assert "TLS" in words
    assert "Encryption" in words or "Greeting" in words


def test_starttls_that_the_server_does_not_offer_is_never_skipped(connect, scripted):
    peer = scripted(
        "S: * OK [CAPABILITY IMAP4rev1] ready\nC: CAPABILITY\nS: * CAPABILITY IMAP4rev1\nS: {tag} OK done\nC"
    )
    words = failed(connect(imap_port=peer.port, imap_security="starttls"))
    assert "STARTTLS" in words
    assert PASSWORD.encode() not in peer.plaintext


@pytest.mark.parametrize(
    ("certificate", "sentence"),
    [
        (certificates.expired, "expired"),
        (certificates.from_a_stranger, "certificate"),
        (certificates.self_signed, "certificate"),
        (lambda: certificates.good("another.example.net"), "another.example.net"),
    ],
)
def test_a_bad_certificate(connect, scripted, certificate, sentence):
    peer = scripted("S: * OK ready\nC", certificate(), tls=True)
    assert sentence in failed(connect(imap_port=peer.port))
    assert PASSWORD.encode() not in b"".join(peer.lines)


def test_a_server_that_stalls(connect, scripted, monkeypatch):
    """The wait is shortened; how long it is in the product stands with the dialer's tests."""
    patient = Endpoint.__init__

    def impatient(self, *args, **kwargs):
        patient(self, *args, **{**kwargs, "timeout": 0.3})

    monkeypatch.setattr(Endpoint, "__init__", impatient)
    peer = scripted("STALL", certificates.good(HOST), tls=True)
    words = failed(connect(imap_port=peer.port))
    assert "Greeting" in words
    assert "The server is overloaded. Check again in some minutes" in words


def test_a_server_that_hangs_up(connect, scripted):
    peer = scripted("CLOSE", certificates.good(HOST), tls=True)
    assert HOST in failed(connect(imap_port=peer.port))


def test_a_server_of_another_kind(connect, scripted):
    peer = scripted("S: 220 mail ESMTP ready\nC", certificates.good(HOST), tls=True)
    assert failed(connect(imap_port=peer.port))


def test_what_a_hostile_server_says_is_shown_as_text(connect, scripted):
    peer = scripted(
        "S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] <script>alert(1)</script>\n"
        "C\nS: {tag} NO <img src=x onerror=alert(2)>\nC",
        certificates.good(HOST),
        tls=True,
    )
    answer = connect(imap_port=peer.port)
    failed(answer)
    assert "<script>alert" not in answer.text
    assert "<img src=x" not in answer.text
