"""Asking for a page and reading the clocks: what a client waits for, and what processors do for it."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter, process_time

from django.db import connection
from django.test import Client


def ask(client: Client, url: str) -> None:
    answer = client.get(url)
    assert answer.status_code == 200, f"{url}: {answer.status_code}"


def milliseconds(client: Client, url: str) -> tuple[float, float]:
    """By the clock, and of the processor."""
    began, used = perf_counter(), processor_seconds()
    ask(client, url)
    return (perf_counter() - began) * 1000, (processor_seconds() - used) * 1000


def processor_seconds() -> float:
    """Of this process, and of the one that serves it on PostgreSQL (Linux counts its nanoseconds)."""
    if connection.vendor != "postgresql":
        return process_time()
    pid = connection.connection.info.backend_pid
    return process_time() + int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
