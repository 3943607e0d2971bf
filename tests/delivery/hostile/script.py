"""Submission servers as text files: what one does differently from an honest server, and how our sending has to end.

It takes the mail and hangs up.               the first line: what it does
Ends: bob uncertain, carol failed, dave sent  the states afterwards; one word: of all three
Says: *broke*                                 a pattern for the words at the rows or the attempt; default: any
Code: 550                                     of the attempt; default: 0
Enhanced: 5.1.1                               of the attempt; default: none
Phase: message                                where the attempt ended; default: any

GREETING                                      blocks in the language of tests/servers/scripted.py; one is played
S: 554 no                                     for each command whose text fits its pattern,
ON RCPT TO:<bob@*                             every time,
S: 550 5.1.1 who?
ONCE MAIL FROM:*                              or only the first time on a connection.
CLOSE

MESSAGE reads the message up to its final dot, TAKE puts it where nothing is lost, ECHO answers with what was said,
DRIBBLE sends a line again and again with a pause in between, FALL THROUGH goes on with the honest server.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from tests.servers.scripted import Peer

SCRIPTS = Path(__file__).with_name("scripts")
PEOPLE = ("bob", "carol", "dave")
HONEST = """
An honest server.

GREETING
S: 220 sink.example.org ESMTP
ON EHLO *
S: 250-sink.example.org
S: 250-PIPELINING
S: 250-SIZE 1000000
S: 250-8BITMIME
S: 250-ENHANCEDSTATUSCODES
S: 250 AUTH PLAIN
ON AUTH PLAIN *
S: 235 2.7.0 in
ON MAIL FROM:*
S: 250 2.1.0 sender ok
ON RCPT TO:*
S: 250 2.1.5 recipient ok
ON DATA
S: 354 go on
MESSAGE
TAKE
S: 250 2.0.0 taken as 4711
ON RSET
S: 250 2.0.0 forgotten
ON QUIT
S: 221 2.0.0 bye
CLOSE
ON *
S: 500 5.5.2 what
"""

_RECIPIENT = re.compile(r"RCPT TO:<([^>]*)>", re.IGNORECASE)


@dataclass
class Block:
    pattern: str
    once: bool
    actions: list[str] = field(default_factory=list)


@dataclass
class Taken:
    """A message for which this server has taken responsibility."""

    recipients: list[str]
    raw: bytes


@dataclass
class Script:
    """One file, read. `taken` is what it has taken of all its clients, `connections` how many there were."""

    name: str
    title: str
    promises: dict[str, str]
    blocks: list[Block]
    taken: list[Taken] = field(default_factory=list)
    connections: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ends(self) -> dict[str, str]:
        """State by person."""
        promise = self.promises["ends"]
        if "," not in promise and " " not in promise:
            return dict.fromkeys(PEOPLE, promise)
        return dict(part.split() for part in promise.split(", "))

    def play(self, peer: Peer) -> None:
        """Serve one connection."""
        with self._lock:
            self.connections += 1
        conversation = _Conversation(peer, self)
        if not conversation.answer("GREETING"):
            return
        while conversation.answer(peer.line().decode("utf-8", "replace")):
            pass


class _Conversation:
    def __init__(self, peer: Peer, script: Script) -> None:
        self._peer = peer
        self._script = script
        self._blocks = [*script.blocks, *read("honest", HONEST).blocks]
        self._used: set[int] = set()
        self._recipients: list[str] = []
        self._raw = b""

    def answer(self, command: str) -> bool:
        """Play the block that fits; False: it hung up."""
        if command.upper().startswith(("MAIL", "RSET")):
            self._recipients = []
        for number, block in enumerate(self._blocks):
            if number in self._used or not fnmatchcase(command.upper(), block.pattern.upper()):
                continue
            if block.once:
                self._used.add(number)
            for action in block.actions:
                if action == "CLOSE":
                    return False
                if action == "FALL THROUGH":
                    break
                self._do(action, command)
            else:
                return True
        raise AssertionError(f"nothing answers {command}")

    def _do(self, action: str, command: str) -> None:
        word, _, rest = action.partition(" ")
        match word:
            case "MESSAGE":
                self._read_message()
            case "TAKE":
                self._script.taken.append(Taken(list(self._recipients), self._raw))
            case "ECHO":
                self._peer.send(f"{rest}: {command}\r\n".encode())
            case "DRIBBLE":
                while True:
                    self._peer.send(rest.encode() + b"\r\n")
                    time.sleep(0.05)
            case _:
                self._peer.play(action)
                if action.startswith("S: 25") and (found := _RECIPIENT.match(command)):
                    self._recipients.append(found[1])

    def _read_message(self) -> None:
        lines: list[bytes] = []
        while (line := self._peer.line()) != b".":
            lines.append(line.removeprefix(b"."))
        self._raw = b"".join(line + b"\r\n" for line in lines)


def read(name: str, text: str) -> Script:
    lines = [line.rstrip("\n") for line in text.strip().splitlines()]
    promises: dict[str, str] = {}
    blocks: list[Block] = []
    for line in lines[1:]:
        word, _, rest = line.partition(" ")
        if word in ("GREETING", "ON", "ONCE"):
            blocks.append(Block(rest or word, once=word == "ONCE"))
        elif blocks and line.strip():
            blocks[-1].actions.append(line)
        elif line.strip():
            key, _, value = line.partition(":")
            promises[key.lower()] = value.strip()
    return Script(name, lines[0], promises, blocks)


def honest() -> Script:
    return read("honest", HONEST)


def scripts() -> list[Script]:
    return [read(path.stem, path.read_text()) for path in sorted(SCRIPTS.glob("*.txt"))]
