"""When each mailbox is due, who works on it, and how past syncs ended."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Self

from django.db import models, transaction
from django.db.models import Case, F, Q, Value, When

from accounts.models import Mailbox

LEASE = timedelta(seconds=90)


def _marks_by(now: datetime) -> dict[str, Case]:
    """What a claim does to marks of a clock that is ahead: they were made before it. Else they would outlast the run
    that begins, and every one after it.
    """
    marks = ("requested_at", "news_at")
    return {mark: Case(When(**{f"{mark}__gt": now}, then=Value(now)), default=F(mark)) for mark in marks}


class SyncScheduleQuerySet(models.QuerySet["SyncSchedule"]):
    def due(self, now: datetime) -> Self:
        """Mailboxes whose time has come and that nobody is syncing, or whose worker let the lease pass.

        A mailbox that does not download by itself is due only when somebody asked, and never while its owner is
        deactivated. The conditions on the row itself stay outside of any subquery: PostgreSQL looks at them again after
        waiting for another claim.
        """
        free = Q(leased_until=None) | Q(leased_until__lte=now)
        receiving = Mailbox.objects.exclude(imap_host="").filter(
            Q(owner=None) | Q(owner__is_active=True), paused_at=None
        )
        wanted = Q(mailbox_id__in=receiving.filter(downloads=True)) | Q(
            requested_at__isnull=False, mailbox_id__in=receiving
        )
        return self.filter(free, wanted, due_at__lte=now)

    def claim(self, mailbox_pk: int, now: datetime, *, holder: str = "") -> int | None:
        """Take the schedule row of one mailbox if it is due; return the fencing number, or None to leave it alone.

        Whether its server takes one more sync is asked in `mailstore/claiming.py`.
        """
        with transaction.atomic():
            claimed = (
                self.due(now)
                .filter(mailbox_id=mailbox_pk)
                .update(
                    fence=F("fence") + 1,
                    leased_until=now + LEASE,
                    holder=holder[:200],
                    started_at=now,
                    folder_name="",
                    done=0,
                    total=0,
                    **_marks_by(now),
                )
            )
            return self.values_list("fence", flat=True).get(mailbox_id=mailbox_pk) if claimed else None

    def with_news(self, now: datetime) -> Self:
        """Mailboxes whose server told of news in the INBOX, and that nobody is syncing. The others wait for their
        time: after a failure, for who did not ask to receive, or where a person's request brings a whole sync anyway.
        """
        free = Q(leased_until=None) | Q(leased_until__lte=now)
        reachable = Q(owner=None) | Q(owner__is_active=True)
        receiving = Mailbox.objects.receiving().filter(reachable, login_refusals=0).order_by()
        return self.filter(
            free, news_at__isnull=False, requested_at=None, failures=0, mailbox_id__in=receiving.values("pk")
        )

    def take(self, mailbox_pk: int, fence: int, now: datetime, *, holder: str) -> int | None:
        """Take a row as it was read with `fence`; return the new fencing number, None where somebody was quicker."""
        taken = self.filter(mailbox_id=mailbox_pk, fence=fence).update(
            fence=fence + 1,
            leased_until=now + LEASE,
            holder=holder[:200],
            started_at=now,
            folder_name="",
            done=0,
            total=0,
            **_marks_by(now),
        )
        return fence + 1 if taken else None

    def running(self, now: datetime) -> Self:
        return self.filter(leased_until__gt=now)

    def holding(self, mailbox_pk: int, fence: int) -> Self:
        """The row, only while `fence` is still the newest claim. Every write of a sync goes through this."""
        return self.filter(mailbox_id=mailbox_pk, fence=fence)


class SyncSchedule(models.Model):
    """When a mailbox is due, who works on it, and how far that is. The row is the truth, the queue a nudge.

    fence:          grows with each claim; a worker whose number is old changes nothing any more.
    requested_at:   when a person last asked for a sync that has not ended yet.
    news_at:        when the server last told of news in the INBOX that nobody has fetched yet.
    total and done: messages of the present run, over all folders; rate and time left are derived.
    """

    mailbox = models.OneToOneField(Mailbox, models.CASCADE, primary_key=True, related_name="schedule")
    due_at = models.DateTimeField(db_index=True)
    requested_at = models.DateTimeField(null=True, blank=True)
    news_at = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveBigIntegerField(default=0)
    leased_until = models.DateTimeField(null=True, blank=True)
    holder = models.CharField(max_length=200, blank=True, help_text="The process that made the newest claim.")
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True, help_text="End of the last run that came through.")
    folder_name = models.CharField(max_length=255, blank=True)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    arrived = models.PositiveIntegerField(default=0, help_text="New messages that the last finished run brought.")
    failures = models.PositiveIntegerField(default=0, help_text="Runs in a row that ended in an error.")
    waiting_for = models.CharField(max_length=300, blank=True, help_text="Why it waits, in words; empty: it does not.")

    objects = SyncScheduleQuerySet.as_manager()

    class Meta:
        indexes = [
            # A few rows of thousands: as many as there are workers.
            models.Index(fields=["leased_until"], condition=Q(leased_until__isnull=False), name="schedule_leased"),
            models.Index(fields=["news_at"], condition=Q(news_at__isnull=False), name="schedule_with_news"),
        ]

    def __str__(self) -> str:
        return f"Schedule of {self.mailbox}"

    def is_running(self, now: datetime) -> bool:
        return self.leased_until is not None and self.leased_until > now


class SyncRun(models.Model):
    """A sync that ended, for people who want to know what happened; nothing decides by it.

    Syncs in a row that ended alike and brought nothing are one row: `count` of them, from the first start to the last
    end. So a mailbox gets rows as things happen, not as time passes.
    """

    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="sync_runs", db_index=False)  # the index leads
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    came_through = models.BooleanField()
    arrived = models.PositiveIntegerField(default=0, help_text="New messages.")
    words = models.CharField(max_length=300, help_text="How it ended.")
    count = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ["-ended_at", "-pk"]
        indexes = [models.Index(fields=["mailbox", "-ended_at", "-id"], name="sync_run_newest_first")]

    def __str__(self) -> str:
        return f"{self.mailbox}: {self.words}"
