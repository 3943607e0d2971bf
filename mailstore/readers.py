"""Who turns stored octets into `ReadMessage`: this process for a few messages, a second one beside it for many.

Both are told of a batch with `submit` and give it back with `collect`. In between the caller fetches the next batch and
writes the last one, so that a large download uses two processors, and a message that kills its reader is found out.
"""

from __future__ import annotations

import logging
import os
import pickle
import select
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Protocol, Self

from django.conf import settings

from mailstore.reading import READY, Entry, ReadBatch, ReadMessage, read_entries, unread

log = logging.getLogger(__name__)

TIME_LIMIT = 60.0  # seconds for one batch; a thousand ordinary messages take a quarter of a second
START_LIMIT = 60.0  # seconds for a new process on a busy machine, which no message is blamed for
# Every batch needs about as much memory as the one before: glibc is to keep what was freed. Given back and asked for
# again, it comes page by page, which took a tenth of the reader's time.
_KEEPING_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "268435456", "MALLOC_MMAP_THRESHOLD_": "268435456"}
COMMAND = (sys.executable, "-s", "-m", "mailstore.reading_process")


class Reader(Protocol):
    """At most one batch is on its way: `submit`, `collect`, `submit` ..."""

    def submit(self, entries: Sequence[Entry]) -> None: ...

    def collect(self) -> ReadBatch: ...


class InlineReader:
    """Reads in this process, when collected."""

    def __init__(self) -> None:
        self._entries: Sequence[Entry] = ()

    def submit(self, entries: Sequence[Entry]) -> None:
        self._entries = entries

    def collect(self) -> ReadBatch:
        entries, self._entries = self._entries, ()
        return read_entries(entries)


class ReaderProcess:
    """Reads in a process of its own. Use as a context manager.

    with_postings: make what PostgreSQL is told to index there as well.

    Where that process dies or takes too long, the batch is halved until the one message is found; it is stored unread,
    and the others in full (fault R30).
    """

    def __init__(
        self, command: Sequence[str] = COMMAND, *, with_postings: bool = False, time_limit: float = TIME_LIMIT
    ) -> None:
        self._command = (*command, "postings") if with_postings else command
        self._time_limit = time_limit
        self._process: subprocess.Popen[bytes] | None = None
        self._has_begun = False
        self._entries: Sequence[Entry] = ()

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def submit(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        if not entries:
            return
        try:
            self._send(entries)
        except OSError:
            log.warning("The reader process had ended; another one takes its place.")
            self._stop()  # `collect` notices and starts another one

    def collect(self) -> ReadBatch:
        entries, self._entries = self._entries, ()
        if not entries:
            return ReadBatch([])
        try:
            return self._receive()
        except (OSError, EOFError) as exc:
            log.warning("The reader process failed on a batch of %s messages: %r", len(entries), exc)
            return ReadBatch(self._salvage(entries))  # postings of halves would not fit together

    def _salvage(self, entries: Sequence[Entry]) -> list[ReadMessage]:
        """Read a batch that failed as a whole, half by half, each time with a new process after a failure."""
        self._stop()
        if len(entries) == 1:
            log.warning("The message with UID %s cannot be read; it is stored as it is.", entries[0].envelope.uid)
            return [unread(entries[0])]
        found: list[ReadMessage] = []
        middle = len(entries) // 2
        for half in (entries[:middle], entries[middle:]):
            try:
                self._send(half)
                found += self._receive().messages
            except (OSError, EOFError):
                found += self._salvage(half)
        return found

    def _start(self) -> subprocess.Popen[bytes]:
        self._has_begun = False
        # Nothing of our environment: there are secrets in it, and mail of strangers is parsed here.
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=settings.BASE_DIR,
            env={"PYTHONPATH": str(settings.BASE_DIR), "LANG": "C.UTF-8", **_KEEPING_MEMORY},
        )
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        with process:  # closes the pipes and waits
            pass

    def _send(self, entries: Sequence[Entry]) -> None:
        process = self._process or self._start()
        stdin = _pipe(process.stdin)
        stdin.write(pickle.dumps(entries, pickle.HIGHEST_PROTOCOL))
        stdin.flush()

    def _receive(self) -> ReadBatch:
        """Wait for the answer. Raises EOFError when the process ended, TimeoutError when it takes too long."""
        if self._process is None:
            raise EOFError("the process had ended before")
        stdout = _pipe(self._process.stdout)
        if not self._has_begun:
            _await(stdout, START_LIMIT)
            if os.read(stdout.fileno(), len(READY)) != READY:  # past the buffer, in which nobody would see what follows
                raise EOFError("the process ended before it began")
            self._has_begun = True
        _await(stdout, self._time_limit)
        length = int.from_bytes(_exactly(stdout, 8), "big")
        answer: ReadBatch = pickle.loads(_exactly(stdout, length))  # noqa: S301  from our own process
        return answer


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _await(stdout: IO[bytes], seconds: float) -> None:
    if not select.select([stdout], [], [], seconds)[0]:
        raise TimeoutError(f"no answer within {seconds:.0f} s")


def _exactly(stdout: IO[bytes], length: int) -> bytes:
    octets = stdout.read(length)
    if len(octets) != length:
        raise EOFError("the process ended in the middle of its answer")
    return octets
