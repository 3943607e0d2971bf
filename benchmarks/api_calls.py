"""Mails queued by programs over HTTP: the very server of `./run`, with its broker and its database on a disk.

Workers are left out: nothing is sent meanwhile, as in the minute in which a program hands over its mails.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from time import perf_counter

from emailsettings import embedded
from tests.servers.processes import accepts, free_port, wait_until


@dataclass(frozen=True)
class Opening:
    """What a program knows that queues mails: a token, the key of the mailbox they leave from, and their text."""

    token: str
    mailbox: int
    text: str


@dataclass
class Server:
    port: int
    opening: Opening
    process: subprocess.Popen[bytes]

    def processor(self) -> float:
        """Seconds that the server and its children have used."""
        ticks = 0
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rpartition(")")[2].split()
            except OSError:  # ended meanwhile
                continue
            if int(fields[2]) == self.process.pid:  # its process group
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def running_server(environment: dict[str, str], opening: Opening) -> Iterator[Server]:
    """Start broker and server on the state folder of `environment`, whose database is migrated already."""
    socket = Path(environment["EMAILSETTINGS_STATE_DIR"]) / "valkey.sock"
    port = free_port()
    granian = [sys.executable, "-m", "granian", "--interface", "asginl", "--host", "127.0.0.1", "--port", str(port)]
    granian += ["--workers", "1", "--workers-kill-timeout", "3", "--no-ws", "emailsettings.asgi:application"]
    log = subprocess.DEVNULL
    with (
        subprocess.Popen(embedded.command(socket), stdout=log) as broker,
        subprocess.Popen(granian, env=environment, stdout=log, stderr=log, start_new_session=True) as server,
    ):
        try:
            wait_until(lambda: embedded.is_answering(socket), "answer of the broker")
            wait_until(lambda: accepts(port), "answer of the server")
            yield Server(port, opening, server)
        finally:
            server.terminate()
            broker.terminate()


_numbers = count()


def queue(server: Server, number: int, clients: int) -> float:
    """Queue so many mails, one for each call, from several clients with a kept connection each; return seconds."""
    shares = [range(start, number, clients) for start in range(clients)]
    began = perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(lambda share: _call(server, len(share)), shares))
    return perf_counter() - began


def _call(server: Server, number: int) -> None:
    line = HTTPConnection("127.0.0.1", server.port, timeout=60)
    for _ in range(number):
        place = next(_numbers)
        body = {
            "mailbox": server.opening.mailbox,
            "to": [{"name": "Person", "address": f"person{place}@example.org"}],
            "subject": f"Benchmark {place}",
            "text": server.opening.text,
        }
        headers = {"Authorization": f"Bearer {server.opening.token}", "Content-Type": "application/json"}
        line.request("POST", "/api/v1/outbox", json.dumps(body), headers | {"Idempotency-Key": f"http-{place}"})
        answer = line.getresponse()
        told = answer.read()
        assert answer.status == 201, told
    line.close()
