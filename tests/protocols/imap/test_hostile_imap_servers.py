"""What a server that lies, stalls or has been tampered with can do to us: end its own session, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from protocols.checking import check_imap
from protocols.credentials import Credentials, Secret
from protocols.endpoint import Endpoint, Security
from protocols.errors import (
    CertificateRefused,
    Deferred,
    LoginRefused,
    MailError,
    ProtocolViolation,
    Refused,
    SecurityRefused,
    Unreachable,
)
from protocols.imap import connection, fetching
from protocols.imap.session import ImapSession, open_session
from protocols.network import Dialer, DialPolicy
from protocols.steps import StepName, StepStatus
from protocols.transcript import Transcript
from tests.servers import certificates
from tests.servers.scripted import Peer, ScriptedServer, scripted

ALICE = Credentials("alice@example.org", Secret("canary-password"))
LOGIN = r"""
    S: * OK ready
    C: CAPABILITY
    S: * CAPABILITY IMAP4rev1
    S: {tag} OK done
    C: LOGIN *
    S: {tag} OK welcome
    C: CAPABILITY
    S: * CAPABILITY IMAP4rev1
    S: {tag} OK done
"""
OFFER_STARTTLS = r"""
    S: * OK ready
    C: CAPABILITY
    S: * CAPABILITY IMAP4rev1 STARTTLS
    S: {tag} OK done
    C: STARTTLS
