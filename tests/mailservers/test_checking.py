"""Checks and test messages against servers that really answer."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from email import message_from_bytes

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from django.test import Client
from django.urls import reverse

from mailservers import checking
from mailservers.checking import check_incoming, check_outgoing
from mailservers.models import MailServer
from organizations.models import AuditEntry, User
from organizations.sealing import new_key
from protocols.credentials import Credentials, Secret
from protocols.endpoint import Endpoint, Security
from protocols.network import Dialer, DialPolicy
from tests.mailservers.conftest import STORED, let_through
from tests.mailservers.test_dialogs import HTMX, VALUES, stored_as
from tests.servers import certificates
from tests.servers.dovecot import HOST, PASSWORD, Dovecot

LOGIN = Credentials("office@example.org", Secret("typed-secret-1284"))


class Inbox:
    """An SMTP server that keeps what it takes, and one password."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.answer = "250 2.0.0 queued as 4711"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.envelopes.append(envelope)
        return self.answer

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data) -> AuthResult:
        return AuthResult(success=data.password == STORED.encode(), handled=False)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def smtp_port(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    controller = Controller(
        inbox,
        hostname="127.0.0.1",
        port=port,
        tls_context=certificates.good("mail.sandbox.test"),
        require_starttls=True,
        authenticator=inbox.authenticate,
    )
    controller.start()
    let_through(monkeypatch, port)
    yield port
    controller.stop()


@pytest.fixture
def ada(administrator: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(administrator)


def lines(answer) -> list[dict]:
    return [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]


def names(report) -> list[str]:
    return [f"{step.name}:{step.status}" for step in report.steps]


# --- Reports ------------------------------------------------------------------------------------------------------


@pytest.mark.proves("D1")
def test_incoming_mail_is_checked_step_by_step_against_a_real_server(dovecot: Dovecot, rules, monkeypatch):
    monkeypatch.setattr(checking, "dialer", lambda: dovecot.dialer)
    monkeypatch.setattr(checking, "trust", lambda: dovecot.trust)
    seen = []
    report = check_incoming(dovecot.endpoint(Security.TLS), dovecot.new_user(), observe=lambda step: seen.append(step))
    assert report.ok
    assert report.diagnosis is None
    assert [step.name for step in report.steps] == [step.name for step in seen]
    assert names(report)[-4:] == ["capabilities:ok", "login:ok", "folders:ok", "inbox:ok"]
    assert "tls:ok" in names(report)
    assert PASSWORD not in json.dumps(report.as_json())


@pytest.mark.proves("D1", "D2")
def test_a_wrong_password_names_the_field_and_the_cure(dovecot: Dovecot, rules, monkeypatch):
    monkeypatch.setattr(checking, "dialer", lambda: dovecot.dialer)
    monkeypatch.setattr(checking, "trust", lambda: dovecot.trust)
    wrong = Credentials(dovecot.new_user().username, Secret("not-the-password"))
    report = check_incoming(dovecot.endpoint(Security.TLS), wrong)
    answer = report.as_json()
    assert answer["ok"] is False
    assert set(answer) == {"ok", "steps", "diagnosis", "server_response"}
    assert set(answer["diagnosis"]) == {"code", "title", "causes", "retry", "fixes"}
    assert answer["diagnosis"]["causes"][0]["field"] == "password"
    assert "AUTHENTICATIONFAILED" in answer["server_response"]
    assert "not-the-password" not in json.dumps(answer)
    assert names(report)[-3:] == ["login:failed", "folders:skipped", "inbox:skipped"]


@pytest.mark.proves("D2", "D3")
@pytest.mark.parametrize(
    ("make_context", "code"),
    [
        (certificates.expired, "certificate-expired"),
        (certificates.from_a_stranger, "certificate-unknown-issuer"),
        (certificates.self_signed, "certificate-self-signed"),
        (certificates.not_yet_valid, "certificate-not-yet-valid"),
        (lambda: certificates.good("mail.hoster.example"), "certificate-wrong-name"),
    ],
)
def test_a_bad_certificate_is_named_and_nothing_is_said(make_context, code: str, scripted, rules):
    peer = scripted("S: 220 ready\nC\nC", make_context(), tls=True)
    report = check_outgoing(Endpoint("mail.sandbox.test", peer.port, Security.TLS, 5), LOGIN)
    assert report.diagnosis.code == code
    assert peer.lines == []
    assert report.diagnosis.causes[0].cure
    if code == "certificate-wrong-name":
        assert report.diagnosis.fixes == {"host": "mail.hoster.example"}
        assert "mail.hoster.example" in report.diagnosis.causes[0].cause


@pytest.mark.proves("D2")
@pytest.mark.parametrize(
    ("script", "security", "code"),
    [
        ("S: 220 ready\nC", Security.TLS, "tls-spoken-to-plain-port"),
        ("STALL", Security.STARTTLS, "greeting-timed-out"),
        ("CLOSE", Security.STARTTLS, "greeting-hung-up"),
        ("S: 220 ready\nC: EHLO *\nS: 250 hello\nC", Security.STARTTLS, "starttls-not-offered"),
        ("S: 220 ready\nC: EHLO *\nS: 250 hello\nC", Security.NONE, "smtp-login-not-offered"),
        ("S: 220 ready\nC: EHLO *\nSTALL", Security.NONE, "unreachable"),
        ("S: HTTP/1.1 400 Bad Request\nC", Security.NONE, "protocol-violation"),
        ("S: 554 5.7.1 Client host blocked using zen.spamhaus.org\nC", Security.NONE, "address-blocked"),
        (
            (
                "S: 220 ready\nC: EHLO *\nS: 250-hello\nS: 250 AUTH PLAIN\nC: AUTH *\n"
                "S: 535 5.7.139 Authentication unsuccessful, basic authentication is disabled.\nC"
            ),
            Security.NONE,
            "microsoft-basic-authentication",
        ),
        (
            (
                "S: 220 ready\nC: EHLO *\nS: 250-hello\nS: 250 AUTH PLAIN\nC: AUTH *\nS: 235 2.7.0 fine\n"
                "C: MAIL *\nS: 550 5.7.1 not your address\nC"
            ),
            Security.NONE,
            "sender-refused",
        ),
    ],
)
def test_what_a_server_does_wrong_is_explained(script: str, security: Security, code: str, scripted, rules):
    peer = scripted(script)
    endpoint = Endpoint("127.0.0.1", peer.port, security, timeout=1)
    report = check_outgoing(endpoint, LOGIN, sender="office@example.org")
    assert report.diagnosis.code == code
    assert not report.ok
    assert "typed-secret-1284" not in json.dumps(report.as_json())


def test_a_server_that_echoes_the_password_does_not_get_it_onto_the_page(scripted, rules):
    peer = scripted(
        "S: 220 ready\nC: EHLO *\nS: 250-hello\nS: 250 AUTH PLAIN\nC: AUTH *\n"
        "S: 535 5.7.8 bad password typed-secret-1284 for office@example.org\nC"
    )
    report = check_outgoing(Endpoint("127.0.0.1", peer.port, Security.NONE, 5), LOGIN)
    text = json.dumps(report.as_json())
    assert "bad password ***" in text
    assert "typed-secret-1284" not in text


def test_nobody_listening_and_no_such_name_are_told_apart(scripted, rules, monkeypatch):
    peer = scripted("S: 220 ready")
    peer.stop()
    refused = check_outgoing(Endpoint("127.0.0.1", peer.port, Security.NONE, 5), None)
    assert refused.diagnosis.code == "connection-refused"

    def unknown(host: str, port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(checking, "dialer", lambda: Dialer(DialPolicy(), resolve=unknown))
    missing = check_outgoing(Endpoint("smtp.nowhere.example", 587, Security.STARTTLS, 5), None)
    assert missing.diagnosis.code == "host-not-found"
    assert missing.diagnosis.causes[0].field == "host"


@pytest.mark.proves("T1")
@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.8", "169.254.169.254", "[::1]", "0x7f.1"])
def test_a_forbidden_destination_gets_one_sentence_without_steps(host: str, ada: Client, rules):
    answer = ada.post(reverse("mailservers:check-new"), {**VALUES, "host": host}, headers=HTMX)
    text = " ".join(line.get("end", "") + line.get("step", "") for line in lines(answer))
    assert "is not a public mail server; an administrator can allow internal addresses." in text
    assert "ms</span>" not in text
    assert "What the server said" not in text
    assert "data-fill" not in text


# --- The dialog -----------------------------------------------------------------------------------------------


def typed(port: int, **changes: str) -> dict[str, str]:
    return {**VALUES, "host": "mail.sandbox.test", "port": str(port), "password": STORED, **changes}


@pytest.mark.proves("B4", "D1")
def test_typed_values_are_tried_before_saving_and_no_mail_is_sent(ada: Client, smtp_port: int, inbox: Inbox, rules):
    answer = ada.post(reverse("mailservers:check-new"), typed(smtp_port, name=""), headers=HTMX)
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    shown = lines(answer)
    assert "begin" in shown[0]
    assert sum("step" in line for line in shown) == 6  # the name is pinned, so no step for the DNS
    assert shown[-1]["ok"] is True
    assert "The connection works." in shown[-1]["end"]
    assert not MailServer.objects.exists()
    assert inbox.envelopes == []
    assert STORED not in json.dumps(shown)
    assert AuditEntry.objects.get(action="mailserver.checked").outcome == "done"


@pytest.mark.proves("B4")
def test_a_failed_check_shows_cause_cure_and_the_servers_words(ada: Client, smtp_port: int, rules):
    shown = lines(ada.post(reverse("mailservers:check-new"), typed(smtp_port, password="wrong-one-55"), headers=HTMX))
    end = shown[-1]["end"]
    assert shown[-1]["ok"] is False
    assert "does not know this user name with this password." in end
    assert "You can fix this." in end
    assert "Authentication credentials invalid" in end
    assert "wrong-one-55" not in json.dumps(shown)


@pytest.mark.proves("B4", "B5")
def test_a_check_of_unsaved_values_shows_on_the_card_once_they_are_saved(ada: Client, smtp_port: int, rules):
    lines(ada.post(reverse("mailservers:check-new"), typed(smtp_port), headers=HTMX))
    assert ada.post(reverse("mailservers:create"), typed(smtp_port), headers=HTMX).status_code == 204
    server = MailServer.objects.get()
    assert server.check_result["ok"] is True
    assert "Works, checked" in ada.get(reverse("mailservers:card", args=[server.pk])).content.decode()
    ada.post(reverse("mailservers:create"), typed(smtp_port, name="Other", password="else"), headers=HTMX)
    assert MailServer.objects.get(name="Other").checked_at is None


@pytest.mark.proves("B4", "B6")
def test_a_blank_password_checks_the_saved_server_with_the_stored_one(ada: Client, smtp_port: int, make_server, rules):
    server = make_server(host="mail.sandbox.test", port=smtp_port)
    shown = lines(ada.post(reverse("mailservers:check", args=[server.pk]), stored_as(server), headers=HTMX))
    assert shown[-1]["ok"] is True
    server.refresh_from_db()
    assert server.check_result["ok"] is True
    assert server.checked_at is not None
    assert STORED not in json.dumps(server.check_result)


def test_a_check_of_changed_values_says_nothing_about_the_saved_server(ada: Client, smtp_port: int, make_server, rules):
    server = make_server(host="mail.sandbox.test", port=smtp_port)
    values = {**stored_as(server), "username": "else@example.org", "password": "wrong"}
    assert lines(ada.post(reverse("mailservers:check", args=[server.pk]), values, headers=HTMX))[-1]["ok"] is False
    server.refresh_from_db()
    assert server.checked_at is None


@pytest.mark.proves("B4")
def test_the_test_message_goes_to_the_person_who_asks_and_never_to_the_login(
    ada: Client, administrator: User, smtp_port: int, inbox: Inbox, make_server, rules
):
    server = make_server("Größe\u202e & <Co>", host="mail.sandbox.test", port=smtp_port)
    shown = lines(ada.post(reverse("mailservers:test-message", args=[server.pk]), headers=HTMX))
    assert shown[-1]["ok"] is True
    assert "The server took the message." in shown[-1]["end"]
    [envelope] = inbox.envelopes
    assert envelope.rcpt_tos == [administrator.email]
    assert envelope.mail_from == "office@example.org"
    message = message_from_bytes(envelope.content)
    assert administrator.email in message["To"]
    assert "office@example.org" in message["From"]
    assert message["Auto-Submitted"] == "auto-generated"
    assert STORED not in envelope.content.decode()
    entry = AuditEntry.objects.get(action="mailserver.test_message")
    assert (entry.outcome, entry.detail["recipient"]) == ("done", administrator.email)


@pytest.mark.proves("B4")
def test_a_refused_test_message_is_explained_and_logged(ada: Client, smtp_port: int, inbox: Inbox, make_server, rules):
    inbox.answer = "550 5.7.60 Client does not have permissions to send as this sender"
    server = make_server(host="mail.sandbox.test", port=smtp_port)
    end = lines(ada.post(reverse("mailservers:test-message", args=[server.pk]), headers=HTMX))[-1]
    assert end["ok"] is False
    assert "does not let this login send from that address." in end["end"]
    entry = AuditEntry.objects.get(action="mailserver.test_message")
    assert (entry.outcome, entry.detail["diagnosis"]) == ("failed", "microsoft-send-as")


@pytest.mark.proves("B4", "T8")
def test_a_test_message_with_a_lost_key_asks_for_the_password(
    ada: Client, smtp_port, inbox, make_server, rules, settings
):
    server = make_server(host="mail.sandbox.test", port=smtp_port)
    settings.ENCRYPTION_KEYS = new_key("fresh")
    end = lines(ada.post(reverse("mailservers:test-message", args=[server.pk]), headers=HTMX))[-1]
    assert end["ok"] is False
    assert "The stored password can no longer be opened." in end["end"]
    assert "Type the password again." in end["end"]
    assert inbox.envelopes == []


def test_reading_the_test_dialog_sends_nothing(ada: Client, administrator: User, smtp_port: int, inbox, make_server):
    server = make_server(host="mail.sandbox.test", port=smtp_port)
    assert administrator.email in ada.get(reverse("mailservers:test-message", args=[server.pk])).content.decode()
    assert inbox.envelopes == []


def test_the_dialer_of_a_real_dovecot_is_the_only_way_to_it(dovecot: Dovecot, rules):
    report = check_incoming(Endpoint(HOST, dovecot.plain_port, Security.NONE, 5), dovecot.new_user())
    assert report.diagnosis.code == "port-not-allowed"
    assert report.steps == ()
