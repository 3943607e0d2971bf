"""The work behind `benchmarks/sync`: fill a Dovecot, pull it with each contender in turn, compare."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import TypeVar

from benchmarks.mailbox_generator import Generated, mailbox
from benchmarks.report import Figure, options, ratio, report
from protocols.credentials import Credentials
from tests.servers.dovecot import HOST, Dovecot, running_dovecot
from tests.servers.mbsync import pull as pull_with_mbsync
from tests.servers.postgres import Cluster, running_cluster

T = TypeVar("T")

APPENDED_AT_ONCE = 200
OF_A_SLOW_PEER = 2_000  # messages, and its time taken for all of them
# By default what the contenders write stays in memory: waiting for a shared disk would drown all else. On a disk the
# difference grows in our favour, since mbsync settles each message and we settle each batch.
IN_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Contest:
    """The server with the mailbox, PostgreSQL where it takes part, and a folder for what the contenders write."""

    server: Dovecot
    user: Credentials
    cluster: Cluster | None
    folder: Path

    @property
    def password(self) -> str:
        return self.user.password.reveal()

    def log_in(self) -> socket.socket:
        """A plain connection, logged in, with nothing left to read."""
        sock = socket.create_connection(("127.0.0.1", self.server.plain_port))
        sock.recv(65536)
        command(sock, b"a LOGIN %s %s" % (self.user.username.encode(), self.password.encode()))
        return sock


def main(arguments: list[str]) -> None:
    parser = options("Full pull, side by side with mbsync.", rounds=5)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, default=IN_MEMORY if IN_MEMORY.is_dir() else None, help="write here")
    given = parser.parse_args(arguments)
    with ExitStack() as stack:
        server = stack.enter_context(running_dovecot())
        cluster = stack.enter_context(running_cluster())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-", dir=given.folder)))
        contest = Contest(server, server.new_user(), cluster, folder)
        octets = fill(contest, mailbox(given.messages, given.seed))
        print(f"{given.messages:,} messages, {octets / 1e6:,.0f} MB, seed {given.seed}, {given.rounds} rounds")
        report(compare(contest, given.rounds, given.messages), given.json)


def compare(contest: Contest, rounds: int, messages: int) -> list[Figure]:
    """Run every contender in turn, `rounds` times."""
    engines = {"SQLite": into_sqlite, "PostgreSQL": into_postgresql}
    peers: dict[str, list[float]] = {"mbsync": [], "raw drain": [], "IMAPClient and policy.default, parsing alone": []}
    figures: dict[str, list[dict[str, float]]] = {engine: [] for engine in engines}
    drain(contest)  # warm caches for all
    for _ in range(rounds):
        peers["raw drain"].append(drain(contest))
        peers["mbsync"].append(in_fresh_folder(contest, mbsync))
        peers["IMAPClient and policy.default, parsing alone"].append(imapclient(contest, messages))
        for engine, pull in engines.items():
            figures[engine].append(in_fresh_folder(contest, pull))
            assert figures[engine][-1]["messages"] == messages, figures
    results = [Figure(f"full pull: {peer}", seconds, "s") for peer, seconds in peers.items()]
    for engine, rows in figures.items():
        seconds = [row["seconds"] for row in rows]
        ratios = {peer: ratio(seconds, theirs) for peer, theirs in peers.items()}
        results.append(Figure(f"full pull into {engine}, threaded and searchable", seconds, "s", ratios))
    for engine, rows in figures.items():
        results.append(Figure(f"peak resident memory, {engine}", [row["megabytes"] for row in rows], "MB"))
        results.append(Figure(f"newest page stored after, {engine}", [row["first_page"] for row in rows], "s"))
    return results


def in_fresh_folder(contest: Contest, work: Callable[[Contest, Path], T]) -> T:
    folder = Path(tempfile.mkdtemp(dir=contest.folder))
    try:
        return work(contest, folder)
    finally:
        shutil.rmtree(folder)


def fill(contest: Contest, messages: Iterable[Generated]) -> int:
    """Deliver by MULTIAPPEND (RFC 3502) with LITERAL+; return the octets delivered."""
    octets = 0
    with contest.log_in() as sock:
        remaining = iter(messages)
        while batch := list(islice(remaining, APPENDED_AT_ONCE)):
            pieces = [b"b APPEND INBOX"]
            for message in batch:
                flags = rb"\Seen" if message.is_seen else b""
                date = message.received_at.strftime("%d-%b-%Y %H:%M:%S +0000").encode()
                pieces.append(b' (%s) "%s" {%d+}\r\n' % (flags, date, len(message.raw)) + message.raw)
                octets += len(message.raw)
            command(sock, b"".join(pieces))
    return octets


def command(sock: socket.socket, text: bytes) -> None:
    """Send a command, whose tag is one letter, and wait for its OK."""
    sock.sendall(text + b"\r\n")
    tag = text[:2]
    answer = b"\r\n"
    while (at := answer.find(b"\r\n" + tag)) < 0 or not answer.endswith(b"\r\n"):
        received = sock.recv(1 << 16)
        assert received, answer
        answer = answer[-4000:] + received
    assert answer[at:].startswith(b"\r\n" + tag + b"OK"), answer[at:]


def drain(contest: Contest) -> float:
    """Fetch every octet and look at none: the limit of any client."""
    buffer = bytearray(1 << 20)
    with contest.log_in() as sock:
        command(sock, b"c EXAMINE INBOX")
        began = monotonic()
        sock.sendall(b"d UID FETCH 1:* BODY.PEEK[]\r\n")
        tail = b""
        while b"\r\nd OK " not in tail:
            received = sock.recv_into(buffer)
            assert received
            tail = tail[-100:] + bytes(buffer[max(0, received - 200) : received])
        return monotonic() - began


def mbsync(contest: Contest, folder: Path) -> float:
    """mbsync into a new Maildir; it parses nothing."""
    began = monotonic()
    pull_with_mbsync(
        "mbsync", folder, port=contest.server.plain_port, user=contest.user, patterns="INBOX", patience=None
    )
    return monotonic() - began


def imapclient(contest: Contest, messages: int) -> float:
    """The usual libraries on a part of the mailbox; seconds as if they had taken all of it."""
    number = min(OF_A_SLOW_PEER, messages)
    port = str(contest.server.plain_port)
    command = [sys.executable, "-m", "benchmarks.imapclient_pull", HOST, port, contest.user.username, contest.password]
    done = subprocess.run([*command, str(number)], check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout) * messages / number


def into_sqlite(contest: Contest, folder: Path) -> dict[str, float]:
    return ours(contest, folder, f"sqlite:///{folder / 'benchmark.sqlite3'}")


def into_postgresql(contest: Contest, folder: Path) -> dict[str, float]:
    assert contest.cluster is not None
    return ours(contest, folder, contest.cluster.create_database(folder.name.lower()))


def ours(contest: Contest, folder: Path, database: str) -> dict[str, float]:
    """Our own sync, in a process of its own, into a new database."""
    port = str(contest.server.plain_port)
    pull = [sys.executable, "-m", "benchmarks.pull", HOST, port, contest.user.username, contest.password]
    environment = own_environment(folder, database, contest.server.plain_port)
    done = subprocess.run(pull, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def own_environment(folder: Path, database: str, port: int) -> dict[str, str]:
    """The environment of a product that keeps all it has in `folder` and may reach one port of this machine."""
    return {
        **os.environ,
        "DATABASE_URL": database,
        "EMAILSETTINGS_STATE_DIR": str(folder),
        "EMAILSETTINGS_SANDBOX": "0",
        "EMAILSETTINGS_DIAL_NETWORKS": "127.0.0.0/8,::1/128",
        "EMAILSETTINGS_DIAL_PORTS": str(port),
        "EMAILSETTINGS_ENCRYPTION_KEYS": "benchmark:" + base64.b64encode(bytes(32)).decode(),
        "SECRET_KEY": "of no worth outside of this benchmark",
        "CACHE_URL": "locmem://",
        "LOG_LEVEL": "WARNING",
    }
