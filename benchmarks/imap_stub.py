"""A light IMAP server for thousands of connections: every user has an empty INBOX, and mail is only announced.

    python -m benchmarks.imap_stub [--tls CERTIFICATE]

Prints its port. Each line `N` on its standard input announces a message to N users that wait in IDLE, spread evenly;
the answer is one line of JSON: [[user, moment of CLOCK_MONOTONIC], ...]. Ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import resource
import ssl
import sys
import time

CAPABILITIES = b"IMAP4rev1 IDLE ID SPECIAL-USE LIST-EXTENDED CONDSTORE ESEARCH"
INBOX_STATE = b"* 0 EXISTS\r\n* OK [UIDVALIDITY 7] lasting\r\n* OK [UIDNEXT 1] next\r\n* OK [HIGHESTMODSEQ 1] count\r\n"
ANSWERS = {
    b"CAPABILITY": b"* CAPABILITY " + CAPABILITIES + b"\r\n",
    b"ID": b'* ID ("name" "stub")\r\n',
    b"LIST": b'* LIST (\\HasNoChildren) "/" INBOX\r\n',
    b"STATUS": b"* STATUS INBOX (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 7 HIGHESTMODSEQ 1)\r\n",
    b"EXAMINE": INBOX_STATE,
    b"SELECT": INBOX_STATE,
}


class Stub(asyncio.Protocol):
    """One connection."""

    waiting: dict[bytes, Stub] = {}  # by user

    def __init__(self) -> None:
        self.unread = b""
        self.user = b""
        self.tag = b""
        self.exists = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.say(b"* OK ready\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        self.waiting.pop(self.user, None)

    def data_received(self, data: bytes) -> None:
        *lines, self.unread = (self.unread + data).split(b"\r\n")
        for line in lines:
            self.answer(line)

    def answer(self, line: bytes) -> None:
        if line.upper() == b"DONE":
            self.waiting.pop(self.user, None)
            self.say(self.tag + b" OK done\r\n")
            return
        tag, _, rest = line.partition(b" ")
        name, _, arguments = rest.partition(b" ")
        name = name.upper()
        if name == b"LOGIN":
            self.user = arguments.split(b" ")[0].strip(b'"')
        elif name == b"IDLE":
            self.tag = tag
            self.waiting[self.user] = self
            self.say(b"+ idling\r\n")
            return
        elif name == b"LOGOUT":
            self.say(b"* BYE\r\n" + tag + b" OK bye\r\n")
            self.transport.close()
            return
        self.say(ANSWERS.get(name, b"") + tag + b" OK done\r\n")

    def announce(self) -> None:
        self.exists += 1
        self.say(b"* %d EXISTS\r\n" % self.exists)

    def say(self, octets: bytes) -> None:
        self.transport.write(octets)


async def serve(context: ssl.SSLContext | None) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Stub, "127.0.0.1", 0, ssl=context, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        users = sorted(Stub.waiting)
        wanted = int(line)
        told = []
        for user in users[:: max(1, len(users) // wanted)][:wanted]:
            told.append([user.decode(), time.monotonic()])
            Stub.waiting[user].announce()
            await asyncio.sleep(0.005)  # as mail comes, not as a flood
        print(json.dumps(told), flush=True)


def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    context = None
    if len(sys.argv) == 3:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2])
    asyncio.run(serve(context))


if __name__ == "__main__":
    main()
