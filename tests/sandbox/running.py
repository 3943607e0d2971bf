"""A sandbox in a process of its own, and clients that talk to it."""

from __future__ import annotations

import contextlib
import json
import select
import signal
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imapclient import IMAPClient

ROOT = Path(__file__).parents[2]
ALICE, BOB, CAROL, SUPPORT = (f"{name}@sandbox.test" for name in ("alice", "bob", "carol", "support"))
HELLO = b"From: Alice <alice@sandbox.test>\r\nTo: bob@sandbox.test\r\nSubject: Hello\r\n\r\nGood morning.\r\n"


@dataclass(frozen=True, slots=True)
class Running:
    """One running sandbox."""

    process: subprocess.Popen[str]
    imap_port: int
    smtp_port: int
    password: str

    @contextlib.contextmanager
    def imap(self, address: str, folder: str | None = None) -> Iterator[IMAPClient]:
        with IMAPClient("127.0.0.1", self.imap_port, ssl=False, timeout=5) as client:
            client.login(address, self.password)
            if folder:
                client.select_folder(folder)
            yield client

    @contextlib.contextmanager
    def smtp(self, address: str) -> Iterator[smtplib.SMTP]:
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=5) as client:
            client.login(address, self.password)
            yield client

    def send(self, sender: str, *recipients: str, raw: bytes = HELLO) -> None:
        with self.smtp(sender) as client:
            assert client.sendmail(sender, recipients, raw) == {}

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=5)


def command(state: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "sandbox", "--state", str(state), *options]


@contextlib.contextmanager
def running(state: Path, *options: str) -> Iterator[Running]:
    """Start a sandbox on free ports, wait for its line, and end it afterwards in any case."""
    process = subprocess.Popen(command(state, *options), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 10)[0], "no ready line within 10 seconds"
        ready = json.loads(process.stdout.readline())
        yield Running(process, ready["imap_port"], ready["smtp_port"], ready["password"])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
