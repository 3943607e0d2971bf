"""MAIL and RCPT: parameters where they are offered and asked for, and nothing that ends a command (RFC 5321, 3461)."""

from __future__ import annotations

import random
import re

import pytest

from protocols.credentials import Credentials, Secret
from protocols.errors import MailError, UnsafeArgument
from protocols.smtp.authentication import log_in
from protocols.smtp.connection import Connection
from protocols.smtp.envelope import path
from protocols.smtp.octets import Content
from protocols.smtp.session import Notify, ReportRequest, Returned, SmtpSession
from protocols.wire import Wire
from tests.protocols.smtp.scenes import RAW, greeting, session_with
from tests.servers.scripted import scripted

ALL = frozenset(Notify)


def said(offered: tuple[str, ...], reports: ReportRequest | None, recipient: str = "b@x.org") -> list[bytes]:
    script = greeting(*offered) + "C: MAIL *\nS: 250 ok\nC: RCPT *\nS: 550 no\nC: QUIT"
    with scripted(script) as server, session_with(server.port) as session:
        session.submit("a@x.org", [recipient], RAW, before_final_dot=lambda: None, reports=reports)
    return server.lines[1:3]


@pytest.mark.parametrize(
    ("reports", "mail", "rcpt"),
    [
        (ReportRequest(), b"RET=HDRS", b"NOTIFY=FAILURE,DELAY ORCPT=rfc822;b@x.org"),
        (ReportRequest(ALL, Returned.MESSAGE), b"RET=FULL", b"NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;b@x.org"),
        (ReportRequest(frozenset()), b"RET=HDRS", b"NOTIFY=NEVER ORCPT=rfc822;b@x.org"),
        (ReportRequest(envelope_id="a+b=c 7"), b"RET=HDRS ENVID=a+2Bb+3Dc+207", b"NOTIFY=FAILURE,DELAY *"),
    ],
)
def test_reports_are_asked_for_where_the_server_offers_them(reports: ReportRequest, mail: bytes, rcpt: bytes) -> None:
    first, second = said(("DSN",), reports)
    assert first == b"MAIL FROM:<a@x.org> " + mail
    assert second.startswith(b"RCPT TO:<b@x.org> " + rcpt.rstrip(b"*"))


def test_nothing_is_said_of_reports_where_they_are_not_offered_or_not_asked_for() -> None:
    assert said((), ReportRequest()) == [b"MAIL FROM:<a@x.org>", b"RCPT TO:<b@x.org>"]
    assert said(("DSN",), None) == [b"MAIL FROM:<a@x.org>", b"RCPT TO:<b@x.org>"]


@pytest.mark.parametrize(
    ("recipient", "original"),
    [
        ("b+tag=1@x.org", "rfc822;b+2Btag+3D1@x.org"),
        ('"b c"@x.org', 'rfc822;"b+20c"@x.org'),
        ("b@bücher.example", "rfc822;b@xn--bcher-kva.example"),
        ("jörg@x.org", "utf-8;jörg@x.org"),
        ("jörg+1@x.org", r"utf-8;jörg\x{2B}1@x.org"),
    ],
)
def test_the_original_recipient_survives_as_it_is_written(recipient: str, original: str) -> None:
    command = said(("DSN", "SMTPUTF8"), ReportRequest(), recipient)[1].decode()
    assert command.endswith(f" ORCPT={original}")


@pytest.mark.parametrize("envelope_id", ["a\r\nb", "x" * 101, "größe", "a\0"])
def test_an_envelope_id_that_no_server_would_take_is_refused(envelope_id: str) -> None:
    with pytest.raises(UnsafeArgument):
        ReportRequest(envelope_id=envelope_id)


