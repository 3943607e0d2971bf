"""One run of a sync: the claim, the session, the packs and what is told to open pages, handed from step to step."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from time import monotonic

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import Mailbox
from mailstore.models import Folder, SyncSchedule
from mailstore.packs import PackWriter
from mailstore.readers import InlineReader, Reader
from mailstore.writers import InlineWriter, Writer
from mailstore.writing import Claim, ClaimLost, Stored
from organizations import live, stopping
from protocols.imap.session import ImapSession

TIME_BUDGET = timedelta(minutes=40)  # below the soft time limit of a task; the next run goes on where this one ends
PROMPT_BUDGET = timedelta(seconds=10)  # in a slot kept free for what somebody waits for
LOOK_EVERY = 5.0  # seconds between two looks whether the INBOX has news
INTERRUPTED_AFTER = 30.0  # seconds that a run lasts before news in the INBOX end it
NEWS_EVERY = 0.25  # seconds between two announcements of progress

Report = Callable[[str, int], None]


class OutOfTime(Exception):
    """The run has used up its time; what is left is for the next one."""


class Stopping(OutOfTime):
    """The worker was asked to end: what it holds is handed back."""


def report_nothing(folder_name: str, messages: int) -> None: ...


@dataclass(slots=True)
class Run:
    """One run of the sync.

    budget:  the time after which it ends, and the next run goes on.
    is_brief: a look at one folder, that is over before a page could show its progress: only what came is told.
    report:  told of each stored batch (folder name, messages), for a command in the foreground.
    stored:  messages that were downloaded; those among them that are new mail count as arrived, too.
    """

    mailbox: Mailbox
    claim: Claim
    session: ImapSession
    packs: PackWriter
    reader: Reader = field(default_factory=InlineReader)
    writer: Writer = field(default_factory=InlineWriter)
    report: Report = report_nothing
    budget: timedelta = TIME_BUDGET
    is_brief: bool = False
    arrived: int = 0
    stored: int = 0
    _began: float = field(default_factory=monotonic)
    _told_at: float = 0.0
    _looked_at: float = field(default_factory=monotonic)
    _news: set[int] = field(default_factory=set)

    def write_folder(self, folder: Folder, **changes: object) -> None:
        """Change the row of a folder, and `folder` with it, while the claim holds."""
        with transaction.atomic():
            self.claim.hold(timezone.now())
            Folder.objects.filter(pk=folder.pk).update(**changes)
        for name, value in changes.items():
            setattr(folder, name, value)

    def expect(self, messages: int) -> None:
        """Count `messages` more into the total of this run."""
        if self.is_brief:
            return
        self._write(total=F("total") + messages)
        self.tell()

    def got_further(self) -> None:
        """What broke off was of some use: the next try need not wait as after failures in a row."""
        self._write(failures=0)

    def enter(self, folder: Folder) -> None:
        """Show `folder` as the one that is worked on."""
        if self.is_brief:
            return
        self._write(folder_name=folder.name[:255])
        self.tell()

    def note(self, folder: Folder, stored: Stored) -> None:
        """A batch is stored: count it, and tell open pages."""
        self.arrived += stored.arrivals
        self.stored += stored.messages
        self.report(folder.name, stored.messages)
        if stored.messages:
            self._news.add(folder.pk)
        self.tell(now=stored.arrivals > 0)  # somebody waits for new mail

    def check_time(self) -> None:
        """Raise OutOfTime when the budget of this run is used up, its worker is to end, or new mail waits behind a long
        one: the next run begins with the INBOX.
        """
        self.check_stop()
        now = monotonic()
        if now - self._began > self.budget.total_seconds():
            raise OutOfTime
        if now - self._began > INTERRUPTED_AFTER and now - self._looked_at > LOOK_EVERY:
            self._looked_at = now
            row = SyncSchedule.objects.holding(self.claim.mailbox_pk, self.claim.fence)
            if row.filter(news_at__gt=F("started_at")).exists():
                raise OutOfTime

    def check_stop(self) -> None:
        """Raise Stopping where the worker is to end. Costs nothing."""
        if stopping.is_asked():
            raise Stopping

    def tell(self, *, now: bool = False) -> None:
        """Announce what changed, at most about four times a second; `now` holds nothing back."""
        if not now and monotonic() - self._told_at < NEWS_EVERY:
            return
        self._told_at = monotonic()
        organization = self.mailbox.organization_id
        for pk in self._news:
            live.announce(organization, "folder", pk)  # first: that is where new mail shows
        self._news.clear()
        if not self.is_brief:
            live.announce(organization, "mailbox", self.mailbox.pk)

    def _write(self, **changes: object) -> None:
        if not SyncSchedule.objects.holding(self.claim.mailbox_pk, self.claim.fence).update(**changes):
            raise ClaimLost


_usual_collections = gc.get_threshold()
_bulk_runs = 0
_bulk_lock = Lock()


@contextmanager
def rare_collections() -> Iterator[None]:
    """Look for reference cycles every 50,000 objects instead of every 700: a batch holds thousands of messages, none
    of them in a cycle. Measured on a full pull: a tenth of the time. Threads share it: the last one out sets it back.
    """
    global _bulk_runs
    with _bulk_lock:
        _bulk_runs += 1
        gc.set_threshold(50_000, *_usual_collections[1:])
    try:
        yield
    finally:
        with _bulk_lock:
            _bulk_runs -= 1
            if not _bulk_runs:
                gc.set_threshold(*_usual_collections)


def first_day(mailbox: Mailbox, now: datetime) -> datetime | None:
    """Where the first download of a folder begins (spec E7); None: with its first message."""
    days = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}.get(mailbox.download_period)
    return now - timedelta(days=days) if days else None
