"""Who stores batches: this thread for a few messages, one beside it for many.

A database on the other side of a socket works while its client waits. With a thread for that the next batch is fetched
and read meanwhile. Batches are stored in the order given, each in one transaction that no network I/O interrupts, and
after a failure none that was given later.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Queue, SimpleQueue
from types import TracebackType
from typing import Protocol, Self

from django.db import connection

from mailstore import writing
from mailstore.models import Folder
from mailstore.packs import PackWriter
from mailstore.writing import Claim, Placed, Stored
from protocols.imap.plan import UidSet


@dataclass(frozen=True, slots=True)
class Batch:
    """What `writing.store_batch` is told."""

    folder: Folder
    messages: Sequence[Placed]
    claim: Claim
    packs: PackWriter
    covered: UidSet
    new_from: int | None
    postings: Sequence[bytes] = ()

    def store(self) -> Stored:
        """Raises what `store_batch` raises."""
        return writing.store_batch(
            self.folder,
            self.messages,
            claim=self.claim,
            packs=self.packs,
            covered=self.covered,
            new_from=self.new_from,
            postings=self.postings,
        )


def database_works_beside() -> bool:
    """Tell whether the database has a process of its own, for which a thread may wait. SQLite works in ours."""
    return connection.vendor == "postgresql"


class Writer(Protocol):
    """Every method raises what storing an earlier batch raised: that batch and all later ones are not stored."""

    def submit(self, batch: Batch) -> None: ...

    def news(self) -> list[tuple[Folder, Stored]]:
        """What was stored since the last call."""
        ...

    def finish(self) -> None:
        """Wait until everything submitted is stored."""
        ...


class InlineWriter:
    """Stores at once, in this thread."""

    def __init__(self) -> None:
        self._news: list[tuple[Folder, Stored]] = []

    def submit(self, batch: Batch) -> None:
        self._news.append((batch.folder, batch.store()))

    def news(self) -> list[tuple[Folder, Stored]]:
        news, self._news = self._news, []
        return news

    def finish(self) -> None: ...


class WriterThread:
    """Stores in a thread of its own, with its own connection to the database. Use as a context manager.

    One batch is being stored, one more waits; then `submit` waits. Leaving the block drops what waits.
    """

    def __init__(self) -> None:
        self._waiting: Queue[Batch | None] = Queue(maxsize=1)
        self._stored: SimpleQueue[tuple[Folder, Stored]] = SimpleQueue()
        self._failure: BaseException | None = None
        self._is_over = False
        self._thread = threading.Thread(target=self._work, name="sync-writer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        self._waiting.put(None)
        self._thread.join()

    def submit(self, batch: Batch) -> None:
        self._check()
        self._waiting.put(batch)

    def news(self) -> list[tuple[Folder, Stored]]:
        self._check()
        return [self._stored.get() for _ in range(self._stored.qsize())]

    def finish(self) -> None:
        self._waiting.join()
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        try:
            while (batch := self._waiting.get()) is not None:
                self._store(batch)
                self._waiting.task_done()
        finally:
            connection.close()

    def _store(self, batch: Batch) -> None:
        if self._is_over or self._failure is not None:
            return
        try:
            self._stored.put((batch.folder, batch.store()))
        except BaseException as exc:  # raised again where the next batch comes from
            self._failure = exc