@pytest.mark.proves("R25", "R18")
@pytest.mark.parametrize("code", ["552 5.3.4 message too big for this mailbox", "452 4.2.2 no room for 26 octets"])
def test_a_recipient_whose_own_limit_is_smaller_is_refused_before_the_message_leaves(code: str) -> None:
    script = greeting("SIZE 1000000") + "C: MAIL FROM:<a@x.org> SIZE=26\nS: 250 ok\nC: RCPT *\nS: 250 ok\n"
    script += f"C: RCPT *\nS: {code}\nC: DATA\nS: 354 go\nC\nC\nC\nC: .\nS: 250 2.0.0 kept\nC: QUIT"
    with scripted(script) as server, session_with(server.port) as session:
        replies = session.submit("a@x.org", ["b@x.org", "small@x.org"], RAW, before_final_dot=lambda: None)
    assert [(reply.code, reply.enhanced) for reply in replies] == [(250, "2.0.0"), (int(code[:3]), code[4:9])]


# --- One call, one command -----------------------------------------------------------------------------------------


class AgreeableWire(Wire):
    """Answers every line like a server that takes all of it; keeps what was said."""

    def __init__(self) -> None:
        self.said = b""
        self.timeout = 1.0
        self.last_words = ""
        self._answers: list[bytes] = []
        self._in_message = False

    def be_patient(self, timeout: float) -> None:
        self.timeout = timeout

    def send(self, data: bytes | memoryview) -> None:
        self.said += bytes(data)
        for line in bytes(data).split(b"\r\n")[:-1]:
            if self._in_message:
                self._in_message = line != b"."
                self._answers += [] if self._in_message else [b"250 2.0.0 kept"]
                continue
            self._in_message = line == b"DATA"
            self._answers.append(
                b"354 go" if self._in_message else b"235 ok" if line.startswith(b"AUTH") else b"250 ok"
            )

    def readline(self, longest: int = 0) -> bytes:
        return self._answers.pop(0)


HOSTILE = '\r\n\0"\\{}*%&<> @.aü\u2028\x7f'
COMMAND = re.compile(
    rb"AUTH PLAIN [A-Za-z0-9+/=]+|MAIL FROM:<[^\r\n\0]*>[^\r\n\0]*|RCPT TO:<[^\r\n\0]*>[^\r\n\0<>]*|DATA|RSET"
)


@pytest.mark.proves("T2")
def test_whatever_is_typed_one_call_says_one_command() -> None:
    seed = random.getrandbits(32)
    chance = random.Random(seed)
    for _ in range(2_500):  # with four texts each
        texts = ["".join(chance.choices(HOSTILE, k=chance.randrange(9))) for _ in range(4)]
        assert_one_command_each(*texts, case=f"seed {seed}: {texts!r}")


def assert_one_command_each(user: str, password: str, sender: str, recipient: str, *, case: str) -> None:
    wire = AgreeableWire()
    connection = Connection(wire)
    connection.capabilities = {"AUTH": "PLAIN", "SMTPUTF8": "", "DSN": "", "PIPELINING": ""}
    try:
        log_in(connection, Credentials(user, Secret(password)))
    except UnsafeArgument:
        assert wire.said == b"", case
    assert wire.said.count(b"\r\n") <= 1, case
    for from_, to in ((f"{sender}@x.org", f"{recipient}@x.org"), (f"a@{sender}", f"{recipient}@{sender}")):
        before = len(wire.said)
        try:
            SmtpSession(connection).submit(
                from_, [to, "b@x.org"], b"x", before_final_dot=lambda: None, reports=ReportRequest()
            )
        except MailError:
            assert len(wire.said) == before, f"nothing of it was said, {case}"
    lines = [line for line in wire.said.split(b"\r\n")[:-1] if line not in (b"x", b".")]
    assert all(COMMAND.fullmatch(line) for line in lines), case
    assert sum(line.startswith(b"MAIL") for line in lines) <= 2, case
    assert sum(line.startswith(b"RCPT") for line in lines) <= 4, case


@pytest.mark.proves("T2")
@pytest.mark.parametrize(
    "address", ['"x"> SIZE=1 <"@x.org', '"a\\"@x.org', '"a"b"@x.org', '"a> NOTIFY=NEVER ORCPT=<b"c@x.org']
)
def test_a_quoted_name_cannot_end_its_own_quotes(address: str) -> None:
    with pytest.raises(UnsafeArgument):
        path(address, {})


def test_a_quoted_name_may_hold_what_quotes_allow() -> None:
    assert path('"a > \\" b"@x.org', {}) == '"a > \\" b"@x.org'
    assert Content(b"").size == 0
