"""Handing over messages: replies, recipients, the final dot; against scripted servers and a real sink."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from protocols.checking import check_smtp
from protocols.credentials import Credentials, Secret
from protocols.endpoint import Endpoint, Security
from protocols.errors import (
    Deferred,
    LoginRefused,
    MailError,
    OutcomeUnknown,
    Refused,
    Unreachable,
    UnsafeArgument,
)
from protocols.smtp import transfer
from protocols.smtp.session import RecipientReply, SmtpSession
from protocols.steps import Step, StepName, StepStatus
from tests.protocols.smtp.scenes import ALICE, BODY, RAW, dialer_to, session_with
from tests.servers import certificates
from tests.servers.scripted import Peer, ScriptedServer, scripted

READY = "S: 220 ready\nC: EHLO *\nS: 250-hello\nS: 250 SIZE 1000\n"
READY_PIPELINING = "S: 220 ready\nC: EHLO *\nS: 250-hello\nS: 250-PIPELINING\nS: 250 8BITMIME\n"


def failure_of(
    script: str | Callable[[Peer], None],
    *,
    security: Security = Security.NONE,
    user: Credentials | None = None,
    timeout: float = 5,
    then: Callable[[SmtpSession], object] = lambda session: None,
) -> tuple[MailError, ScriptedServer]:
    with (
        scripted(script, context=certificates.good()) as server,
        pytest.raises(MailError) as failure,
        session_with(server.port, security=security, user=user, timeout=timeout) as session,
    ):
        then(session)
    return failure.value, server


def submit(
    session: SmtpSession, *recipients: str, raw: bytes = RAW, sender: str = "a@example.org"
) -> list[RecipientReply]:
    return session.submit(sender, recipients or ("b@example.org",), raw, before_final_dot=lambda: None)


class Sink:
    """What a receiving server really made of what it was sent."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, rcpt_options: list[str]
    ) -> str:
        if address.startswith("unknown"):
            return "550 5.1.1 no such user"
        if address.startswith("busy"):
            return "450-4.2.1 mailbox busy,\r\n450 4.2.1 try later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.envelopes.append(envelope)
        return "250 2.0.0 kept"


@contextmanager
def sink(**options: object) -> Iterator[tuple[Sink, int]]:
    handler = Sink()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield handler, port
    finally:
        controller.stop()


