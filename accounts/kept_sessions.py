"""Logged-in IMAP sessions that are kept for a while, for whoever asks the same mailbox again soon.

New mail comes in bursts, and a person who presses Sync presses it again. A login takes five exchanges with the server
or more, a kept session none. Kept are few, for a short time, one for each mailbox, and only in this process: what
another worker keeps is its own, and after a fork the child begins with nothing.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Final, TypeVar

from accounts.models import Mailbox
from protocols.errors import MailError
from protocols.imap.session import ImapSession

log = logging.getLogger(__name__)

MOST: Final = 64  # sessions
MOST_PER_HOST: Final = 16
IDLE: Final = 4 * 60.0  # seconds; routers forget silent lines after five minutes or more
PATIENCE: Final = 5.0  # seconds for the first answer of a kept session; then a new one is opened
#: One to watch, one that is kept, one for the next full sync and one for the person's own program.
CONNECTIONS_NEEDED: Final = 4

Answer = TypeVar("Answer")
_Key = tuple[int, str, int, str, str, bytes]
Opening = Callable[[ExitStack], ImapSession]  # logs in; the stack says goodbye


@dataclass(slots=True)
class _Kept:
    session: ImapSession
    goodbye: ExitStack
    since: float = 0.0


class KeptSessions:
    """A pool for one process, safe to share between its threads."""

    def __init__(self, *, most: int = MOST, most_per_host: int = MOST_PER_HOST, idle: float = IDLE) -> None:
        self._most, self._most_per_host, self._idle = most, most_per_host, idle
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._sweeper: threading.Thread | None = None
        os.register_at_fork(after_in_child=self._begin_anew)

    def __len__(self) -> int:
        return len(self._kept)

    def holds(self, mailbox: Mailbox) -> bool:
        """Whether a session of `mailbox` waits here: to use it opens no connection."""
        return _key(mailbox) in self._kept

    @contextmanager
    def session(
        self, mailbox: Mailbox, log_in: Opening, first: Callable[[ImapSession], Answer]
    ) -> Iterator[tuple[ImapSession, Answer]]:
        """Yield a session and its answer to `first`, and keep the session after the block.

        first: asked with little patience of a kept session, and once more of a new one where that did not answer. No
        folder is open. After an error in the block, or where the folder it opened cannot be left, the session is
        ended. Raises MailError.
        """
        key = _key(mailbox)
        kept, answer = self._asked(key, first)
        if kept is None:
            with ExitStack() as stack:
                session = log_in(stack)
                answer = [first(session)]
                kept = _Kept(session, stack.pop_all())
        try:
            yield kept.session, answer[0]
            keeps = _may_keep(mailbox) and _has_left(kept.session)
        except BaseException:
            kept.goodbye.close()
            raise
        if keeps:
            self._put(key, kept)
        else:
            kept.goodbye.close()

    def close(self) -> None:
        """End all, politely."""
        with self._lock:
            leaving = list(self._kept.values())
            self._kept.clear()
            self._changed.notify_all()
        for kept in leaving:
            kept.goodbye.close()

    def _asked(self, key: _Key, first: Callable[[ImapSession], Answer]) -> tuple[_Kept | None, list[Answer]]:
        with self._lock:
            kept = self._kept.pop(key, None)
        if kept is None:
            return None, []
        try:
            with kept.session.patience(PATIENCE):
                return kept, [first(kept.session)]
        except MailError as exc:
            log.info("A kept session of mailbox %s is of no use any more: %s", key[0], type(exc).__name__)
            kept.goodbye.close()
            return None, []

    def _put(self, key: _Key, kept: _Kept) -> None:
        kept.since = monotonic()
        with self._lock:
            replaced = self._kept.pop(key, None)  # two threads had one each
            self._kept[key] = kept
            leaving = [replaced] if replaced is not None else []
            hosts = Counter(host for _, host, *_ in self._kept)
            while len(self._kept) > self._most or hosts[key[1]] > self._most_per_host:
                crowded = hosts[key[1]] > self._most_per_host
                oldest = next(other for other in self._kept if not crowded or other[1] == key[1])
                hosts[oldest[1]] -= 1
                leaving.append(self._kept.pop(oldest))
            if self._sweeper is None:
                self._sweeper = threading.Thread(target=self._sweep, name="kept-sessions", daemon=True)
                self._sweeper.start()
        for each in leaving:
            each.goodbye.close()

    def _sweep(self) -> None:
        """End what nobody has used for a while; the thread goes with the last one."""
        while True:
            with self._lock:
                self._changed.wait(self._idle / 4)
                old = monotonic() - self._idle
                leaving = [self._kept.pop(key) for key, kept in list(self._kept.items()) if kept.since <= old]
                if not self._kept:
                    self._sweeper = None
            for kept in leaving:
                kept.goodbye.close()
            if self._sweeper is not threading.current_thread():
                return

    def _begin_anew(self) -> None:
        """After a fork the lines are the parent's: no word may be said on them."""
        for kept in self._kept.values():
            kept.session.abandon()
        self._kept = OrderedDict()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._sweeper = None


def _key(mailbox: Mailbox) -> _Key:
    """What a session belongs to: after a change of the server or of the password it is another one."""
    if "password" not in mailbox.__dict__:  # deferred: the stored one counts, not that none was read
        mailbox.refresh_from_db(fields=["password"])
    sealed = bytes(mailbox.__dict__["password"] or b"")
    name = mailbox.imap_username or mailbox.address
    return (
        mailbox.pk, mailbox.imap_host, mailbox.imap_port, mailbox.imap_security, name, hashlib.sha256(sealed).digest()
    )  # fmt: skip


def _has_left(session: ImapSession) -> bool:
    """Leave the open folder. Where that fails the work is done all the same; only the session is of no use any more."""
    try:
        session.leave_folder()
    except (MailError, OSError) as exc:
        log.info("A session could not leave its folder and is not kept: %s", type(exc).__name__)
        return False
    return True


def _may_keep(mailbox: Mailbox) -> bool:
    limits = mailbox.provider.limits if mailbox.provider is not None else {}
    return int(limits.get("connections") or CONNECTIONS_NEEDED) >= CONNECTIONS_NEEDED
