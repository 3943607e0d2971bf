"""One contender of `benchmarks/idle`, in a process of its own.

    python -m benchmarks.idle_contenders NAME PORT CONNECTIONS [AUTHORITY]

Opens its connections and prints what they took: {"memory": KB each, "opening": processor milliseconds each}. Then
reads a number, and prints when it heard of that many users: [[user, moment of CLOCK_MONOTONIC], ...]. Ends with its
input.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import selectors
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tests import environment

environment.prepare()

import django  # noqa: E402

django.setup()

from imapclient import IMAPClient  # noqa: E402

from mailstore import watching_rows as rows  # noqa: E402
from mailstore.watching import Pace, WatchKeeper  # noqa: E402
from mailstore.watching_rows import Target  # noqa: E402
from protocols.credentials import Credentials, Secret  # noqa: E402
from protocols.endpoint import Endpoint, Security  # noqa: E402
from protocols.imap.idle_line import IdleLine, open_line  # noqa: E402
from protocols.network import Dialer, DialPolicy  # noqa: E402
from protocols.tls import TlsTrust  # noqa: E402

HOST = "127.0.0.1"
PACE = Pace(per_second=5000, at_once=8, per_host=8, look_every=0.2)


class Meter:
    """Memory and processor time since it was made."""

    def __init__(self) -> None:
        self._memory, self._time = _resident(), time.process_time()

    def report(self, connections: int) -> None:
        gc.collect()
        memory = (_resident() - self._memory) / connections
        opening = (time.process_time() - self._time) / connections * 1000
        print(json.dumps({"memory": memory, "opening": opening}), flush=True)


class Ear:
    """Notes when each user was heard of, and prints it when all were."""

    def __init__(self) -> None:
        self.heard: dict[str, float] = {}

    def note(self, user: str) -> None:
        self.heard.setdefault(user, time.monotonic())

    def report(self, wanted: int) -> None:
        deadline = time.monotonic() + 60
        while len(self.heard) < wanted and time.monotonic() < deadline:
            time.sleep(0.05)
        print(json.dumps(list(self.heard.items())), flush=True)


def ours(port: int, connections: int, authority: str | None) -> None:
    """The watcher itself; only the rows are replaced, since reading them is no part of a connection."""
    endpoint = Endpoint(HOST, port, Security.TLS if authority else Security.NONE)
    dialer = Dialer(DialPolicy(endpoints=frozenset({(HOST, port)})))
    trust = TlsTrust(extra_ca=Path(authority).read_text()) if authority else TlsTrust()
    targets = {pk: Target(pk, HOST, port, "none", str(pk)) for pk in range(1, connections + 1)}
    ear, meter = Ear(), Meter()

    def opening(target: Target) -> tuple[IdleLine, bool]:
        return open_line(endpoint, Credentials(target.username, Secret("secret")), dialer=dialer, trust=trust), False

    rows.look = lambda *_: targets
    rows.leave = lambda *_: None
    rows.open_line = opening
    rows.hand_over = lambda pks: [ear.note(str(pk)) for pk in pks]
    keeper, loop, stopped = WatchKeeper("benchmark", PACE), asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(keeper.run(stopped)))
    thread.start()
    while keeper.watching < connections:
        time.sleep(0.1)
    _obey(meter, ear, connections)
    loop.call_soon_threadsafe(stopped.set)
    thread.join()


def imapclients(port: int, connections: int, authority: str | None) -> None:
    meter, ear, selector = Meter(), Ear(), selectors.DefaultSelector()
    context = ssl.create_default_context(cafile=authority) if authority else None
    for number in range(1, connections + 1):
        client = IMAPClient(HOST, port, ssl=bool(authority), ssl_context=context)
        client.login(str(number), "secret")
        client.select_folder("INBOX", readonly=True)
        client.idle()
        selector.register(client.socket(), selectors.EVENT_READ, (number, client))

    def hear(key: selectors.SelectorKey) -> None:
        number, client = key.data
        if any(answer[1] == b"EXISTS" for answer in client.idle_check(timeout=0)):
            ear.note(str(number))

    _listen(selector, hear)
    _obey(meter, ear, connections)


def bare_sockets(port: int, connections: int, authority: str | None) -> None:
    meter, ear, selector = Meter(), Ear(), selectors.DefaultSelector()
    context = ssl.create_default_context(cafile=authority) if authority else None
    for number in range(1, connections + 1):
        sock = socket.create_connection((HOST, port))
        if context is not None:
            sock = context.wrap_socket(sock, server_hostname=HOST)
        for line in (b"1 LOGIN %d secret" % number, b"2 EXAMINE INBOX", b"3 IDLE"):
            sock.sendall(line + b"\r\n")
        said = b""
        while b"+ idling" not in said:
            said += sock.recv(4096)
        selector.register(sock, selectors.EVENT_READ, number)

    def hear(key: selectors.SelectorKey) -> None:
        if b"EXISTS" in key.fileobj.recv(4096):
            ear.note(str(key.data))

    _listen(selector, hear)
    _obey(meter, ear, connections)


def _listen(selector: selectors.BaseSelector, hear: Callable[[selectors.SelectorKey], None]) -> None:
    def run() -> None:
        while True:
            for key, _ in selector.select():
                hear(key)

    threading.Thread(target=run, daemon=True).start()


def _obey(meter: Meter, ear: Ear, connections: int) -> None:
    meter.report(connections)
    for line in _lines():
        ear.report(int(line))


def _lines() -> Iterable[str]:
    while line := sys.stdin.readline():
        yield line


def _resident() -> float:
    """KB of memory of this process that is no file."""
    status = Path("/proc/self/status").read_text()
    return float(status.partition("RssAnon:")[2].split()[0])


def main() -> None:
    name, port, connections, *authority = sys.argv[1:]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    contend = {"emailsettings": ours, "IMAPClient": imapclients, "bare socket": bare_sockets}[name]
    contend(int(port), int(connections), authority[0] if authority else None)


if __name__ == "__main__":
    main()
