"""The work behind `benchmarks/scale`: make each large thing on a Dovecot, receive it, and print what that took."""

from __future__ import annotations

import base64
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from benchmarks.full_pull import IN_MEMORY, Contest, command, fill, own_environment
from benchmarks.mailbox_generator import BEGIN, LINE, Generated
from benchmarks.report import Figure, options, report
from tests.servers.dovecot import Dovecot, running_dovecot
from tests.servers.fault_proxy import Fault, FaultProxy, fault_proxy

MEGABYTE = 1024 * 1024
A_GOOD_LINE = Fault()
A_BAD_LINE = Fault(cut_after=10 * MEGABYTE)
HERD = "tests/mailstore/receiving/test_many_due.py"


@dataclass(frozen=True)
class Received:
    """What `large_pull.py` told. commands: names of those of the sync without news."""

    first: dict[str, float]
    again: dict[str, float]
    commands: Sequence[str]


def main(arguments: list[str]) -> None:
    parser = options("What the largest things cost.", rounds=1)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--folders", type=int, default=5_000)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--mailboxes", type=int, default=10_000)
    given = parser.parse_args(arguments)
    figures: list[Figure] = []
    with ExitStack() as stack:
        server = stack.enter_context(running_dovecot())
        home = Path(tempfile.mkdtemp(prefix="benchmark-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
        stack.callback(shutil.rmtree, home)
        if given.messages:
            received = many_messages(server, home, given.messages, given.seed)
            figures += _figures(f"{given.messages:,} messages", received)
        if given.folders:
            figures += _figures(f"{given.folders:,} folders", many_folders(server, home, given.folders))
        if given.megabytes:
            for line, fault in (("on a good line", A_GOOD_LINE), ("over lines that drop after 10 MB", A_BAD_LINE)):
                what = f"a message of {given.megabytes} MB {line}"
                figures += _figures(what, large_message(server, home, given.megabytes, fault))
    if given.mailboxes:
        figures += herd(given.mailboxes, given.seed)
    report(figures, given.json)


def many_messages(server: Dovecot, home: Path, number: int, seed: int) -> Received:
    """Short letters in one folder."""
    contest = _contest(server, home)
    fill(contest, small_messages(number, seed))
    received = receive(contest)
    assert received.first["messages"] == number, received
    return received


def small_messages(number: int, seed: int) -> Iterator[Generated]:
    """Short letters of a few people; every third one answers an earlier one."""
    chance = random.Random(seed)
    for each in range(number):
        answers = f"In-Reply-To: <{chance.randrange(each)}@example.org>\r\n" if each and each % 3 == 0 else ""
        raw = (
            f"Message-ID: <{each}@example.org>\r\nFrom: Person {each % 97} <p{each % 97}@example.org>\r\n"
            f"To: me@example.org\r\nSubject: Letter {each}\r\nDate: Tue, 02 Jan 2024 08:00:00 +0000\r\n{answers}\r\n"
            f"Word{chance.randrange(10_000)} and {chance.randrange(10_000)}.\r\n"
        )
        yield Generated(raw.encode(), BEGIN + timedelta(minutes=each), is_seen=each % 5 > 0)


def many_folders(server: Dovecot, home: Path, number: int) -> Received:
    """Folders in hundreds of branches, a message in each tenth."""
    contest = _contest(server, home)
    with contest.log_in() as sock:
        for each in range(number):
            name = b"Branch%d/Folder%d" % (each % 100, each)
            command(sock, b"c CREATE " + name)
            if each % 10 == 0:
                [letter] = small_messages(1, each)
                command(sock, b"a APPEND %s {%d+}\r\n%s" % (name, len(letter.raw), letter.raw))
    received = receive(contest)
    assert received.first["folders"] >= number, received
    return received


def large_message(server: Dovecot, home: Path, megabytes: int, fault: Fault) -> Received:
    """One message of that size among small ones."""
    contest = _contest(server, home)
    raw = attached(megabytes * MEGABYTE)
    fill(contest, [*small_messages(3, 1), Generated(raw, BEGIN, is_seen=False)])
    size = len(raw)
    del raw
    received = receive(contest, fault)
    assert received.first["octets"] > size, received
    return received


def attached(size: int) -> bytes:
    """A message of about `size` octets with one attachment."""
    noise = base64.encodebytes(random.Random(1).randbytes(LINE * 1_000)).replace(b"\n", b"\r\n")
    head = (
        b"Message-ID: <large@example.org>\r\nFrom: a@example.org\r\nSubject: Large\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHello\r\n--b\r\n"
        b'Content-Type: application/zip; name="all.zip"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    )
    return head + noise * (size // len(noise)) + b"--b--\r\n"


def herd(number: int, seed: int) -> list[Figure]:
    """All mailboxes due at once, a tenth of their servers silent: the test of the schedule, which also judges it."""
    name = "all" if number == 10_000 else "sample"
    test = f"{HERD}::test_all_are_served_in_turn[{name}]"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", test, "--all", "-q", f"--randomly-seed={seed}"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(
        r"(\d+) mailboxes on .*: ([\d.]+) s, (-?\d+) MB more, longest wait ([\d.]+) s, median ([\d.]+) s", done.stdout
    )
    assert found, done.stdout[-4000:]
    assert not done.returncode, done.stdout[-4000:]
    count, seconds, megabytes, longest, middle = found.groups()
    what = f"{int(count):,} mailboxes due at once"
    return [
        Figure(f"{what}: all served", [float(seconds)], "s"),
        Figure(f"{what}: memory more", [float(megabytes)], "MB"),
        Figure(f"{what}: longest wait by median wait", [float(longest) / float(middle)], ""),
    ]


def receive(contest: Contest, fault: Fault = A_GOOD_LINE) -> Received:
    """Let `large_pull.py` receive the mailbox through a proxy with `fault`, and then sync without any."""
    with fault_proxy(contest.server.plain_port, fault) as proxy:
        folder = Path(tempfile.mkdtemp(dir=contest.folder))
        pull = [sys.executable, "-m", "benchmarks.large_pull", "localhost", str(proxy.port), contest.user.username]
        with subprocess.Popen(
            [*pull, contest.password],
            env=own_environment(folder, f"sqlite:///{folder / 'benchmark.sqlite3'}", proxy.port),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdin
            assert process.stdout
            first = json.loads(process.stdout.readline())
            before = len(proxy.commands)
            proxy.fault = A_GOOD_LINE
            process.stdin.write("\n")
            process.stdin.flush()
            again = json.loads(process.stdout.readline())
        shutil.rmtree(folder)
        return Received(first, again, _names(proxy, before))


def _names(proxy: FaultProxy, since: int) -> list[str]:
    return [words[1].decode() for line in proxy.commands[since:] if len(words := line.split()) > 1]


def _contest(server: Dovecot, home: Path) -> Contest:
    return Contest(server, server.new_user(), None, home)


def _figures(what: str, received: Received) -> list[Figure]:
    first, again = received.first, received.again
    print(f"{what}: a sync without news says {', '.join(received.commands)}", flush=True)
    figures = [
        Figure(f"{what}: received", [first["seconds"]], "s"),
        Figure(f"{what}: peak memory", [first["megabytes"]], "MB"),
        Figure(f"{what}: of it before", [first["at_rest"]], "MB"),
        Figure(f"{what}: newest page stored", [first["first_page"]], "s"),
        Figure(f"{what}: syncs it took", [first["syncs"]], ""),
        Figure(f"{what}: sync without news", [again["seconds"]], "s"),
        Figure(f"{what}: sync without news, processor", [again["processor"]], "s"),
        Figure(f"{what}: commands of it", [len(received.commands)], ""),
    ]
    for figure in figures:
        print(f"  {figure.name}: {figure.median:.2f} {figure.unit}", flush=True)
    return figures
