"""Hostile servers as text files: what one does differently from an honest server, and how our sync has to end.

The literal is shorter than it says.          the first line: what it does
Ends: waiting                                 the state of the mailbox afterwards, as its card shows it
Says: *sense*                                 a pattern for the words that go with it; empty: nothing to say
Stores: 1 3                                   UIDs that are stored and shown; "nothing"; default: all three
Then: 1 2 3                                   the same after one more sync, with an honest server; default: all
Runs: 2                                       syncs with the hostile server before that; default: one

GREETING                                      blocks in the language of tests/servers/scripted.py; one is played
S: * BYE no                                   for each command whose text fits its pattern,
ON UID FETCH *                                every time,
S: {tag} NO never
ONCE EXAMINE *                                or only the first time on a connection.
CLOSE

MESSAGES sends those honest messages that the command asked for, FALL THROUGH goes on with the honest server.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from protocols.imap.plan import UidSet
from tests.mailstore.receiving.letters import letter
from tests.servers.scripted import Peer

SCRIPTS = Path(__file__).with_name("scripts")
HONEST_UIDS = (1, 2, 3)
HONEST = r"""
An honest server with three messages and no extension.

GREETING
S: * OK ready
ON CAPABILITY
S: * CAPABILITY IMAP4rev1
S: {tag} OK done
ON LOGIN *
S: {tag} OK in
ON LIST *
S: * LIST () "/" INBOX
S: {tag} OK done
ON STATUS *
S: * STATUS INBOX (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 7)
S: {tag} OK done
ON EXAMINE *
S: * 3 EXISTS
S: * OK [UIDVALIDITY 7] numbers
S: * OK [UIDNEXT 4] next
S: {tag} OK [READ-ONLY] done
ON UID FETCH * (UID RFC822.SIZE)
S: * 1 FETCH (UID 1 RFC822.SIZE 300)
S: * 2 FETCH (UID 2 RFC822.SIZE 300)
S: * 3 FETCH (UID 3 RFC822.SIZE 300)
S: {tag} OK done
ON UID FETCH * (UID FLAGS INTERNALDATE *
MESSAGES
S: {tag} OK done
ON UID FETCH * (UID FLAGS)
S: * 1 FETCH (UID 1 FLAGS ())
S: * 2 FETCH (UID 2 FLAGS ())
S: * 3 FETCH (UID 3 FLAGS ())
S: {tag} OK done
ON UID SEARCH *
S: * SEARCH 1 2 3
S: {tag} OK done
ON FETCH 3 (UID)
S: * 3 FETCH (UID 3)
S: {tag} OK done
ON LOGOUT
S: * BYE bye
S: {tag} OK done
CLOSE
ON *
S: {tag} BAD what
"""


@dataclass
class Block:
    pattern: str
    once: bool
    actions: list[str] = field(default_factory=list)


@dataclass
class Script:
    """One file, read. `words` and what else it promises are lower case."""

    name: str
    title: str
    promises: dict[str, str]
    blocks: list[Block]

    @property
    def runs(self) -> int:
        return int(self.promises.get("runs", "1"))

    def uids(self, promise: str) -> set[int]:
        text = self.promises.get(promise)
        if text is None:
            return set(HONEST_UIDS)
        return set() if text == "nothing" else set(map(int, text.split()))

    def play(self, peer: Peer) -> None:
        """Serve one connection."""
        conversation = _Conversation(peer, [*self.blocks, *read("honest", HONEST).blocks])
        if not conversation.answer("GREETING"):
            return
        while True:
            said = peer.line().decode("utf-8", "replace")
            peer.tag, _, command = said.partition(" ")
            if not conversation.answer(command):
                return


class _Conversation:
    def __init__(self, peer: Peer, blocks: list[Block]) -> None:
        self._peer = peer
        self._blocks = blocks
        self._used: set[int] = set()

    def answer(self, command: str) -> bool:
        """Play the block that fits; False: it hung up."""
        for number, block in enumerate(self._blocks):
            if number in self._used or not fnmatchcase(command.upper(), block.pattern.upper()):
                continue
            if block.once:
                self._used.add(number)
            for action in block.actions:
                if action == "MESSAGES":
                    self._send_messages(command)
                elif action == "CLOSE":
                    return False
                elif action == "FALL THROUGH":
                    break
                else:
                    self._peer.play(action)
            else:
                return True
        raise AssertionError(f"nothing answers {command}")

    def _send_messages(self, command: str) -> None:
        wanted = UidSet.parse(command.split()[2])
        self._peer.send(b"".join(message(uid) for uid in HONEST_UIDS if uid in wanted))


def message(uid: int) -> bytes:
    """The FETCH response of an honest server."""
    raw = letter(uid)
    attributes = f'UID {uid} FLAGS () INTERNALDATE "10-Mar-2026 12:00:00 +0000" RFC822.SIZE {len(raw)}'
    return f"* {uid} FETCH ({attributes} BODY[] {{{len(raw)}}}\r\n".encode() + raw + b")\r\n"


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


def scripts() -> list[Script]:
    return [read(path.stem, path.read_text()) for path in sorted(SCRIPTS.glob("*.txt"))]
