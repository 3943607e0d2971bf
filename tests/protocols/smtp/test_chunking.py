"""BDAT where it is offered, and back to DATA where a server only says that it knows it (RFC 3030)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from protocols.errors import MailError, OutcomeUnknown, Unreachable
from protocols.smtp import transfer
from protocols.smtp.session import SmtpSession
from tests.protocols.smtp.scenes import BODY, RAW, greeting, session_with
from tests.servers.scripted import Peer, scripted

ENVELOPE = "C: MAIL *\nC: RCPT *\nS: 250 ok\nS: 250 ok\n"
CHUNKING = greeting("PIPELINING", "CHUNKING")
FIRST_LINE = "C: BDAT 16\nREAD 16\n"
PROVEN = CHUNKING + ENVELOPE + FIRST_LINE + "S: 250 16 octets\nC: BDAT 10 LAST\nREAD 10\nS: 250 2.0.0 kept\n"


def submit(session: SmtpSession, raw: bytes = RAW, mark: Callable[[], object] = lambda: None) -> list[int]:
    return [reply.code for reply in session.submit("a@x.org", ["b@x.org"], raw, before_final_dot=mark)]


def failure_of(script: str, raw: bytes = RAW, mark: Callable[[], object] = lambda: None) -> MailError:
    with scripted(script) as server, pytest.raises(MailError) as failure, session_with(server.port) as session:
        submit(session, raw, mark)
    return failure.value


@pytest.mark.proves("T3")
def test_a_server_that_takes_chunks_gets_every_octet_as_it_is() -> None:
    raw = b"Subject: Hello\r\n\r\n.\r\n..\r\n.Hello\r\n.\r\n"
    got: list[bytes] = []

    def takes_chunks(peer: Peer) -> None:
        peer.play(CHUNKING + ENVELOPE)
        last = False
        while not last:
            _, size, *words = peer.line().split()
            got.append(peer.read(int(size)))
            last = words == [b"LAST"]
            peer.send(b"250 2.0.0 taken\r\n")
        peer.play("C: QUIT")

    with scripted(takes_chunks) as server, session_with(server.port) as session:
        assert submit(session, raw) == [250]
    assert b"".join(got) == raw


def test_only_the_first_message_to_a_server_proves_that_it_knows_chunks() -> None:
    second = ENVELOPE + "C: BDAT 26 LAST\nREAD 26\nS: 250 2.0.0 kept\nC: QUIT"
    with scripted(PROVEN + second) as server, session_with(server.port) as session:
        assert submit(session) == [250]
        assert submit(session) == [250]


@pytest.mark.parametrize("answers", ["S: 500 what\nS: 500 what\n", "S: 502 5.5.1 not here\n", "S: 504 no\nS: 500 no\n"])
def test_a_server_that_only_says_it_knows_chunks_gets_the_message_as_data(answers: str) -> None:
    """The header field that goes ahead is the only text of the message that it can take for a command."""
    script = CHUNKING + ENVELOPE + "C: BDAT 16\n" + "C: Subject: Hello\n" + answers + "C: RSET\nS: 250 ok\n"
    script += "C: MAIL *\nC: RCPT *\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\n" + BODY + "S: 250 2.0.0 kept\nC: QUIT"
    marks: list[str] = []
    with scripted(script) as server:
        with session_with(server.port) as session:
            assert submit(session, mark=lambda: marks.append("mark")) == [250]
        assert marks == ["mark"]


def test_the_mark_comes_before_the_command_of_the_last_chunk() -> None:
    heard: list[list[bytes]] = []
    with scripted(PROVEN + "C: QUIT") as server, session_with(server.port) as session:
        submit(session, mark=lambda: heard.append(list(server.lines)))
        assert not any(b"LAST" in line for line in heard[0])
        assert any(b"LAST" in line for line in server.lines)


@pytest.mark.proves("R18")
@pytest.mark.parametrize("code", [451, 452, 552, 554])
def test_a_chunk_that_is_refused_ends_the_message_and_not_the_session(code: int) -> None:
    script = CHUNKING + ENVELOPE + FIRST_LINE + f"S: {code} 5.3.4 no more\n"
    script += (
        "C: RSET\nC: MAIL *\nC: RCPT *\nS: 250 ok\nS: 250 ok\nS: 250 ok\nC: BDAT 26 LAST\nREAD 26\nS: 250 kept\nC: QUIT"
    )
    marks: list[str] = []
    with scripted(script) as server, session_with(server.port) as session:
        assert submit(session, mark=lambda: marks.append("mark")) == [code]
        assert marks == []
        assert submit(session) == [250]


@pytest.mark.proves("R19")
@pytest.mark.parametrize("ending", ["CLOSE", "STALL", "S: garbage", "S: 354 more?"])
def test_a_lost_answer_to_the_last_chunk_is_an_unknown_outcome(ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "FINAL_DOT_TIMEOUT", 0.3)
    script = CHUNKING + ENVELOPE + FIRST_LINE + "S: 250 ok\nC: BDAT 10 LAST\nREAD 10\n" + ending
    assert isinstance(failure_of(script), OutcomeUnknown)


@pytest.mark.proves("R19")
def test_a_line_lost_before_the_last_chunk_is_certain_and_the_next_message_goes_as_data() -> None:
    lost = CHUNKING + ENVELOPE + FIRST_LINE + "CLOSE"
    as_data = (
        CHUNKING + "C: MAIL *\nC: RCPT *\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\n" + BODY + "S: 250 ok\nC: QUIT"
    )
    scripts = iter([lost, as_data])
    with scripted(lambda peer: peer.play(next(scripts))) as server:
        with pytest.raises(MailError) as failure, session_with(server.port) as session:
            submit(session)
        assert type(failure.value) is Unreachable
        with session_with(server.port) as session:
            assert submit(session) == [250]


def test_large_messages_go_in_several_chunks_each_answered_before_the_next() -> None:
    sizes: list[int] = []
    answered: list[int] = []

    def counts(peer: Peer) -> None:
        peer.play(CHUNKING + ENVELOPE)
        last = False
        while not last:
            _, size, *words = peer.line().split()
            peer.read(int(size))
            sizes.append(int(size))
            last = words == [b"LAST"]
            answered.append(len(sizes))
            peer.send(b"250 2.0.0 taken\r\n")
        peer.play("C: QUIT")

    raw = b"Subject: Large\r\n\r\n" + b"x" * 76 + (b"\r\n" + b"y" * 76) * 40_000 + b"\r\n"
    out: list[int] = []
    with scripted(counts) as server, session_with(server.port) as session:
        replies = session.submit("a@x.org", ["b@x.org"], raw, before_final_dot=lambda: None, on_progress=out.append)
    assert [reply.code for reply in replies] == [250]
    assert sum(sizes) == len(raw)
    assert max(sizes) <= transfer.CHUNK + 65_536 + 2
    assert len(sizes) == 4
    assert out == sorted(out)
