"""When mailboxes are synced, and what a page may say about it: the way in for everything above the store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import Mailbox, State
from mailstore import hosts
from mailstore.history import note_run
from mailstore.models import SyncSchedule
from mailstore.runs import UNSTEADY_EPOCH, interval
from mailstore.tasks import fetch_news, sync_mailbox
from mailstore.writing import Claim
from organizations import audit, live
from organizations.models import User
from organizations.nudging import nudge

SHORTEST_MEASURE = 2.0  # seconds a run must have lasted before its rate means something


@dataclass(frozen=True, slots=True)
class Progress:
    """What a mailbox is doing (spec E11).

    done, total:     messages of the present run; 0 and 0 while there is nothing to count.
    rate_per_second: messages, measured since the run began; None before it can be measured.
    seconds_left:    at that rate; None where unknown.
    waiting_for:     what a waiting mailbox waits for, in words; `until` is when it tries again.
    arrived:         new messages that the last finished run brought.
    since:           end of the last run that came through.
    holder, began:   the process that syncs it, and since when; empty and None while nobody does.
    """

    state: State
    folder: str = ""
    done: int = 0
    total: int = 0
    rate_per_second: float | None = None
    seconds_left: float | None = None
    waiting_for: str = ""
    until: datetime | None = None
    arrived: int = 0
    since: datetime | None = None
    holder: str = ""
    began: datetime | None = None

    @property
    def pace(self) -> str:
        """How fast the present run is: "481 per second, about 24 s left"; empty where it cannot be measured yet."""
        if self.rate_per_second is None:
            return ""
        rate = f"{self.rate_per_second:,.0f} per second" if self.rate_per_second >= 1 else "less than one per second"
        return f"{rate}, about {_duration(self.seconds_left)} left" if self.seconds_left else rate


def ensure(mailbox: Mailbox) -> SyncSchedule:
    """Return the schedule of a mailbox; a new one is due at once."""
    schedule, _ = SyncSchedule.objects.get_or_create(mailbox=mailbox, defaults={"due_at": timezone.now()})
    return schedule


def request_sync(mailbox_pk: int) -> None:
    """Make a mailbox due now and nudge a worker after the commit. While it syncs already, it goes once more.

    A login that the server refused is not tried before its time, whoever asks: accounts are locked for that.
    """
    now = timezone.now()
    SyncSchedule.objects.get_or_create(mailbox_id=mailbox_pk, defaults={"due_at": now})
    refused = Mailbox.objects.filter(pk=mailbox_pk, login_refusals__gt=0)
    due_at = Case(When(mailbox_id__in=refused, then=F("due_at")), default=Value(now))
    SyncSchedule.objects.filter(mailbox_id=mailbox_pk).update(requested_at=now, due_at=due_at)
    _nudge(mailbox_pk)


def notice(mailbox_pks: Iterable[int]) -> None:
    """The servers of these mailboxes told of news in the INBOX: note it, and nudge workers to fetch them. While one
    syncs already, it goes once more.

    One that waits after a failure keeps its time: news do not make a busy server less busy.
    """
    rows = SyncSchedule.objects.filter(mailbox_id__in=list(mailbox_pks), mailbox__login_refusals=0)
    told = dict(rows.values_list("pk", "failures"))
    SyncSchedule.objects.filter(pk__in=told).update(news_at=timezone.now())
    for pk, failures in told.items():
        if not failures:
            nudge(fetch_news, pk)


def resume(mailbox_pk: int) -> None:
    """End a pause that a person may end by asking. One for refused credentials waits for new ones."""
    paused = Mailbox.objects.filter(pk=mailbox_pk, paused_at__isnull=False, login_refusals=0)
    ended_by_asking = Q(attention__isnull=True) | Q(attention__code=UNSTEADY_EPOCH.code)
    paused.filter(ended_by_asking).update(paused_at=None, attention=None, attention_since=None)


def make_due(mailbox_pk: int) -> None:
    """What decides about the sync of a mailbox was changed: try it now. Nothing happens where downloading is off.

    Nobody asked, so this is no request; a login that was refused keeps its time here too.
    """
    rows = SyncSchedule.objects.filter(mailbox_id=mailbox_pk, mailbox__downloads=True, mailbox__login_refusals=0)
    if rows.update(due_at=timezone.now(), waiting_for="its turn"):
        _nudge(mailbox_pk)


def follow_interval(mailboxes: QuerySet[Mailbox]) -> None:
    """The interval of `mailboxes` was changed: what waits for its next usual sync is due by the new one at once.

    A mailbox that waits for something else, such as a server that was down, keeps its time.
    """
    rows = SyncSchedule.objects.filter(
        mailbox__in=mailboxes, leased_until=None, waiting_for="", failures=0, finished_at__isnull=False
    )
    now = timezone.now()
    for row in rows.select_related("mailbox__organization").iterator():
        assert row.finished_at is not None
        due_at = max(now, row.finished_at + interval(row.mailbox))
        unchanged = SyncSchedule.objects.filter(pk=row.pk, fence=row.fence, due_at=row.due_at)
        unchanged.update(due_at=due_at)


def release(mailbox: Mailbox, *, by: User, now: datetime, request: HttpRequest | None = None) -> bool:
    """Take the mailbox away from the process that syncs it, and make it due; False where nobody does.

    What that process still writes is refused, since its claim is not the newest any more. A login that the server
    refused keeps its time.
    """
    with transaction.atomic():
        running = SyncSchedule.objects.select_for_update().running(now).filter(pk=mailbox.pk)
        held = running.values("holder", "fence").first()
        if held is None:
            return False
        note_run(Claim(mailbox.pk, held["fence"]), now, "Released while it ran")
        due_at = F("due_at") if mailbox.login_refusals else Value(now)
        running.update(fence=F("fence") + 1, leased_until=None, due_at=due_at, folder_name="")
        hosts.leave_lane(mailbox.imap_host)
        audit.record(
            "mailbox.sync_released",
            organization=by.organization,
            actor=by,
            target=mailbox,
            detail={"holder": held["holder"]},
            request=request,
        )
        _nudge(mailbox.pk)
    return True


def progress(schedule: SyncSchedule | None, now: datetime) -> Progress:
    """Say what the mailbox of `schedule` is doing; None is a mailbox that does not receive."""
    if schedule is None:
        return Progress(State.CONNECTED)
    mailbox = schedule.mailbox
    if schedule.is_running(now):
        return _running(schedule, now)
    past = Progress(State.CONNECTED, arrived=schedule.arrived, since=schedule.finished_at)
    if mailbox.attention:
        return _with(past, State.NEEDS_ATTENTION)
    if mailbox.paused_at:
        return _with(past, State.PAUSED)
    if schedule.waiting_for:
        return _with(past, State.WAITING, waiting_for=schedule.waiting_for, until=schedule.due_at)
    if schedule.finished_at is None or (schedule.requested_at and schedule.due_at <= now):
        return _with(past, State.WAITING, waiting_for="its turn")
    return past


def _running(schedule: SyncSchedule, now: datetime) -> Progress:
    rate = left = None
    elapsed = (now - schedule.started_at).total_seconds() if schedule.started_at else 0.0
    if schedule.done and elapsed >= SHORTEST_MEASURE:
        rate = schedule.done / elapsed
        left = max(0, schedule.total - schedule.done) / rate
    return Progress(
        State.SYNCING,
        folder=schedule.folder_name,
        done=schedule.done,
        total=max(schedule.total, schedule.done),
        rate_per_second=rate,
        seconds_left=left,
        arrived=schedule.arrived,
        since=schedule.finished_at,
        holder=schedule.holder,
        began=schedule.started_at,
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _with(past: Progress, state: State, *, waiting_for: str = "", until: datetime | None = None) -> Progress:
    return Progress(state, waiting_for=waiting_for, until=until, arrived=past.arrived, since=past.since)


def _nudge(mailbox_pk: int) -> None:
    """After the commit, put the task into the queue and tell open pages. Beat finds the row within a minute anyway."""
    nudge(sync_mailbox, mailbox_pk)
    organization_pk = Mailbox.objects.filter(pk=mailbox_pk).values_list("organization_id", flat=True).first()
    if organization_pk is not None:
        live.announce(organization_pk, "mailbox", mailbox_pk)
