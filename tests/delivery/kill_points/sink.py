"""A submission server that keeps its word: what it answers 250 for is in a file that was fsynced before.

    python -m tests.delivery.kill_points.sink FILE [KEYWORD...]

It prints its port and takes mail until it is ended; the keywords are what EHLO offers. Each accepted message becomes a
line of JSON in FILE: {"message_id", "recipients"}. What it says to RCPT is in the address: `unknown-7@` and
`unwelcome-7@` are refused, `later-7@` is deferred the first time and taken from then on.
"""

from __future__ import annotations

import json
import os
import re
import socketserver
import sys
import threading

MESSAGE_ID = re.compile(rb"^Message-ID:\s*<([^>]*)>", re.IGNORECASE | re.MULTILINE)
ADDRESS = re.compile(rb"<([^>]*)>")


class Sink(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, file: str, offered: list[str]) -> None:
        super().__init__(("127.0.0.1", 0), Conversation)
        self.offered = offered
        self._file = file
        self._lock = threading.Lock()
        self._deferred: set[bytes] = set()

    def answer_to(self, recipient: bytes) -> str:
        if recipient.startswith(b"unknown-"):
            return "550 5.1.1 no such user"
        if recipient.startswith(b"unwelcome-"):
            return "550 5.7.1 not from you"
        with self._lock:
            if recipient.startswith(b"later-") and recipient not in self._deferred:
                self._deferred.add(recipient)
                return "450 4.2.1 mailbox busy"
        return "250 2.1.5 recipient ok"

    def keep(self, recipients: list[bytes], raw: bytes) -> None:
        found = MESSAGE_ID.search(raw)
        kept = {"message_id": found[1].decode() if found else "", "recipients": [one.decode() for one in recipients]}
        with self._lock:
            file = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.write(file, json.dumps(kept).encode() + b"\n")
            os.fsync(file)
            os.close(file)


class Conversation(socketserver.StreamRequestHandler):
    server: Sink

    def handle(self) -> None:
        self._recipients: list[bytes] = []
        self._raw = b""
        try:
            self._say("220 sink.example.org ready")
            while line := self.rfile.readline():
                if not self._answer(line.rstrip(b"\r\n")):
                    return
        except OSError:
            return

    def _answer(self, command: bytes) -> bool:
        verb, _, rest = command.upper().partition(b" ")
        match verb:
            case b"EHLO":
                self._say(*(f"250-{word}" for word in ["sink", *self.server.offered]), "250 AUTH PLAIN")
            case b"AUTH":
                self._say("235 2.7.0 in")
            case b"MAIL" | b"RSET":
                self._recipients, self._raw = [], b""
                self._say("250 2.1.0 ok")
            case b"RCPT":
                self._recipient(command)
            case b"DATA":
                self._data()
            case b"BDAT":
                self._chunk(int(rest.split()[0]), last=rest.endswith(b" LAST"))
            case b"QUIT":
                self._say("221 2.0.0 bye")
                return False
            case _:
                self._say("500 5.5.2 what")
        return True

    def _recipient(self, command: bytes) -> None:
        found = ADDRESS.search(command)
        assert found
        answer = self.server.answer_to(found[1])
        if answer.startswith("250"):
            self._recipients.append(found[1])
        self._say(answer)

    def _data(self) -> None:
        if not self._recipients:
            self._say("554 5.5.1 no valid recipients")
            return
        self._say("354 go on")
        while (line := self.rfile.readline()) != b".\r\n":
            if not line.endswith(b"\n"):
                raise ConnectionResetError
            self._raw += line
        self._taken()

    def _chunk(self, size: int, *, last: bool) -> None:
        octets = self.rfile.read(size)
        if len(octets) < size:
            raise ConnectionResetError
        self._raw += octets
        if not self._recipients:
            self._say("554 5.5.1 no valid recipients")
        elif last:
            self._taken()
        else:
            self._say("250 2.0.0 chunk taken")

    def _taken(self) -> None:
        self.server.keep(self._recipients, self._raw)
        self._recipients, self._raw = [], b""
        self._say("250 2.0.0 taken and on disk")

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


if __name__ == "__main__":
    with Sink(sys.argv[1], sys.argv[2:]) as sink:
        print(sink.server_address[1], flush=True)
        sink.serve_forever()
