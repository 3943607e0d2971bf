"""The parts that `manage.py up` runs, how each is started, and how one knows that it is ready."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from emailsettings.lifeline import die_with_parent

RESTART_AFTER = (0.5, 2.0, 5.0, 15.0)  # seconds; the last one repeats
GOOD_RUN = 60.0  # seconds after which earlier failures are forgotten
LOG_LIMIT = 5 * 1024 * 1024  # octets; a longer log is moved aside at the next start


class PartFailed(Exception):
    """A part did not start. The text says which, why, and where its log is."""


@dataclass
class Part:
    """One process of the product.

    grace: seconds it may take to end after SIGTERM before it is killed.
    """

    name: str
    command: Sequence[str]
    log: Path
    grace: float = 10.0
    environment: Mapping[str, str] = field(default_factory=dict)
    is_ready: Callable[[], bool] | None = None
    process: subprocess.Popen[bytes] | None = None
    failures: int = 0
    started_at: float = 0.0
    start_again_at: float | None = None

    def start(self) -> None:
        self.started_at = time.monotonic()
        with self._open_log() as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment, "EMAILSETTINGS_PARENT": str(os.getpid())},
                start_new_session=True,  # Ctrl-C reaches `up` alone, which then stops all in order
                preexec_fn=die_with_parent,
            )

    def _open_log(self) -> IO[bytes]:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".old.log"))
        return self.log.open("ab")

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait_until_ready(self, seconds: float) -> None:
        """Raises PartFailed when the part ends, or is not ready in time."""
        deadline = time.monotonic() + seconds
        while self.is_ready is not None and not self.is_ready():
            if not self.is_running:
                raise PartFailed(f"{self.name} ended at once. Its last words: {self.last_words()}")
            if time.monotonic() > deadline:
                raise PartFailed(f"{self.name} was not ready after {seconds:.0f} seconds. Its log: {self.log}")
            time.sleep(0.03)

    def look_after(self, now: float) -> bool:
        """Start the part again when it has ended by itself, later after each failure. True when it was just found."""
        if self.is_running:
            return False
        if self.start_again_at is None:
            self.failures = 0 if now - self.started_at > GOOD_RUN else self.failures
            self.start_again_at = now + RESTART_AFTER[min(self.failures, len(RESTART_AFTER) - 1)]
            self.failures += 1
            return True
        if now >= self.start_again_at:
            self.start_again_at = None
            self.stop()  # what is left of its own children
            self.start()
        return False

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return next((line for line in reversed(lines) if line.strip()), "none") + f" (log: {self.log})"

    def ask_to_stop(self) -> None:
        if self.is_running and self.process is not None:
            self.process.terminate()

    def stop(self) -> None:
        """End the part and everything it started: politely first, then by force."""
        if self.process is None:
            return
        self.ask_to_stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(self.grace)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # also what is left of its own children
        self.process.wait()


def celery(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "celery", "-A", "emailsettings", name, *arguments, "--loglevel", "INFO"]
