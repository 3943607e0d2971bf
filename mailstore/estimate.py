"""How much the first download of a mailbox will bring (spec E2): asked from the server, quickly, and only roughly."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Final

from accounts.models import Mailbox
from accounts.sessions import imap_session
from mailstore import runs
from mailstore.folder_list import NOT_FOLLOWED
from mailstore.run import first_day
from protocols.errors import LoginRefused, MailError
from protocols.imap.plan import UidSet
from protocols.imap.session import ImapSession

log = logging.getLogger(__name__)

PATIENCE: Final = 5.0  # seconds for everything
COUNTING: Final = 3.5  # seconds of it for asking folder after folder
MOST_AT_ONCE: Final = 8  # mailboxes that this process asks about; a silent server holds its thread for 40 s
SAMPLE: Final = 100  # messages per folder whose sizes are asked for

# What a common machine stores; a mailbox of many small messages is slow by count, one of large ones by octets.
MESSAGES_PER_SECOND: Final = 250
OCTETS_PER_SECOND: Final = 6_000_000

_lock = threading.Lock()
_being_asked: set[int] = set()  # keys of mailboxes whose thread has not ended


@dataclass(frozen=True, slots=True)
class Estimate:
    """size: octets. is_whole: every followed folder was asked; otherwise there is more than this."""

    messages: int
    size: int
    is_whole: bool

    def without(self, stored: int) -> Estimate:
        """What is left to be fetched where `stored` of these messages are here already."""
        left = max(0, self.messages - stored)
        return Estimate(left, self.size * left // self.messages if self.messages else 0, self.is_whole)

    @property
    def seconds(self) -> float:
        return max(self.messages / MESSAGES_PER_SECOND, self.size / OCTETS_PER_SECOND)

    @property
    def duration(self) -> str:
        """In words: "under a minute", "about 3 minutes", "about 2 hours"."""
        seconds = self.seconds
        if seconds < 60:
            return "under a minute"
        if seconds < 90 * 60:
            minutes = round(seconds / 60)
            return f"about {minutes} minute{'' if minutes == 1 else 's'}"
        return f"about {round(seconds / 3600)} hours"


def estimate_download(mailbox: Mailbox, now: datetime) -> Estimate | None:
    """Ask the server of `mailbox` what is there; None when it does not say within a few seconds.

    A server that does not answer is left to its own timeouts in a thread; nobody waits for it, neither here nor when
    the process stops, and until that thread ends the same mailbox is not asked again. A login that was refused is not
    offered again from here (spec D4).
    """
    if mailbox.paused_at is not None or mailbox.login_refusals or not _take_place(mailbox.pk):
        return None
    found: Future[Estimate] = Future()
    threading.Thread(target=_answer, args=(found, mailbox, now), name=f"estimate-{mailbox.pk}", daemon=True).start()
    try:
        return found.result(PATIENCE)
    except (MailError, TookTooLong) as exc:
        if isinstance(exc, LoginRefused):
            runs.refused_to_watch(mailbox.pk, now)
        log.info("Mailbox %s was not counted: %s", mailbox.pk, type(exc).__name__)
        return None


def _take_place(mailbox_pk: int) -> bool:
    with _lock:
        if mailbox_pk in _being_asked or len(_being_asked) >= MOST_AT_ONCE:
            return False
        _being_asked.add(mailbox_pk)
        return True


def _answer(found: Future[Estimate], mailbox: Mailbox, now: datetime) -> None:
    try:
        found.set_result(_ask(mailbox, now))
    except BaseException as exc:  # whoever waits raises it
        found.set_exception(exc)
    finally:
        with _lock:
            _being_asked.discard(mailbox.pk)


def _ask(mailbox: Mailbox, now: datetime) -> Estimate:
    """Runs beside the request: no database in here."""
    end = monotonic() + COUNTING
    messages = size = 0
    with imap_session(mailbox) as session:
        listed = session.folders()
        entries = [entry for entry in listed if entry.selectable and str(entry.special_use or "") not in NOT_FOLLOWED]
        entries.sort(key=lambda entry: entry.raw_name != b"INBOX")
        for asked, entry in enumerate(entries):
            if monotonic() > end:
                return Estimate(messages, size, is_whole=asked == len(entries))
            count, sampled = _count(session, entry.raw_name, mailbox, now)
            messages += count
            size += sampled
    return Estimate(messages, size, is_whole=True)


def _count(session: ImapSession, raw_name: bytes, mailbox: Mailbox, now: datetime) -> tuple[int, int]:
    """Messages of one folder that will come, and their octets judged by the newest ones."""
    state = session.examine(raw_name)
    if not state.exists:
        return 0, 0
    since = first_day(mailbox, now)
    if since is None:
        count = state.exists
        newest = session.uids_of_numbers(range(max(1, count - SAMPLE + 1), count + 1))
    else:
        uids = session.uids_since(since.date())
        count = len(uids)
        newest = sorted(uids)[-SAMPLE:]
    sizes = session.sizes(UidSet(newest)) if newest else {}
    return count, round(sum(sizes.values()) / len(sizes) * count) if sizes else 0
