"""The work behind `benchmarks/send`: a server that takes everything, and who hands it the most mails per second."""

from __future__ import annotations

import base64
import json
import os
import smtplib
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Protocol

from benchmarks import api_calls
from benchmarks.full_pull import IN_MEMORY
from benchmarks.report import Figure, options, ratio, report
from tests.servers.postgres import running_cluster
from tests.servers.processes import accepts, find_program, free_port, unprivileged_user, wait_until

OURS = ("outbox on SQLite", "outbox on PostgreSQL")
POST_OFFICE = ("post_office", "post_office_as_shipped", "post_office_now")  # kinds of benchmarks/django_sender.py
PEERS = ("smtp-source", "smtplib", "send_messages", *POST_OFFICE)


@dataclass(frozen=True)
class Cost:
    """What sending took: seconds by the clock, of its own processor, and statements for each mail."""

    seconds: float
    processor: float
    statements: float = 0


class Contender(Protocol):
    """Hands over a number of mails; making them ready does not count."""

    def __call__(self, number: int) -> Cost: ...


@dataclass
class Worker:
    """A process that sends at a word: a line of its standard input. `order` is what it is told, with the number."""

    process: subprocess.Popen[str]
    order: str

    def __call__(self, number: int, order: str = "") -> Cost:
        return Cost(**self.ask((order or self.order).replace("N", str(number))))

    def ask(self, order: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


def main(arguments: list[str]) -> None:
    parser = options(__doc__ or "", rounds=5)
    parser.add_argument("--messages", type=int, default=1000, help="in each round, for each (default 1000)")
    parser.add_argument("--octets", type=int, default=2000, help="of each mail's text (default 2000)")
    parser.add_argument("--post-office", type=Path, help="Python of an environment with django-post_office")
    given = parser.parse_args(arguments)
    with ExitStack() as stack:
        port = stack.enter_context(sink())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-", dir=IN_MEMORY)))
        cluster = stack.enter_context(running_cluster())
        databases = (f"sqlite:///{folder / 'benchmark.sqlite3'}", cluster.create_database("benchmark"))
        words = (str(port), str(given.octets), str(given.seed))
        contenders: dict[str, Contender] = {
            "smtp-source": lambda number: _smtp_source(port, number, given.octets),
            "smtplib": lambda number: _smtplib(port, number, given.octets),
            "send_messages": stack.enter_context(django_sender(sys.executable, "django", words, folder)),
        }
        if given.post_office is not None:
            for kind in POST_OFFICE:
                sender = django_sender(str(given.post_office), kind, words, folder)
                contenders[kind] = stack.enter_context(sender)
        ours = {
            name: stack.enter_context(outbox(url, port, words, folder))
            for name, url in zip(OURS, databases, strict=True)
        }
        contenders |= ours
        print(f"{given.messages:,} mails of {given.octets:,} octets, seed {given.seed}, {given.rounds} rounds")
        figures = compare(contenders, given.rounds, given.messages)
        figures += enqueueing(ours[OURS[0]], given.rounds, given.messages)
        figures += enqueueing_over_http(port, words, given.rounds, given.messages)
        figures += statements(ours, given.messages)
        print(f"load {os.getloadavg()[0]:.0f}")
        report(figures, given.json)


def compare(contenders: dict[str, Contender], rounds: int, messages: int) -> list[Figure]:
    for contender in contenders.values():  # what is loaded once
        contender(20)
    rates: dict[str, list[float]] = defaultdict(list)
    used: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, contender in contenders.items():
            cost = contender(messages)
            rates[name].append(messages / cost.seconds)
            used[name].append(cost.processor / messages * 1e6)
    figures = []
    for name in contenders:
        ratios = {peer: ratio(rates[name], rates[peer]) for peer in PEERS if peer in rates and name in OURS}
        figures.append(Figure(name, rates[name], "1/s", ratios))
    return figures + [Figure(f"{name}, processor for each mail", used[name], "us") for name in contenders]


def enqueueing(sender: Worker, rounds: int, messages: int) -> list[Figure]:
    order = '{"do": "enqueue", "number": N}'
    messages = min(messages, 300)
    sender(20, order)
    costs = [sender(messages, order) for _ in range(rounds)]
    return [
        Figure("queued through the API, SQLite", [messages / cost.seconds for cost in costs], "1/s"),
        Figure("the same, processor for each", [cost.processor / messages * 1e6 for cost in costs], "us"),
    ]


def enqueueing_over_http(port: int, words: tuple[str, ...], rounds: int, messages: int) -> list[Figure]:
    """The server of `./run` with its database on a disk, which every answer waits for."""
    messages = min(messages, 300)
    rates: dict[int, list[float]] = {1: [], 4: []}
    used: dict[int, list[float]] = {1: [], 4: []}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        environment = _environment(f"sqlite:///{folder / 'benchmark.sqlite3'}", port, folder)
        with _worker([sys.executable, "-m", "benchmarks.outbox_sender", *words], environment, "") as sender:
            opening = api_calls.Opening(**sender.ask('{"do": "open", "number": 1}'))
        for place in ("BROKER_URL", "CACHE_URL"):
            del environment[place]  # the embedded one
        with api_calls.running_server(environment, opening) as server:
            api_calls.queue(server, 20, 4)
            for _ in range(rounds):
                for clients in rates:
                    before = server.processor()
                    rates[clients].append(messages / api_calls.queue(server, messages, clients))
                    used[clients].append((server.processor() - before) / messages * 1e6)
    figures = [Figure(f"queued over HTTP, clients: {clients}", rate, "1/s") for clients, rate in rates.items()]
    figures += [
        Figure(f"the same, clients: {clients}, processor of the server", each, "us") for clients, each in used.items()
    ]
    return figures


def statements(ours: dict[str, Worker], messages: int) -> list[Figure]:
    """Counted in a last pass that is not timed."""
    order = '{"do": "send", "number": N, "counts": true}'
    return [
        Figure(f"{name}, statements for each mail", [each(messages, order).statements], "")
        for name, each in ours.items()
    ]


# --- The server, and who sends to it ----------------------------------------------------------------------------------


@contextmanager
def sink() -> Iterator[int]:
    """Postfix's smtp-sink, which takes everything and keeps nothing; yields its port."""
    program = find_program("smtp-sink")
    if program is None:
        raise FileNotFoundError("smtp-sink is not installed; on Debian: apt-get install postfix")
    port = free_port()
    user = unprivileged_user("postfix")
    command = [program, *(["-u", user] if user else []), f"127.0.0.1:{port}", "1000"]
    with subprocess.Popen(command) as process:
        try:
            wait_until(lambda: accepts(port), "answer of smtp-sink")
            yield port
        finally:
            process.terminate()


def _smtp_source(port: int, number: int, octets: int) -> Cost:
    program = find_program("smtp-source")
    assert program is not None
    began, before = perf_counter(), os.times()
    command = [program, "-d", "-s", "1", "-m", str(number), "-l", str(octets)]
    subprocess.run([*command, "-f", "sender@example.org", "-t", "person@example.org", f"127.0.0.1:{port}"], check=True)
    after = os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(perf_counter() - began, processor)


def _smtplib(port: int, number: int, octets: int) -> Cost:
    raw = b"Subject: Benchmark\r\n\r\n" + (b"x" * 70 + b"\r\n") * (octets // 70)
    began, used = perf_counter(), process_time()
    with smtplib.SMTP("127.0.0.1", port) as client:
        for place in range(number):
            client.sendmail("sender@example.org", [f"person{place}@example.org"], raw)
    return Cost(perf_counter() - began, process_time() - used)


@contextmanager
def django_sender(python: str, kind: str, words: tuple[str, ...], folder: Path) -> Iterator[Worker]:
    port, octets, seed = words
    program = str(Path(__file__).with_name("django_sender.py"))
    with _worker([python, program, kind, port, octets, seed, str(folder)], os.environ.copy(), "N") as worker:
        yield worker


@contextmanager
def outbox(database: str, port: int, words: tuple[str, ...], folder: Path) -> Iterator[Worker]:
    environment = _environment(database, port, folder)
    run = [sys.executable, "-m", "benchmarks.outbox_sender", *words]
    with _worker(run, environment, '{"do": "send", "number": N}') as worker:
        yield worker


def _environment(database: str, port: int, folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": database,
        "EMAILSETTINGS_STATE_DIR": str(folder),
        "EMAILSETTINGS_MAIL_DIR": str(folder / "mail"),
        "EMAILSETTINGS_SANDBOX": "0",
        "EMAILSETTINGS_DIAL_NETWORKS": "127.0.0.0/8",
        "EMAILSETTINGS_DIAL_PORTS": str(port),
        "EMAILSETTINGS_ENCRYPTION_KEYS": "benchmark:" + base64.b64encode(bytes(32)).decode(),
        "SECRET_KEY": "of no worth outside of this benchmark",
        "CACHE_URL": "locmem://",
        "BROKER_URL": "memory://",
        "CELERY_TASK_ALWAYS_EAGER": "0",  # a nudge must not send in the middle of the queueing that is measured
        "LOG_LEVEL": "WARNING",
    }


@contextmanager
def _worker(run: list[str], environment: dict[str, str], order: str) -> Iterator[Worker]:
    with subprocess.Popen(
        run, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        try:
            yield Worker(process, order)
        finally:
            process.terminate()
