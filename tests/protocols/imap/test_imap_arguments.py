"""No text that a person or a server supplies becomes a command (threat T2)."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from protocols.credentials import Credentials, Secret
from protocols.errors import UnsafeArgument
from tests.protocols.imap.test_hostile_imap_servers import session_with
from tests.servers.scripted import Peer, ScriptedServer, scripted


@pytest.fixture(scope="module")
def transcript_server() -> Iterator[ScriptedServer]:
    """Answers OK to everything and takes down, per command, the line and the literals."""

    def play(peer: Peer) -> None:
        peer.send(b"* OK ready\r\n")
        while True:
            line = peer.line()
            tag, _, rest = line.partition(b" ")
            literals = []
            while rest.endswith(b"}"):
                peer.send(b"+ go\r\n")
                literals.append(peer.read(int(rest.rpartition(b"{")[2].rstrip(b"+}"))))
                rest = peer.line()
            peer.commands.append((line, literals))
            word = line.split(b" ")[1]
            if word == b"CAPABILITY":
                peer.send(b"* CAPABILITY IMAP4rev1\r\n")
            elif word == b"EXAMINE":
                peer.send(b"* 0 EXISTS\r\n* OK [UIDVALIDITY 1]\r\n* OK [UIDNEXT 1]\r\n")
            elif word == b"STATUS":
                peer.send(b'* STATUS "x" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 1)\r\n')
            peer.send(tag + b" OK done\r\n")

    with scripted(play) as server:
        yield server


def nasty_texts(count: int, seed: int = 20260) -> list[str]:
    chance = random.Random(seed)
    alphabet = 'ab\r\n\0"\\{}*%& ()[]3+~üß漢🙂\t\x7f'
    return ["".join(chance.choices(alphabet, k=chance.randrange(12))) for _ in range(count)]


@pytest.mark.proves("T2")
def test_any_text_is_one_argument_of_one_command(transcript_server: ScriptedServer) -> None:
    known = len(transcript_server.peers)
    expected = [(b"LOGIN", b"")]
    with session_with(transcript_server, timeout=20) as session:
        for number, text in enumerate(nasty_texts(10_000)):
            name = (b"EXAMINE", b"STATUS", b"UID SEARCH")[number % 3]
            try:
                match name:
                    case b"EXAMINE":
                        session.examine(text.encode())
                    case b"STATUS":
                        session.status(text.encode())
                    case _:
                        session.search_message_id(text)
            except UnsafeArgument:
                assert set(text) & set("\r\n\0")
            else:
                assert not set(text) & set("\r\n\0")
                expected.append((name, text.encode()))
    [peer] = transcript_server.peers[known:]
    commands = [
        (line.partition(b" ")[2], literals)
        for line, literals in peer.commands
        if line.split(b" ")[1] not in (b"CAPABILITY", b"LOGOUT")
    ]
    assert len(commands) == len(expected)
    for (line, literals), (name, text) in zip(commands[1:], expected[1:], strict=True):
        quoted = b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        assert line.startswith(name + b" ")
        assert literals == [text] if literals else quoted in line


@pytest.mark.proves("T2")
def test_any_user_name_and_password_are_one_argument_each(transcript_server: ScriptedServer) -> None:
    for username, password in zip(nasty_texts(100, 1), nasty_texts(100, 2), strict=True):
        known = len(transcript_server.peers)
        user = Credentials(username, Secret(password))
        if set(username + password) & set("\r\n\0"):
            with pytest.raises(UnsafeArgument), session_with(transcript_server, user=user):
                pass
            continue
        with session_with(transcript_server, user=user):
            pass
        logins = [entry for entry in transcript_server.peers[known].commands if b" LOGIN " in entry[0]]
        assert len(logins) == 1
        assert all(literal.decode() in (username, password) for literal in logins[0][1])
