"""The work behind `benchmarks/incremental`: one large folder, small changes, and who catches up at what cost."""

from __future__ import annotations

import base64
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import Protocol

from imapclient import IMAPClient

from benchmarks.full_pull import IN_MEMORY, Contest, command, fill
from benchmarks.mailbox_generator import mailbox
from benchmarks.report import Figure, options, ratio, report
from tests.servers.dovecot import HOST, running_dovecot
from tests.servers.fault_proxy import FaultProxy, fault_proxy
from tests.servers.mbsync import pull as pull_with_mbsync

AT_ONCE = 1_000  # it writes each UID out, and Dovecot takes no longer lines
OFFLINEIMAP = """
[general]
accounts = all
metadata = {folder}/metadata
ui = quiet
[Account all]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {folder}/mail
[Repository far]
type = IMAP
remotehost = 127.0.0.1
remoteport = {port}
remoteuser = {user}
remotepass = {password}
ssl = no
starttls = no
readonly = True
"""


@dataclass(frozen=True)
class Cost:
    """What one contender took: seconds by the clock, and of its own processors."""

    seconds: float
    processor: float


class Contender(Protocol):
    """Catches up with the server at `port`."""

    def __call__(self, port: int) -> Cost: ...


@dataclass
class Ours:
    """Our own syncs, in a process of its own with a store of its own (benchmarks/poller.py)."""

    process: subprocess.Popen[str]
    kind: str
    last: dict[str, object] = field(default_factory=dict)

    def __call__(self, port: int) -> Cost:
        self.last = self.ask(self.kind, port)
        return Cost(float(str(self.last["seconds"])), float(str(self.last["processor"])))

    def ask(self, kind: str, port: int) -> dict[str, object]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": kind, "port": port}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, object] = json.loads(self.process.stdout.readline())
        return answer


def main(arguments: list[str]) -> None:
    parser = options(__doc__ or "", rounds=5)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--offlineimap", type=Path, help="its program, where it is to take part")
    given = parser.parse_args(arguments)
    with ExitStack() as stack:
        server = stack.enter_context(running_dovecot())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-", dir=IN_MEMORY)))
        contest = Contest(server, server.new_user(), None, folder)
        octets = fill(contest, mailbox(given.messages, given.seed))
        with contest.log_in() as sock:
            command(sock, b"b CREATE Archive")
        print(f"{given.messages:,} messages, {octets / 1e6:,.0f} MB, seed {given.seed}, {given.rounds} rounds")
        relay = stack.enter_context(fault_proxy(server.plain_port))
        made = _contenders(contest, relay.port, given.offlineimap)
        contenders = {name: stack.enter_context(each) for name, each in made}
        figures = compare(contest, contenders, given.rounds)
        figures += traffic(relay, contenders)
        print(f"load {os.getloadavg()[0]:.0f}")
        report(figures, given.json)
        for name, each in contenders.items():
            if isinstance(each, Ours):
                _tell_statements(name, each)


def _contenders(
    contest: Contest, relay: int, offlineimap: Path | None
) -> Iterator[tuple[str, AbstractContextManager[Contender]]]:
    yield "all folders, new connection", ours(contest, relay, "all")
    yield "all folders, kept connection", ours(contest, relay, "kept")
    yield "INBOX, kept connection", ours(contest, relay, "news")
    yield "mbsync", mbsync(contest)
    if offlineimap is not None:
        yield "offlineimap", offline(contest, offlineimap)
    yield "IMAPClient, all flags", imapclient(contest)


def compare(contest: Contest, contenders: dict[str, Contender], rounds: int) -> list[Figure]:
    """Each change in turn, and after it each contender."""
    port = contest.server.plain_port
    for each in contenders.values():  # the first download, and a first look
        each(port)
        each(port)
    spent: dict[tuple[str, str], list[Cost]] = defaultdict(list)
    for number in range(rounds):
        for change, make in CHANGES.items():
            make(contest, number)
            for name, contender in contenders.items():
                spent[change, name].append(contender(port))
    figures = []
    for (change, name), costs in spent.items():
        ratios = {}
        if isinstance(contenders[name], Ours):
            peers = [peer for peer, other in contenders.items() if not isinstance(other, Ours)]
            ratios = {peer: ratio(_seconds(costs), _seconds(spent[change, peer])) for peer in peers}
        figures.append(Figure(f"{change}: {name}", [each * 1000 for each in _seconds(costs)], "ms", ratios))
        used = [cost.processor * 1000 for cost in costs]
        figures.append(Figure(f"{change}: {name}, processor", used, "ms"))
    return figures


def traffic(relay: FaultProxy, contenders: dict[str, Contender]) -> list[Figure]:
    """Octets both ways, commands and database statements of a look without news; not timed."""
    figures = []
    for name, contender in contenders.items():
        if isinstance(contender, Ours) and contender.kind != "all":
            contender(relay.port)  # logs in
        relay.to_server = relay.to_client = 0
        relay.commands.clear()
        contender(relay.port)
        sleep(0.2)  # the last words pass the relay
        octets = relay.to_server + relay.to_client
        figures.append(Figure(f"no change: {name}, octets both ways", [octets], "B"))
        if isinstance(contender, Ours):
            names = " ".join(line.split()[1].decode() for line in relay.commands if b" " in line)
            figures.append(Figure(f"no change: {name}, commands ({names})", [len(names.split())], ""))
            counted = {what: float(str(contender.last[what])) for what in ("queries", "writes")}
            figures += [Figure(f"no change: {name}, {what}", [number], "") for what, number in counted.items()]
    return figures


