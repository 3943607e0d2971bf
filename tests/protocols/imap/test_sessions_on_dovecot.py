"""The whole session against a real server."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from datetime import UTC, datetime

import pytest

from protocols.checking import check_imap
from protocols.credentials import Credentials, Secret
from protocols.endpoint import Endpoint, Security
from protocols.errors import CertificateProblem, CertificateRefused, LoginRefused, Refused, UnsafeArgument
from protocols.imap.folders import SpecialUse, encode_name
from protocols.imap.plan import UidSet, next_ranges
from protocols.imap.responses import response_code
from protocols.imap.session import ImapSession, open_session
from protocols.network import Dialer, DialPolicy
from protocols.steps import Step, StepName, StepStatus
from protocols.tls import TlsTrust
from tests.servers.dovecot import Dovecot

HELLO = b"Message-ID: <hello@example.org>\r\nSubject: Hello\r\n\r\nHello.\r\n"


@pytest.mark.parametrize("security", list(Security))
def test_a_session_opens_with_each_kind_of_security(dovecot: Dovecot, security: Security) -> None:
    steps: list[Step] = []
    with open_session(
        dovecot.endpoint(security), dovecot.new_user(), dialer=dovecot.dialer, trust=dovecot.trust, observe=steps.append
    ) as session:
        assert session.examine(b"INBOX").exists == 0
    assert {step.status for step in steps} == {StepStatus.OK}
    assert (StepName.STARTTLS in {step.name for step in steps}) is (security is Security.STARTTLS)


def test_fetching_leaves_the_message_unseen(dovecot: Dovecot) -> None:
    with session_on(dovecot) as session:
        session.append(b"INBOX", HELLO)
        session.examine(b"INBOX")
        [message] = session.fetch(range(1, 100))
        [again] = session.fetch([message.uid])
    assert message.raw == HELLO
    assert r"\Seen" not in again.flags


def test_what_was_stored_comes_back_with_its_flags_date_and_size(dovecot: Dovecot) -> None:
    when = datetime(2019, 3, 31, 23, 59, 58, tzinfo=UTC)
    with session_on(dovecot) as session:
        uid = session.append(b"INBOX", HELLO, flags=[r"\Seen", r"\Flagged", "$Forwarded"], when=when)
        session.examine(b"INBOX")
        [message] = session.fetch(range(1, 2))
        assert session.flags(range(1, 10)) == {1: frozenset({r"\Seen", r"\Flagged", "$Forwarded"})}
        assert session.sizes([1, 5]) == {1: len(HELLO)}
    assert (message.uid, message.internal_date, message.size) == (uid, when, len(HELLO))
    assert message.flags == {r"\Seen", r"\Flagged", "$Forwarded"}


def test_line_ends_are_made_whole_before_a_message_is_stored(dovecot: Dovecot) -> None:
    with session_on(dovecot) as session:
        session.append(b"INBOX", b"Subject: a\n\nb\rc\r\nd\n")
        session.examine(b"INBOX")
        assert [message.raw for message in session.fetch([1])] == [b"Subject: a\r\n\r\nb\r\nc\r\nd\r\n"]


def test_a_message_is_found_by_its_message_id(dovecot: Dovecot) -> None:
    with session_on(dovecot) as session:
        session.append(b"Sent", HELLO)
        session.append(b"Sent", HELLO.replace(b"hello@", b"other@"))
        session.examine(b"Sent")
        assert session.search_message_id("<other@example.org>") == [2]
        assert session.search_message_id("<nobody@example.org>") == []
        assert session.search_message_id("<ünïcode@example.org>") == []


def test_ranges_walk_a_folder_with_holes_newest_first(dovecot: Dovecot) -> None:
    with session_on(dovecot) as session:
        for number in range(7):
            session.append(b"INBOX", HELLO + b"%d\r\n" % number)
        state = session.examine(b"INBOX")
        seen = [[message.uid for message in session.fetch(part)] for part in next_ranges(UidSet([4]), state.uidnext, 3)]
        assert seen == [[5, 6, 7], [1, 2, 3]]
        assert session.existing_uids(2, 9) == UidSet([range(2, 8)])
        assert session.uids_of_numbers(range(6, 8)) == [6, 7]
        assert [message.uid for message in session.fetch_numbers(range(2, 4))] == [2, 3]
        assert list(session.fetch(range(50, 60))) == []


def test_state_is_the_same_by_status_and_by_examine_and_counts_changes(dovecot: Dovecot) -> None:
    user = dovecot.new_user()
    with session_on(dovecot, user) as session, session_on(dovecot, user) as other:
        before = session.examine(b"INBOX")
        other.append(b"INBOX", HELLO)
        session.noop()
        after = other.status(b"INBOX")
        assert session.examine(b"INBOX") == after
        assert (after.uidvalidity, after.uidnext, after.exists) == (before.uidvalidity, before.uidnext + 1, 1)
        assert before.highestmodseq is not None
        assert session.flags(range(1, 10), changed_since=before.highestmodseq) == {1: frozenset()}
        assert session.flags(range(1, 10), changed_since=after.highestmodseq) == {}


def test_folders_tell_their_use(dovecot: Dovecot) -> None:
    with session_on(dovecot) as session:
        uses = {entry.name: entry.special_use for entry in session.folders()}
    assert uses == {
        "INBOX": None,
        "Sent": SpecialUse.SENT,
        "Drafts": SpecialUse.DRAFTS,
        "Trash": SpecialUse.TRASH,
    }


def test_a_missing_folder_is_refused_with_the_servers_words_and_the_session_goes_on(dovecot: Dovecot) -> None:
    with session_on(dovecot) as session:
        with pytest.raises(Refused) as refusal:
            session.examine(encode_name("Größe & Maß"))
        assert "doesn't exist" in refusal.value.reply
        with pytest.raises(Refused) as refusal:
            session.append(b"nowhere", HELLO)
        assert response_code(refusal.value.reply)[0] == "TRYCREATE"
        assert session.examine(b"INBOX").exists == 0


def test_a_large_message_comes_whole_and_in_parts(dovecot: Dovecot) -> None:
    raw = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 400_000
    with session_on(dovecot) as session:
        session.append(b"INBOX", raw)
        session.examine(b"INBOX")
        assert [message.raw == raw for message in session.fetch([1])] == [True]
        parts = [session.fetch_part(1, offset, 2_000_000) for offset in range(0, len(raw) + 2_000_000, 2_000_000)]
        assert b"".join(parts) == raw
        assert session.fetch_part(9, 0, 10) == b""


def test_an_abandoned_fetch_ends_the_session_and_not_the_program(dovecot: Dovecot) -> None:
    with session_on(dovecot) as session:
        for _ in range(3):
            session.append(b"INBOX", HELLO)
        session.examine(b"INBOX")
        for _ in session.fetch(range(1, 4)):
            break
        assert not session.usable


def test_wrong_passwords_are_refused_with_the_servers_words(dovecot: Dovecot) -> None:
    user = Credentials(dovecot.new_user().username, Secret("wrong"))
    with pytest.raises(LoginRefused) as refusal, session_on(dovecot, user):
        pass
    assert refusal.value.step is StepName.LOGIN
    assert refusal.value.reply.startswith("[AUTHENTICATIONFAILED]")


def test_a_password_beyond_ascii_reaches_the_server_whole(dovecot: Dovecot) -> None:
    with (
        pytest.raises(LoginRefused, match="refused"),
        session_on(dovecot, Credentials("jörg@example.org", Secret("größe"))),
    ):
        pass


@pytest.mark.proves("T2")
@pytest.mark.parametrize("bad", ["x\r\nA9 CREATE INJECTED", "x\ny", "x\0y", "\r"])
def test_no_argument_carries_a_second_command(dovecot: Dovecot, bad: str) -> None:
    user = dovecot.new_user()
    with session_on(dovecot, user) as session:
        for attempt in (
            lambda: session.examine(bad.encode()),
            lambda: session.status(bad.encode()),
            lambda: session.append(bad.encode(), HELLO),
            lambda: session.append(b"INBOX", HELLO, flags=[bad]),
            lambda: session.search_message_id(bad),
        ):
            with pytest.raises(UnsafeArgument):
                attempt()
        assert "INJECTED" not in {entry.name for entry in session.folders()}
    with pytest.raises(UnsafeArgument), session_on(dovecot, Credentials(bad, Secret("x"))):
        pass
    with pytest.raises(UnsafeArgument), session_on(dovecot, Credentials(user.username, Secret(bad))):
        pass


@pytest.mark.parametrize("security", list(Security))
def test_a_check_tells_every_step_live(dovecot: Dovecot, security: Security) -> None:
    heard: list[Step] = []
    result = check_imap(
        dovecot.endpoint(security), dovecot.new_user(), dialer=dovecot.dialer, trust=dovecot.trust, observe=heard.append
    )
    assert result.ok
    assert result.steps == tuple(heard)
    assert [step.name for step in heard][-4:] == [
        StepName.CAPABILITIES,
        StepName.LOGIN,
        StepName.FOLDERS,
        StepName.INBOX,
    ]
    assert [step.detail for step in heard][-2:] == ["4 folders", "0 messages"]
    assert "correct-horse" not in result.server_response
    assert "LOGIN *** ***" in result.server_response


def test_a_failed_check_skips_what_it_did_not_reach(dovecot: Dovecot) -> None:
    user = Credentials(dovecot.new_user().username, Secret("wrong-secret"))
    result = check_imap(dovecot.endpoint(), user, dialer=dovecot.dialer)
    assert not result.ok
    assert isinstance(result.error, LoginRefused)
    assert [(step.name, step.status) for step in result.steps][-3:] == [
        (StepName.LOGIN, StepStatus.FAILED),
        (StepName.FOLDERS, StepStatus.SKIPPED),
        (StepName.INBOX, StepStatus.SKIPPED),
    ]
    assert "wrong-secret" not in result.server_response


@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
def test_a_check_reads_the_names_of_a_refused_certificate(dovecot: Dovecot, security: Security) -> None:
    port = dovecot.endpoint(security).port
    policy = DialPolicy(endpoints=frozenset({("127.0.0.1", port)}), names={"mail.typed.example": "127.0.0.1"})
    endpoint = Endpoint("mail.typed.example", port, security, timeout=5)
    result = check_imap(endpoint, dovecot.new_user(), dialer=Dialer(policy), trust=dovecot.trust)
    assert isinstance(result.error, CertificateRefused)
    assert result.error.problem is CertificateProblem.WRONG_NAME
    assert "localhost" in result.error.names
    assert len(result.error.fingerprint) == 64
    assert result.steps[-1].detail == "not reached"


def test_a_check_of_a_forbidden_destination_tells_nothing_but_the_refusal(dovecot: Dovecot) -> None:
    heard: list[Step] = []
    endpoint = Endpoint("localhost", 993, Security.TLS)
    result = check_imap(endpoint, dovecot.new_user(), dialer=Dialer(DialPolicy()), observe=heard.append)
    assert (result.ok, result.steps, result.server_response, heard) == (False, (), "", [])


def test_the_authority_of_a_company_can_be_trusted(dovecot: Dovecot) -> None:
    with pytest.raises(CertificateRefused) as refusal, session_on(dovecot, security=Security.TLS, trust=TlsTrust()):
        pass
    assert refusal.value.step is StepName.TLS


def test_many_sessions_at_once_do_not_mix(dovecot: Dovecot) -> None:
    found: dict[int, bytes] = {}

    def work(number: int) -> None:
        with session_on(dovecot, security=Security.TLS, trust=dovecot.trust) as session:
            session.append(b"INBOX", b"Subject: %d\r\n\r\n" % number)
            session.examine(b"INBOX")
            [message] = session.fetch([1])
            found[number] = message.raw

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: b"Subject: %d\r\n\r\n" % number for number in range(8)}


def session_on(
    dovecot: Dovecot,
    user: Credentials | None = None,
    *,
    security: Security = Security.NONE,
    trust: TlsTrust | None = None,
) -> AbstractContextManager[ImapSession]:
    return open_session(
        dovecot.endpoint(security), user or dovecot.new_user(), dialer=dovecot.dialer, trust=trust or dovecot.trust
    )