def accepts_alice(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
    good = (data.login, data.password) == (b"alice@example.org", "größe & canary".encode())
    return AuthResult(success=good, handled=good)


def test_each_recipient_gets_an_answer_of_their_own() -> None:
    with sink() as (received, port), session_with(port) as session:
        marks: list[str] = []
        replies = session.submit(
            "a@example.org",
            ["b@example.org", "unknown@example.org", "busy@example.org", "b@example.org", "bad address@x"],
            RAW,
            before_final_dot=lambda: marks.append("dot"),
            on_refused=lambda refused: marks.extend(reply.address for reply in refused),
        )
    assert [(reply.code, reply.enhanced, reply.accepted, reply.deferred) for reply in replies] == [
        (250, "2.0.0", True, False),
        (550, "5.1.1", False, False),
        (450, "4.2.1", False, True),
        (250, "2.0.0", True, False),
        (0, "", False, False),
    ]
    assert replies[2].text == "4.2.1 mailbox busy, try later"
    assert marks == ["bad address@x", "unknown@example.org", "busy@example.org", "dot"]
    [envelope] = received.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("a@example.org", ["b@example.org"])
    assert envelope.content == RAW


def test_several_messages_go_over_one_session_also_after_a_refusal() -> None:
    with sink() as (received, port), session_with(port) as session:
        assert not submit(session, "unknown@example.org")[0].accepted
        assert submit(session, "b@example.org")[0].accepted
        with pytest.raises(UnsafeArgument):
            submit(session, sender="not an address")
        assert submit(session, "c@example.org", sender="")[0].accepted
    assert [envelope.mail_from for envelope in received.envelopes] == ["a@example.org", "<>"]


@pytest.mark.proves("T3")
@pytest.mark.parametrize(
    "ending",
    [b"\r\n.\r\n", b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\n.\r", b"\r\n\0.\r\n", b".\r\n.\r\n"],
)
@pytest.mark.parametrize("at", [b"", b"Subject: x\r\n\r\n", b"Subject: x\r\n\r\nbody"])
def test_nothing_inside_a_message_ends_it(ending: bytes, at: bytes) -> None:
    smuggled = b"MAIL FROM:<ceo@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nhi"
    with sink() as (received, port), session_with(port) as session:
        [reply] = submit(session, raw=at + ending + smuggled + ending)
        assert reply.accepted
    assert len(received.envelopes) == 1
    assert received.envelopes[0].mail_from == "a@example.org"


@pytest.mark.proves("T2")
@pytest.mark.parametrize(
    "bad", ["a@b\r\nRCPT TO:<c@d>", "a@b\n", "a\0@b", "a@b> SIZE=1", "<a@b>", "a b@c", "@b", "a@", "", "a@b c"]
)
def test_no_address_carries_a_second_command(bad: str) -> None:
    with sink() as (received, port), session_with(port) as session:
        [reply] = submit(session, bad)
        assert (reply.accepted, reply.code) == (False, 0)
        with pytest.raises(UnsafeArgument):
            session.check_sender(bad or "x")
        if bad:
            with pytest.raises(UnsafeArgument):
                submit(session, sender=bad)
    assert received.envelopes == []


@pytest.mark.parametrize("bad", ["a\r\nMAIL FROM:<x@y>", "a b", "a\0"])
def test_no_name_of_ours_carries_a_second_command(bad: str) -> None:
    with scripted(READY) as server, pytest.raises(UnsafeArgument), session_with(server.port, ehlo_name=bad):
        pass
    user = Credentials(bad, Secret("x"))
    with scripted(READY) as server, pytest.raises(MailError), session_with(server.port, user=user):
        pass
    assert b"MAIL" not in server.plaintext


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
def test_logging_in_over_tls_on_a_real_server(security: Security) -> None:
    context = certificates.good()
    options: dict[str, object] = {"authenticator": accepts_alice, "auth_required": True}
    options |= {"tls_context": context, "require_starttls": True} if security is Security.STARTTLS else {}
    if security is Security.TLS:
        options |= {"ssl_context": context, "auth_require_tls": False, "auth_required": False}
    user = Credentials("alice@example.org", Secret("größe & canary"))
    with sink(**options) as (received, port):
        with session_with(port, security=security, user=user) as session:
            assert submit(session)[0].accepted
        with pytest.raises(LoginRefused) as refusal, session_with(port, security=security, user=ALICE):
            pass
    assert refusal.value.code == 535
    assert len(received.envelopes) == 1


@pytest.mark.proves("R18")
@pytest.mark.parametrize(
    ("script", "error", "code"),
    [
        ("C: AUTH PLAIN *\nS: 535 5.7.8 wrong\nC: QUIT", LoginRefused, 535),
        ("C: AUTH PLAIN *\nS: 454 4.7.0 Too many login attempts\nC: QUIT", Deferred, 454),
        ("C: AUTH PLAIN *\nS: 421 4.3.0 Temporary System Problem\nCLOSE", Deferred, 421),
        ("C: AUTH PLAIN *\nS: 334 eyJzdGF0dXMiOiI0MDEifQ==\nC: *\nS: 535 5.7.3 no\nC: QUIT", LoginRefused, 535),
    ],
)
def test_refused_logins_keep_the_code_and_the_words(script: str, error: type[MailError], code: int) -> None:
    failure, _ = failure_of("S: 220 hi\nC: EHLO *\nS: 250-x\nS: 250 AUTH=PLAIN LOGIN\n" + script, user=ALICE)
    assert type(failure) is error
    assert (failure.code, failure.step) == (code, StepName.LOGIN)
    assert failure.reply.startswith(str(code))


def test_a_server_without_login_says_what_it_offers() -> None:
    failure, server = failure_of("S: 220 hi\nC: EHLO *\nS: 250-x\nS: 250 AUTH XOAUTH2\nC: QUIT", user=ALICE)
    assert type(failure) is Refused
    assert "XOAUTH2" in failure.reply
    assert b"canary" not in server.plaintext


@pytest.mark.proves("R18")
@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize(
    ("after_envelope", "codes"),
    [
        ("C: DATA\nS: 354 go\n" + BODY + "S: 250 2.0.0 kept\nC: QUIT", [250, 550, 250]),
        ("C: DATA\nS: 354 go\n" + BODY + "S: 451 4.3.0 disk full\nC: QUIT", [451, 550, 451]),
        ("C: DATA\nS: 354 go\n" + BODY + "S: 554 5.7.1 spam\nC: QUIT", [554, 550, 554]),
        ("C: DATA\nS: 354 go\n" + BODY + "S: 421 4.3.2 closing\nCLOSE", [421, 550, 421]),
        ("C: DATA\nS: 452 4.3.1 no room\nC: QUIT", [452, 550, 452]),
        ("C: DATA\nS: 421 closing\nCLOSE", [421, 550, 421]),
    ],
)
def test_the_answer_to_the_message_holds_for_those_accepted(
    pipelining: bool, after_envelope: str, codes: list[int]
) -> None:
    exchange = [("MAIL FROM:<a@example.org>*", "250 ok"), ("RCPT TO:<b@x.org>", "250 ok")]
    exchange += [("RCPT TO:<c@x.org>", "550 no"), ("RCPT TO:<d@x.org>", "250 ok")]
    if pipelining:
        script = READY_PIPELINING + "".join(f"C: {said}\n" for said, _ in exchange)
        script += "".join(f"S: {answer}\n" for _, answer in exchange)
    else:
        script = READY + "".join(f"C: {said}\nS: {answer}\n" for said, answer in exchange)
    with scripted(script + after_envelope) as server, session_with(server.port) as session:
        replies = submit(session, "b@x.org", "c@x.org", "d@x.org")
        assert session.usable is (421 not in codes)
    assert [reply.code for reply in replies] == codes
    assert [reply.accepted for reply in replies] == [code == 250 for code in codes]


@pytest.mark.proves("R18")
@pytest.mark.parametrize("ready", [READY, READY_PIPELINING])
def test_a_server_that_closes_among_the_recipients_has_taken_nothing(ready: str) -> None:
    envelope = "C: MAIL *\nS: 250 ok\nC: RCPT TO:<b@*\nS: 250 ok\nC: RCPT TO:<c@*\nS: 421 4.7.0 enough\nCLOSE"
    if ready == READY_PIPELINING:
        envelope = "C: MAIL *\nC: RCPT*\nC: RCPT*\nC: RCPT*\nS: 250 ok\nS: 250 ok\nS: 421 4.7.0 enough\nCLOSE"
    with scripted(ready + envelope) as server, session_with(server.port) as session:
        replies = submit(session, "b@x.org", "c@x.org", "d@x.org")
        assert not session.usable
    assert [(reply.code, reply.accepted) for reply in replies] == [(421, False)] * 3


@pytest.mark.parametrize(
    ("answer", "error"),
    [("550 5.7.60 not allowed to send as", Refused), ("451 4.7.1 greylisted", Deferred), ("421 bye", Deferred)],
)
@pytest.mark.parametrize("ready", [READY, READY_PIPELINING])
def test_a_refused_sender_is_about_the_whole_message(ready: str, answer: str, error: type[MailError]) -> None:
    pipelined = ready == READY_PIPELINING
    script = ready + "C: MAIL *\n" + ("C: RCPT*\nC: DATA\n" if pipelined else "") + f"S: {answer}\n"
    if pipelined and not answer.startswith("421"):
        script += "S: 503 5.5.1 need MAIL first\n" * 2
    failure, _ = failure_of(script + "C: QUIT" * (not answer.startswith("421")), then=submit)
    assert type(failure) is error
    assert failure.reply == answer


@pytest.mark.proves("R19")
@pytest.mark.parametrize(
    "ending", ["CLOSE", "STALL", "S: 2", "S: garbage", "S- 250-kept\\r\\n\nCLOSE", "S: 354 again?"]
)
def test_a_lost_reply_to_the_final_dot_is_an_unknown_outcome(ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "FINAL_DOT_TIMEOUT", 0.3)
    script = READY + "C: MAIL *\nS: 250 ok\nC: RCPT *\nS: 250 ok\nC: DATA\nS: 354 go\n" + BODY + ending
    failure, _ = failure_of(script, then=submit)
    assert isinstance(failure, OutcomeUnknown)


def test_the_server_gets_ten_minutes_for_the_final_dot() -> None:
    assert transfer.FINAL_DOT_TIMEOUT == 600


@pytest.mark.proves("R19")
@pytest.mark.parametrize("ending", ["C: DATA\nCLOSE", "C: DATA\nS: 354 go\nC: Subject: Hello\nCLOSE", "CLOSE"])
def test_a_line_lost_before_the_final_dot_is_certain(ending: str) -> None:
    script = READY_PIPELINING + "C: MAIL *\nC: RCPT *\nS: 250 ok\nS: 250 ok\n" + ending
    raw = RAW + b"x" * 20_000_000
    failure, _ = failure_of(script, then=lambda session: submit(session, raw=raw))
    assert type(failure) is Unreachable


def test_a_mark_that_fails_keeps_the_final_dot_back() -> None:
    script = READY + "C: MAIL *\nS: 250 ok\nC: RCPT *\nS: 250 ok\nC: DATA\nS: 354 go\nSTALL"

    def overtaken() -> None:
        raise RuntimeError("a newer claim has taken over")

    with scripted(script) as server:
        with pytest.raises(RuntimeError), session_with(server.port) as session:
            session.submit("a@example.org", ["b@example.org"], RAW, before_final_dot=overtaken)
        assert not session.usable
    assert server.plaintext.endswith(RAW)


@pytest.mark.proves("R25", "I8")
def test_a_message_too_large_is_refused_before_it_is_offered() -> None:
    failure, server = failure_of(READY + "C: QUIT", then=lambda session: submit(session, raw=b"x" * 1000))
    assert type(failure) is Refused
    assert failure.reply == "A message of 1002 octets exceeds SIZE 1000."
    assert b"MAIL" not in server.plaintext


@pytest.mark.parametrize(
    ("offered", "sender", "recipient", "raw", "said"),
    [
        ("SMTPUTF8", "jörg@bücher.example", "b@x.org", RAW, b"MAIL FROM:<j\xc3\xb6rg@b\xc3\xbccher.example> SMTPUTF8"),
        ("SMTPUTF8", "a@x.org", "b@bücher.example", RAW, b"MAIL FROM:<a@x.org>"),
        ("SMTPUTF8", "a@x.org", "b@x.org", "Subject: ü\r\n\r\n".encode(), b"MAIL FROM:<a@x.org> SMTPUTF8"),
        ("8BITMIME", "a@x.org", "b@x.org", "Subject: u\r\n\r\nü".encode(), b"MAIL FROM:<a@x.org> BODY=8BITMIME"),
        ("SIZE", "a@x.org", "b@x.org", RAW, b"MAIL FROM:<a@x.org> SIZE=26"),
        ("HELP", "a@bücher.example", "b@x.org", RAW, b"MAIL FROM:<a@xn--bcher-kva.example>"),
    ],
)
def test_parameters_are_said_where_they_are_offered_and_needed(
    offered: str, sender: str, recipient: str, raw: bytes, said: bytes
) -> None:
    script = f"S: 220 hi\nC: EHLO *\nS: 250-x\nS: 250 {offered}\nC: MAIL *\nS: 250 ok\nC: RCPT *\nS: 550 no\n"
    script += "C: QUIT"
    with scripted(script) as server, session_with(server.port) as session:
        submit(session, recipient, raw=raw, sender=sender)
    assert server.lines[1] == said


def test_letters_that_the_server_cannot_handle_are_told_for_that_recipient() -> None:
    with sink(enable_SMTPUTF8=False) as (received, port), session_with(port) as session:
        first, second = submit(session, "jörg@example.org", "b@example.org")
    assert not first.accepted
    assert "SMTPUTF8" in first.text
    assert second.accepted
    assert received.envelopes[0].rcpt_tos == ["b@example.org"]


def test_many_recipients_go_in_batches() -> None:
    recipients = [f"r{number}@example.org" for number in range(250)]
    with sink() as (received, port), session_with(port) as session:
        assert all(reply.accepted for reply in submit(session, *recipients))
    assert received.envelopes[0].rcpt_tos == recipients


def test_a_check_proves_login_and_sender_and_sends_nothing() -> None:
    heard: list[Step] = []
    options = {"authenticator": accepts_alice, "auth_require_tls": False}
    with sink(**options) as (received, port):
        result = check_smtp(
            Endpoint(certificates.NAME, port, Security.NONE, 5),
            Credentials("alice@example.org", Secret("größe & canary")),
            dialer=dialer_to(port),
            sender="alice@example.org",
            observe=heard.append,
        )
    assert result.ok
    assert [step.name for step in heard][-3:] == [StepName.CAPABILITIES, StepName.LOGIN, StepName.SENDER]
    assert {step.status for step in heard} == {StepStatus.OK}
    assert received.envelopes == []
    assert "AUTH PLAIN ***" in result.server_response
    assert "canary" not in result.server_response


def test_a_check_names_the_step_where_a_sender_is_refused() -> None:
    script = READY + "C: MAIL *\nS: 550-5.7.60 SMTP; Client does not have\nS: 550 5.7.60 permissions\nC: QUIT"
    with scripted(script) as server:
        endpoint = Endpoint(certificates.NAME, server.port, Security.NONE, 5)
        result = check_smtp(endpoint, None, dialer=dialer_to(server.port), sender="a@example.org")
    assert result.error is not None
    assert (result.error.step, result.error.code) == (StepName.SENDER, 550)
    assert result.error.reply == "550 5.7.60 SMTP; Client does not have permissions"
    assert result.steps[-1].status is StepStatus.FAILED
