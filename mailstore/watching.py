"""Waits for news on every connected mailbox, in one process and one event loop (spec G3).

The rows say what is watched; they are read every few seconds, so that a paused, deleted or changed mailbox is left
within that time, and a new one taken up. News make a mailbox due and nudge a worker: nothing is fetched here. Whatever
fails here costs speed alone, because the schedule syncs every mailbox anyway.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from django.db import Error as DatabaseProblem

from mailstore import watching_rows as rows
from mailstore.waits import backed_off, jittered
from mailstore.watching_rows import NotWanted, Target
from protocols.errors import LoginRefused, MailError, Unreachable
from protocols.imap.idle import News
from protocols.imap.idle_line import IdleLine, IdleNotOffered
from protocols.steps import StepName

log = logging.getLogger(__name__)

RENEW_AFTER: Final = 9 * 60.0  # seconds; routers forget silent lines after ten minutes, servers after thirty
RESPONSE_TIMEOUT: Final = 60.0  # seconds
CHANGES_WAIT: Final = 3.0  # seconds in which changes of flags and removals gather; new mail does not wait
GOOD_LINE: Final = 5 * 60.0  # seconds a line must have held, so that its end counts as no failure
WITHOUT_IDLE: Final = 24 * 60 * 60.0  # seconds until a server that offers no IDLE is asked again
LOOK_SHARE: Final = 50  # looking at the rows may take one 50th of the time
_BEFORE_LOGIN = (StepName.DNS, StepName.TCP, StepName.TLS, StepName.GREETING)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast lines are opened, so that a start is gentle to servers.

    at_once, per_host: logins under way.
    per_second:        logins begun.
    lines_per_host:    lines held to one host; what is above is left to the schedule.
    look_every:        seconds between two looks at the rows, at least.
    """

    at_once: int = 16
    per_host: int = 4
    per_second: float = 50.0
    lines_per_host: int = 20_000
    look_every: float = 2.0

    @property
    def for_suspects(self) -> int:
        """Logins under way at hosts that did not answer last time: they may not hold up the others."""
        return max(1, self.at_once // 5)


@dataclass(slots=True)
class _Host:
    """What is known of a server: lines held, logins under way, failures to reach it in a row, when it may be tried."""

    lines: int = 0
    dialing: int = 0
    failures: int = 0
    try_at: float = 0.0


class _Post:
    """One mailbox that is watched, or is to be. Times are seconds of the loop's clock."""

    __slots__ = ("_watcher", "failures", "line", "since", "target", "try_at")

    def __init__(self, watcher: WatchKeeper, target: Target) -> None:
        self._watcher = watcher
        self.target = target
        self.line: IdleLine | None = None
        self.failures = 0
        self.try_at = 0.0
        self.since = 0.0

    def heard(self, line: IdleLine, news: News) -> None:
        self._watcher.note(self.target.mailbox_pk, news)

    def ended(self, line: IdleLine, reason: MailError) -> None:
        self._watcher.line_ended(self, reason)


@dataclass(slots=True)
class _Basket:
    """Mailboxes with news that are not handed over yet. changed: since when, for those that may wait a little."""

    arrived: set[int] = field(default_factory=set)
    changed: dict[int, float] = field(default_factory=dict)
    filled: asyncio.Event = field(default_factory=asyncio.Event)

    def ripe(self, now: float) -> set[int]:
        """Take out what is to be handed over now."""
        waited = {pk for pk, since in self.changed.items() if now - since >= CHANGES_WAIT}
        taken, self.arrived = self.arrived | waited, set()
        for pk in taken:
            self.changed.pop(pk, None)
        return taken


class WatchKeeper:
    """Keeps a line open to each mailbox that the rows want watched. Everything runs in one event loop.

    holder: names this process in the watcher's row.
    """

    def __init__(self, holder: str, pace: Pace | None = None) -> None:
        self.holder = holder
        self.pace = pace or Pace()
        self._posts: dict[int, _Post] = {}
        self._absent: dict[int, _Post] = {}  # no line, and nobody opens one
        self._up: set[_Post] = set()
        self._hosts: dict[str, _Host] = {}
        self._basket = _Basket()
        self._refused: set[int] = set()  # logins that the rows do not know of yet
        self._database = ThreadPoolExecutor(1, "watch-rows")
        self._dialing = 0
        self._tokens = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def watching(self) -> int:
        """Mailboxes on which we wait for news."""
        return len(self._up)

    async def run(self, stopped: asyncio.Event) -> None:
        """Watch until `stopped`, then say goodbye to every server. Raises only what is a fault of ours."""
        self._loop = asyncio.get_running_loop()
        stop = asyncio.create_task(stopped.wait())
        jobs = [asyncio.create_task(job) for job in (self._look(), self._dial(), self._sweep(), self._tell())]
        try:
            done, _ = await asyncio.wait([*jobs, stop], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*jobs, stop):
                task.cancel()
            await asyncio.gather(*jobs, stop, return_exceptions=True)
            await self._end()

    def note(self, mailbox_pk: int, news: News) -> None:
        """A server told `news` of a mailbox."""
        if News.ARRIVAL in news:
            self._basket.arrived.add(mailbox_pk)
        else:
            self._basket.changed.setdefault(mailbox_pk, self._now())
        self._basket.filled.set()

    def line_ended(self, post: _Post, reason: MailError) -> None:
        """A line broke, or the server ended it. One that held for a while is opened again soon."""
        log.info("Mailbox %s: the watch ended: %s", post.target.mailbox_pk, type(reason).__name__)
        self._take_down(post)
        if self._now() - post.since >= GOOD_LINE:
            post.failures = 0
            post.try_at = self._now() + random.uniform(1, 30)  # noqa: S311
        else:
            self._wait(post)
        self._absent[post.target.mailbox_pk] = post

    # --- The rows ---------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Follow the rows. Without a database everything stays as it is."""
        while True:
            began, refused = self._now(), tuple(self._refused)
            try:
                wanted = await self._in_database(rows.look, self.holder, len(self._up), len(self._posts), refused)
            except DatabaseProblem as exc:
                log.warning("The rows could not be read, the watch goes on as it was: %s", type(exc).__name__)
            else:
                self._refused -= set(refused)
                self._follow(wanted or {})
            await asyncio.sleep(max(self.pace.look_every, LOOK_SHARE * (self._now() - began)))

    def _follow(self, wanted: dict[int, Target]) -> None:
        for pk, post in list(self._posts.items()):
            if wanted.get(pk) != post.target:
                self._forget(post)
        for pk, target in wanted.items():
            if pk not in self._posts and pk not in self._refused:
                self._posts[pk] = self._absent[pk] = _Post(self, target)

    def _forget(self, post: _Post) -> None:
        pk = post.target.mailbox_pk
        if self._posts.get(pk) is post:
            del self._posts[pk]
            self._absent.pop(pk, None)
        if post.line is not None:
            line = post.line
            self._take_down(post)
            line.leave()

    # --- Opening lines ----------------------------------------------------------------------------------------

    async def _dial(self) -> None:
        """Open lines, the longest waiting first, no faster than the pace allows."""
        pause = min(0.1, 5 / self.pace.per_second)
        while True:
            await asyncio.sleep(pause)
            self._tokens = min(self._tokens + pause * self.pace.per_second, max(1.0, self.pace.per_second / 5))
            now = self._now()
            ready = sorted((post for post in self._absent.values() if post.try_at <= now), key=_waiting_since)
            suspects = sum(host.dialing for host in self._hosts.values() if host.failures) if ready else 0
            for post in ready:
                if self._dialing >= self.pace.at_once or self._tokens < 1:
                    break
                host = self._hosts.setdefault(post.target.host, _Host())
                if not self._may_dial(host, now, suspects):
                    continue
                suspects += 1 if host.failures else 0
                self._begin(post, host)

    def _may_dial(self, host: _Host, now: float, suspects: int) -> bool:
        if host.failures:
            return not host.dialing and host.try_at <= now and suspects < self.pace.for_suspects
        return host.dialing < self.pace.per_host and host.lines + host.dialing < self.pace.lines_per_host

    def _begin(self, post: _Post, host: _Host) -> None:
        del self._absent[post.target.mailbox_pk]
        self._tokens -= 1
        self._dialing += 1
        host.dialing += 1
        # A thread that nobody waits for at the end of the process: a silent server may hold it for a minute.
        threading.Thread(target=self._open, args=(post,), name="watch-dial", daemon=True).start()

    def _open(self, post: _Post) -> None:
        """In a thread of its own: open the line, and bring it into the loop."""
        line: IdleLine | None = None
        missed = False
        failure: Exception | None = None
        try:
            line, missed = rows.open_line(post.target)
        except Exception as exc:  # judged in the loop
            failure = exc
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._opened, post, line, missed, failure)
        except RuntimeError:  # the loop has ended meanwhile
            if line is not None:
                line.close()

    def _opened(self, post: _Post, line: IdleLine | None, missed: bool, failure: Exception | None) -> None:
        host = self._hosts[post.target.host]
        self._dialing -= 1
        host.dialing -= 1
        wanted = self._posts.get(post.target.mailbox_pk) is post
        if line is None:
            if wanted:
                self._absent[post.target.mailbox_pk] = post
            self._failed(post, host, failure)
            return
        host.failures = 0
        if not wanted:
            line.close()
            return
        post.line, post.since = line, self._now()
        host.lines += 1
        self._up.add(post)
        if missed:
            self.note(post.target.mailbox_pk, News.ARRIVAL)
        line.listen(post, renew_after=_renew_after, response_timeout=RESPONSE_TIMEOUT)

    def _failed(self, post: _Post, host: _Host, failure: Exception | None) -> None:
        pk, now = post.target.mailbox_pk, self._now()
        if isinstance(failure, NotWanted | LoginRefused):
            if isinstance(failure, LoginRefused):
                self._refused.add(pk)
            self._forget(post)  # the next look at the rows may bring it back
        elif isinstance(failure, IdleNotOffered):
            host.failures = 0
            post.try_at = now + jittered_seconds(WITHOUT_IDLE)
        elif isinstance(failure, DatabaseProblem):
            post.try_at = now + jittered_seconds(10)
        else:
            if not isinstance(failure, MailError):
                log.error("Mailbox %s could not be watched.", pk, exc_info=failure)
            log.info("Mailbox %s is not watched: %s", pk, type(failure).__name__)
            self._wait(post)
            if isinstance(failure, Unreachable) and failure.step in _BEFORE_LOGIN:
                host.failures += 1
                host.try_at = now + jittered(backed_off(host.failures)).total_seconds()
            else:
                host.failures = 0

    def _wait(self, post: _Post) -> None:
        post.failures += 1
        post.try_at = self._now() + jittered(backed_off(post.failures)).total_seconds()

    def _take_down(self, post: _Post) -> None:
        self._up.discard(post)
        self._hosts[post.target.host].lines -= 1
        post.line = None

    # --- Keeping lines, handing news over ----------------------------------------------------------------------

    async def _sweep(self) -> None:
        """Ask again in time on every line, and end those that do not answer."""
        while True:
            await asyncio.sleep(1)
            now = self._now()
            for post in [post for post in self._up if post.line is not None and post.line.act_at <= now]:
                if post.line is not None:
                    post.line.tick(now)

    async def _tell(self) -> None:
        """Hand news over. What the database did not take is kept until it does."""
        while True:
            await self._basket.filled.wait()
            self._basket.filled.clear()
            ripe = self._basket.ripe(self._now())
            if ripe:
                try:
                    await self._in_database(rows.hand_over, ripe)
                except DatabaseProblem as exc:
                    log.warning("News of %s mailboxes wait for the database: %s", len(ripe), type(exc).__name__)
                    self._basket.arrived |= ripe
                    await asyncio.sleep(2)
                    self._basket.filled.set()
            if self._basket.changed and self._loop is not None:
                self._loop.call_later(CHANGES_WAIT / 2, self._basket.filled.set)

    async def _end(self) -> None:
        for post in list(self._posts.values()):
            self._forget(post)
        try:
            await self._in_database(rows.leave, self.holder, tuple(self._refused))
        except DatabaseProblem as exc:
            log.warning("The end of the watch was not noted: %s", type(exc).__name__)
        self._database.shutdown()

    async def _in_database(self, work: Callable[..., rows.Answer], *args: object) -> rows.Answer:
        assert self._loop is not None
        return await self._loop.run_in_executor(self._database, work, *args)

    def _now(self) -> float:
        assert self._loop is not None
        return self._loop.time()


def jittered_seconds(seconds: float) -> float:
    return seconds * random.uniform(1, 1.25)  # noqa: S311


def _renew_after() -> float:
    """Spread, so that lines opened together are not all renewed together."""
    return RENEW_AFTER * random.uniform(0.75, 1)  # noqa: S311


def _waiting_since(post: _Post) -> float:
    return post.try_at