def _seconds(costs: list[Cost]) -> list[float]:
    return [cost.seconds for cost in costs]


def _tell_statements(name: str, ours: Ours) -> None:
    statements = ours.last["statements"]
    assert isinstance(statements, list)
    print(f"\nStatements without a change, {name}:")
    for sql in statements:
        print(f"  {sql[:150]}")


# --- Changes on the server ------------------------------------------------------------------------------------------


def _nothing(contest: Contest, number: int) -> None: ...


def _arrives(contest: Contest, number: int) -> None:
    raw = f"From: bob@example.org\r\nSubject: News {number}\r\nMessage-ID: <news{number}@b>\r\n\r\nHello.\r\n".encode()
    with contest.log_in() as sock:
        command(sock, b"b APPEND INBOX {%d+}\r\n%b" % (len(raw), raw))


def _on_one(words: str) -> Callable[[Contest, int], None]:
    """A change of one message somewhere in the folder, another one in each round."""

    def make(contest: Contest, number: int) -> None:
        with contest.log_in() as sock:
            command(sock, b"b SELECT INBOX")
            for line in words.format(number=100 + number).split("; "):
                command(sock, f"c {line}".encode())

    return make


CHANGES: dict[str, Callable[[Contest, int], None]] = {
    "no change": _nothing,
    "one new message": _arrives,
    "one flag": _on_one(r"STORE {number} +FLAGS (\Flagged)"),
    "one expunged": _on_one(r"STORE {number} +FLAGS (\Deleted); EXPUNGE"),
    "one moved": _on_one("MOVE {number} Archive"),
}

# --- Contenders -----------------------------------------------------------------------------------------------------


@contextmanager
def ours(contest: Contest, relay: int, kind: str) -> Iterator[Ours]:
    folder = Path(tempfile.mkdtemp(dir=contest.folder))
    environment = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{folder / 'benchmark.sqlite3'}",
        "EMAILSETTINGS_STATE_DIR": str(folder),
        "EMAILSETTINGS_SANDBOX": "0",
        "EMAILSETTINGS_DIAL_NETWORKS": "127.0.0.0/8,::1/128",
        "EMAILSETTINGS_DIAL_PORTS": f"{contest.server.plain_port},{relay}",
        "EMAILSETTINGS_ENCRYPTION_KEYS": "benchmark:" + base64.b64encode(bytes(32)).decode(),
        "SECRET_KEY": "of no worth outside of this benchmark",
        "CACHE_URL": "locmem://",
        "CELERY_TASK_ALWAYS_EAGER": "1",
        "LOG_LEVEL": "WARNING",
    }
    port = str(contest.server.plain_port)
    run = [sys.executable, "-m", "benchmarks.poller", HOST, port, contest.user.username, contest.password]
    with subprocess.Popen(
        run, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        poller = Ours(process, kind)
        poller.ask("all", contest.server.plain_port)  # the first download
        yield poller


@contextmanager
def mbsync(contest: Contest) -> Iterator[Contender]:
    """A process for each look, which is how it is meant to be used; it stores files and parses nothing."""
    folder = Path(tempfile.mkdtemp(dir=contest.folder))

    def look(port: int) -> Cost:
        return _measured(lambda: pull_with_mbsync("mbsync", folder, port=port, user=contest.user, patience=None))

    yield look


@contextmanager
def offline(contest: Contest, program: Path) -> Iterator[Contender]:
    folder = Path(tempfile.mkdtemp(dir=contest.folder))

    def look(port: int) -> Cost:
        configuration = folder / "offlineimaprc"
        words = {"port": port, "user": contest.user.username, "password": contest.password, "folder": folder}
        configuration.write_text(OFFLINEIMAP.format(**words))
        return _run([str(program), "-o", "-c", str(configuration)])

    yield look


def _run(arguments: list[str]) -> Cost:
    return _measured(lambda: subprocess.run(arguments, check=True, capture_output=True))


def _measured(run: Callable[[], object]) -> Cost:
    """What the processes that `run` starts and waits for took."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    run()
    seconds, after = perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


@contextmanager
def imapclient(contest: Contest) -> Iterator[Contender]:
    """The flags of all messages in the INBOX on a new connection, as one writes it without QRESYNC; nothing is kept."""

    def look(port: int) -> Cost:
        began, used = perf_counter(), process_time()
        with IMAPClient("127.0.0.1", port=port, ssl=False) as client:
            client._imap.debug = 0  # it would write every answer down
            client.login(contest.user.username, contest.password)
            client.select_folder("INBOX", readonly=True)
            uids = client.search()
            for start in range(0, len(uids), AT_ONCE):
                client.fetch(uids[start : start + AT_ONCE], ["FLAGS"])
        return Cost(perf_counter() - began, process_time() - used)

    yield look
