"""How much the first download of a mailbox will bring (spec E2): asked from the server, quickly, and only roughly."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Final

from accounts.models import Mailbox
from accounts.sessions import imap_session
from mailstore.folder_list import NOT_FOLLOWED
from mailstore.run import first_day
from protocols.errors import MailError
from protocols.imap.plan import UidSet
from protocols.imap.session import ImapSession

log = logging.getLogger(__name__)

PATIENCE: Final = 5.0  # seconds for everything
COUNTING: Final = 3.5  # seconds of it for asking folder after folder
SAMPLE: Final = 100  # messages per folder whose sizes are asked for

# What a common machine stores; a mailbox of many small messages is slow by count, one of large ones by octets.
MESSAGES_PER_SECOND: Final = 250
OCTETS_PER_SECOND: Final = 6_000_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """size: octets. is_whole: every followed folder was asked; otherwise there is more than this."""

    messages: int
    size: int
    is_whole: bool

    @property
    def duration(self) -> str:
        """In words: "under a minute", "about 3 minutes", "about 2 hours"."""
        seconds = max(self.messages / MESSAGES_PER_SECOND, self.size / OCTETS_PER_SECOND)
        if seconds < 60:
            return "under a minute"
        if seconds < 90 * 60:
            minutes = round(seconds / 60)
            return f"about {minutes} minute{'' if minutes == 1 else 's'}"
        return f"about {round(seconds / 3600)} hours"


def estimate_download(mailbox: Mailbox, now: datetime) -> Estimate | None:
    """Ask the server of `mailbox` what is there; None when it does not say within a few seconds.

    A server that does not answer is left to its own timeouts in a thread; nobody waits for it here. A login that was
    refused is not offered again from here (spec D4).
    """
    if mailbox.paused_at is not None or mailbox.login_refusals:
        return None
    pool = ThreadPoolExecutor(1, thread_name_prefix="estimate")
    try:
        return pool.submit(_ask, mailbox, now).result(PATIENCE)
    except (MailError, TookTooLong) as exc:
        log.info("Mailbox %s was not counted: %s", mailbox.pk, type(exc).__name__)
        return None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


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