"""


def session_with(
    server: ScriptedServer, *, security: Security = Security.NONE, timeout: float = 5, user: Credentials = ALICE
) -> AbstractContextManager[ImapSession]:
    return open_session(
        Endpoint(certificates.NAME, server.port, security, timeout),
        user,
        dialer=dialer_to(server),
        trust=certificates.trust(),
    )


def dialer_to(server: ScriptedServer) -> Dialer:
    endpoints = frozenset({("127.0.0.1", server.port)})
    return Dialer(DialPolicy(endpoints=endpoints, names={certificates.NAME: "127.0.0.1"}))


def failure_of(
    script: str | Callable[[Peer], None],
    *,
    security: Security = Security.NONE,
    timeout: float = 5,
    then: Callable[[ImapSession], object] = lambda session: None,
) -> tuple[MailError, ScriptedServer]:
    """Open a session on `script` and do `then`; return how it failed."""
    with (
        scripted(script, context=certificates.good()) as server,
        pytest.raises(MailError) as failure,
        session_with(server, security=security, timeout=timeout) as session,
    ):
        then(session)
    return failure.value, server


@pytest.mark.proves("T5")
@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("S: * OK ready\nC: CAPABILITY\nS: * CAPABILITY IMAP4rev1\nS: {tag} OK done\nSTALL", SecurityRefused),
        ("S: * OK ready\nC: CAPABILITY\nS: {tag} OK done\nSTALL", SecurityRefused),
        (
            "S: * OK [CAPABILITY IMAP4rev1 STARTTLS]\nC: CAPABILITY\nS: * CAPABILITY X\nS: {tag} OK done\nSTALL",
            SecurityRefused,
        ),
        ("S: * PREAUTH welcome\nSTALL", SecurityRefused),
        ("S: * PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] welcome\nSTALL", SecurityRefused),
        ("S: * BYE not today\nCLOSE", Unreachable),
        ("S: * BYE [REFERRAL imap://evil.example/] go there\nCLOSE", Unreachable),
        (OFFER_STARTTLS + "S: {tag} NO not now\nSTALL", SecurityRefused),
        (OFFER_STARTTLS + "S: {tag} BAD what\nSTALL", SecurityRefused),
        (OFFER_STARTTLS + "S- {tag} OK go\\r\\n* CAPABILITY LOGIN-ME\\r\\n\nTLS\nSTALL", ProtocolViolation),
        (OFFER_STARTTLS + "S- {tag} OK go\\r\\n* OK injected\\r\\nA3 OK welcome\\r\\n\nTLS\nSTALL", ProtocolViolation),
        (OFFER_STARTTLS + "S: {tag} OK go\nS: * CAPABILITY IMAP4rev1\nSTALL", (ProtocolViolation, Unreachable)),
        (OFFER_STARTTLS + "S: {tag} OK go\nCLOSE", Unreachable),
        (OFFER_STARTTLS + "CLOSE", Unreachable),
        (OFFER_STARTTLS + "S: X99 OK go\nSTALL", ProtocolViolation),
        (OFFER_STARTTLS + "S: + go ahead\nSTALL", ProtocolViolation),
    ],
)
def test_no_trick_before_tls_gets_the_password(script: str, error: type[MailError]) -> None:
    failure, server = failure_of(script, security=Security.STARTTLS)
    assert isinstance(failure, error)
    assert b"canary" not in server.plaintext
    assert b"LOGIN" not in server.plaintext


@pytest.mark.proves("T5", "T6")
@pytest.mark.parametrize(
    "context",
    [certificates.expired, certificates.self_signed, certificates.from_a_stranger, certificates.not_yet_valid],
)
@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
def test_a_bad_certificate_ends_it_before_the_login(context: Callable[[], object], security: Security) -> None:
    script = "STALL" if security is Security.TLS else OFFER_STARTTLS + "S: {tag} OK go\nTLS\nSTALL"
    with (
        scripted(script, context=context(), tls=security is Security.TLS) as server,
        pytest.raises(CertificateRefused) as refusal,
        session_with(server, security=security),
    ):
        pass
    assert refusal.value.step in (StepName.TLS, StepName.STARTTLS)
    assert b"canary" not in server.plaintext


@pytest.mark.proves("T5")
def test_what_was_offered_before_tls_is_forgotten() -> None:
    script = (
        OFFER_STARTTLS
        + r"""
        S: {tag} OK go
        TLS
        C: CAPABILITY
        S: * CAPABILITY IMAP4rev1
        S: {tag} OK done
        C: LOGIN "alice@example.org" "canary-password"
        S: {tag} OK in
        C: CAPABILITY
        S: * CAPABILITY IMAP4rev1 UIDPLUS
        S: {tag} OK done
        STALL
    """
    )
    with (
        scripted(script, context=certificates.good()) as server,
        session_with(server, security=Security.STARTTLS, timeout=0.5) as session,
    ):
        assert session.capabilities == {"IMAP4REV1", "UIDPLUS"}
    assert b"canary" not in server.plaintext


@pytest.mark.proves("R15")
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", LoginRefused),
        ("NO Login failed: authentication failure", LoginRefused),
        ("NO [ALERT] Application-specific password required", LoginRefused),
        ("NO [UNAVAILABLE] Temporary authentication failure", Deferred),
        ("NO [LIMIT] Maximum number of connections from user+IP exceeded", Deferred),
        ("NO [INUSE] busy", Deferred),
        ("NO [THROTTLED] slow down", Deferred),
        ("NO [ALERT] Too many simultaneous connections. (Failure)", Deferred),
        ("BAD User is authenticated but not connected.", Deferred),
        ("BAD Command Error. 10", Refused),
    ],
)
def test_a_refused_login_is_told_from_a_busy_server(answer: str, error: type[MailError]) -> None:
    head = LOGIN.partition("    C: LOGIN *")[0]
    failure, _ = failure_of(head + "C: LOGIN *\nS: {tag} " + answer + "\nC: LOGOUT\nCLOSE")
    assert type(failure) is error
    assert failure.reply == answer.partition(" ")[2]
    assert failure.step is StepName.LOGIN


FETCH = "C: UID FETCH *\n"
LIES = {
    "shorter than announced": "S- * 1 FETCH (UID 1 BODY[] {4}\\r\\nabcdefgh)\\r\\n{tag} OK done\\r\\n\nSTALL",
    "longer than announced": "S- * 1 FETCH (UID 1 BODY[] {90}\\r\\nabcd)\\r\\n{tag} OK done\\r\\n\nCLOSE",
    "longer, then silence": "S- * 1 FETCH (UID 1 BODY[] {90}\\r\\nabcd)\\r\\n{tag} OK done\\r\\n\nSTALL",
    "cut in the literal": "S- * 1 FETCH (UID 1 BODY[] {9}\\r\\nabcd\nCLOSE",
    "cut behind the literal": "S- * 1 FETCH (UID 1 BODY[] {4}\\r\\nabcd\nCLOSE",
    "no closing bracket": "S- * 1 FETCH (UID 1 BODY[] {4}\\r\\nabcd\\r\\n{tag} OK done\\r\\n\nSTALL",
    "4 GB": "S: * 1 FETCH (UID 1 BODY[] {4294967296}\nSTALL",
    "a number with 19 digits": "S: * 1 FETCH (UID 1 BODY[] {9999999999999999999}\nSTALL",
    "negative": "S: * 1 FETCH (UID 1 BODY[] {-1}\nSTALL",
    "no UID": "S- * 1 FETCH (BODY[] {4}\\r\\nabcd)\\r\\n{tag} OK done\\r\\n\nSTALL",
    "UID beyond 32 bits": "S- * 1 FETCH (UID 4294967296 BODY[] {4}\\r\\nabcd)\\r\\n{tag} OK done\\r\\n\nSTALL",
    "garbage": "S: HTTP/1.1 200 OK\nSTALL",
    "binary garbage": "S: \\x00\\xff\\xfe\nSTALL",
    "another tag": "S: A99 OK done\nSTALL",
    "an open quote": 'S: * 1 FETCH (UID 1 BODY[] "abc)\nSTALL',
    "lists without end": "S: * 1 FETCH " + "(" * 5000 + "\nSTALL",
    "half a line": "S- * 1 FET\nSTALL",
    "silence": "STALL",
    "a hang-up": "CLOSE",
    "a goodbye": "S: * BYE Connection is closed. 13\nCLOSE",
}


@pytest.mark.proves("R8", "T25", "R6", "R7")
@pytest.mark.parametrize("lie", LIES.values(), ids=list(LIES))
def test_a_lie_in_a_fetch_ends_the_session_and_yields_nothing_partial(
    lie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "PROGRESS_TIMEOUT", 0.3)
    yielded: list[fetching.FetchedMessage] = []

    def fetch(session: ImapSession) -> None:
        try:
            yielded.extend(session.fetch(range(1, 10)))
        finally:
            assert not session.usable

    failure, _ = failure_of(LOGIN + FETCH + lie, timeout=0.3, then=fetch)
    assert isinstance(failure, ProtocolViolation | Unreachable)
    assert yielded == []


def test_the_goodbye_of_a_server_is_kept_as_its_reply() -> None:
    script = LOGIN + "C: NOOP\nS: * BYE Connection is closed. 13\nCLOSE"
    failure, _ = failure_of(script, then=lambda session: session.noop())
    assert isinstance(failure, Unreachable)
    assert failure.reply == "Connection is closed. 13"


@pytest.mark.proves("R9")
def test_unsolicited_responses_and_any_order_of_attributes_are_taken() -> None:
    script = (
        LOGIN
        + FETCH
        + r"""
        S: * 23 EXISTS
        S: * 1 RECENT
        S: * OK [ALERT] tea time {5}
        S: * 7 FETCH (FLAGS (\\Seen))
        S- * 1 FETCH (BODY[] {5}\r\nab\r\nc RFC822.SIZE 5 FLAGS (\\seen $X)
        S:  INTERNALDATE "17-Jul-1996 02:44:25 -0700" UID 1)
        S: * 2 EXPUNGE
        S: * 2 FETCH (UID 2 FLAGS () BODY[] "a \\"quoted\\" body" MODSEQ (12))
        S: * 3 FETCH (UID 3 FLAGS () BODY[] NIL)
        S: * 4 FETCH (UID 4 FLAGS () INTERNALDATE "99-Foo-0000 99:99:99 +9999" RFC822.SIZE 0 BODY[] {0}
        S: )
        S: * VANISHED 9
        S: * 5 FETCH (UID 99 BODY[] "not asked for")
        S: {tag} OK done
        STALL
    """
    )
    with scripted(script) as server, session_with(server, timeout=0.5) as session:
        messages = list(session.fetch(range(1, 10)))
    assert [(message.uid, message.raw) for message in messages] == [(1, b"ab\r\nc"), (2, b'a "quoted" body'), (4, b"")]
    first, second, third = messages
    assert first.flags == {r"\Seen", "$X"}
    assert first.internal_date is not None
    assert first.internal_date.isoformat() == "1996-07-17T09:44:25+00:00"
    assert (second.internal_date, third.internal_date) == (None, None)


@pytest.mark.proves("T25")
def test_more_messages_than_asked_for_end_the_session() -> None:
    flood = "".join(f'S: * {n} FETCH (UID 1 BODY[] "x")\n' for n in range(20))
    failure, _ = failure_of(LOGIN + FETCH + flood + "STALL", then=lambda session: list(session.fetch(range(1, 4))))
    assert isinstance(failure, ProtocolViolation)


def test_a_line_of_several_million_octets_is_read() -> None:
    numbers = " ".join(str(number) for number in range(1, 400_001))

    def play(peer: Peer) -> None:
        peer.play(LOGIN + "C: UID SEARCH *")
        peer.send(f"* SEARCH {numbers}\r\n{peer.tag} OK done\r\n".encode())
        peer.wait_for_the_client_to_leave()

    with scripted(play) as server, session_with(server, timeout=2) as session:
        found = session.existing_uids(1, 400_000)
    assert str(found) == "1:400000"


@pytest.mark.proves("T25")
def test_a_line_without_end_is_given_up() -> None:
    def play(peer: Peer) -> None:
        peer.play(LOGIN + "C: NOOP")
        for _ in range(40):
            peer.send(b"x" * 1_000_000)

    failure, _ = failure_of(play, then=lambda session: session.noop())
    assert isinstance(failure, ProtocolViolation)


@pytest.mark.proves("T25")
def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LINES_PER_COMMAND", 2_000_000)

    def play(peer: Peer) -> None:
        peer.play(LOGIN + "C: NOOP")
        block = b"* OK still here\r\n" * 50_000
        while True:
            peer.send(block)

    failure, _ = failure_of(play, timeout=20, then=lambda session: session.noop())
    assert isinstance(failure, ProtocolViolation)


@pytest.mark.parametrize(
    "greeting",
    ["S: 220 smtp.example.org ESMTP", "S: HTTP/1.0 400 Bad", "S: \\x15\\x03\\x01", "CLOSE", "STALL", "S: * HELLO"],
)
def test_what_is_no_imap_server_says_so_at_the_greeting(greeting: str) -> None:
    failure, server = failure_of(greeting + "\nSTALL", timeout=0.3)
    assert isinstance(failure, ProtocolViolation | Unreachable)
    assert failure.step is StepName.GREETING
    assert server.plaintext == b""


def test_a_busy_server_may_say_so_at_the_greeting() -> None:
    failure, _ = failure_of("S: * BYE [UNAVAILABLE] Too many connections, try again later\nCLOSE")
    assert isinstance(failure, Deferred)


@pytest.mark.parametrize(
    ("listed", "name", "flags"),
    [
        (r'S: * LIST (\\HasNoChildren \\sent) "/" "Gesendet"', "Gesendet", {r"\hasnochildren", r"\sent"}),
        (r'S: * LIST () "." "INBOX.Entw&APw-rfe"', "INBOX.Entwürfe", set()),
        (r"S: * LIST () NIL Plain", "Plain", set()),
        (r'S: * LIST () "/" "../../etc/passwd"', "../../etc/passwd", set()),
        (r'S: * LIST () "/" "quote \\" and \\\\ backslash"', r'quote " and \ backslash', set()),
        (r"S- * LIST () " + '"/" {9}\\r\\nbig r\\xc3\\xa9al\\r\\n', "big réal", set()),
        (r'S: * LIST (\\Noselect) "/" "broken &&& utf7"', "broken &&& utf7", {r"\noselect"}),
        (r'S: * LIST () "/" "[Gmail]/All Mail"', "[Gmail]/All Mail", set()),
        (r"S: * LIST () / [Gmail]", "[Gmail]", set()),
        (r"S: * LIST () / a{b}c", "a{b}c", set()),
    ],
)
def test_any_folder_name_is_listed(listed: str, name: str, flags: set[str]) -> None:
    script = LOGIN + 'C: LIST "" "[*]"\n' + listed + "\nS: {tag} OK done\nSTALL"
    with scripted(script) as server, session_with(server, timeout=0.3) as session:
        [entry] = session.folders()
    assert (entry.name, entry.flags) == (name, flags)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("S: * 3 EXISTS\nS: {tag} OK done", ProtocolViolation),
        ("S: * OK [UIDVALIDITY 99999999999]\nS: {tag} OK done", ProtocolViolation),
        ("S: * OK [UIDVALIDITY 1]\nS: * OK [UIDNEXT -4]\nS: {tag} OK done", ProtocolViolation),
        (
            "S: * OK [UIDVALIDITY 1]\nS: * OK [UIDNEXT 4]\nS: * OK [HIGHESTMODSEQ 9223372036854775808]\nS: {tag} OK",
            ProtocolViolation,
        ),
        ("S: {tag} NO [NONEXISTENT] Unknown Mailbox", Refused),
        ("S: {tag} NO [UNAVAILABLE] backend gone", Deferred),
    ],
)
def test_a_folder_state_that_cannot_be_is_not_believed(said: str, error: type[MailError]) -> None:
    script = LOGIN + "C: EXAMINE *\n" + said + "\nSTALL"
    failure, _ = failure_of(script, timeout=0.3, then=lambda session: session.examine(b"INBOX"))
    assert type(failure) is error


def test_a_missing_uidnext_is_found_by_the_last_message() -> None:
    script = (
        LOGIN
        + r"""
        C: EXAMINE "INBOX"
        S: * 3 EXISTS
        S: * OK [UIDVALIDITY 7] fine
        S: {tag} OK done
        C: FETCH 3 (UID)
        S: * 3 FETCH (UID 4294967294)
        S: {tag} OK done
        STALL
    """
    )
    with scripted(script) as server, session_with(server, timeout=0.3) as session:
        state = session.examine(b"INBOX")
    assert (state.uidvalidity, state.uidnext, state.exists) == (7, 4294967295, 3)


def test_a_short_password_is_masked_where_it_stands_alone_and_not_inside_of_words() -> None:
    transcript = Transcript(Credentials("alice", Secret("p")))
    assert transcript.mask("port 993: p is wrong") == "port 993: *** is wrong"


def test_a_password_is_masked_even_when_the_server_repeats_it() -> None:
    head = LOGIN.partition("    C: LOGIN *")[0]
    script = head + "C: LOGIN *\nS: {tag} NO no such user alice@example.org with canary-password\nC: LOGOUT"
    with scripted(script) as server:
        endpoint = Endpoint(certificates.NAME, server.port, Security.NONE, 2)
        result = check_imap(endpoint, ALICE, dialer=dialer_to(server))
    assert isinstance(result.error, LoginRefused)
    said = [result.server_response, result.error.reply, *(step.detail for step in result.steps)]
    assert not any("canary-password" in text for text in said)
    assert result.steps[-1].status is StepStatus.SKIPPED


def test_login_is_said_in_base64_where_the_server_forbids_the_plain_command() -> None:
    script = r"""
        S: * OK ready
        C: CAPABILITY
        S: * CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=PLAIN
        S: {tag} OK done
        C: AUTHENTICATE PLAIN
        S: +
        C: AGFsaWNlQGV4YW1wbGUub3JnAGNhbmFyeS1wYXNzd29yZA==
        S: A2 OK in
        C: CAPABILITY
        S: * CAPABILITY IMAP4rev1 LOGINDISABLED ID
        S: {tag} OK done
        C: ID ("name" "emailsettings" *
        S: {tag} NO never heard of you
        STALL
    """
    with scripted(script) as server, session_with(server, timeout=0.5) as session:
        assert session.usable
