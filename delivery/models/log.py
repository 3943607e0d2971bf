"""Rows about the email log itself: decisions about many messages at once, and how long mail is kept (spec I9)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.db.models import F, Q

from delivery.states import Decision, RunState
from organizations.models import Organization, User
from organizations.operations import Operation

RUN_LEASE = timedelta(minutes=5)


class LogRunQuerySet(models.QuerySet["LogRun"]):
    def visible_to(self, user: User) -> Self:
        """One's own; with the operation all of the organization."""
        mine = self.filter(organization_id=user.organization_id)
        return mine if user.may(Operation.VIEW_EMAIL_LOGS) else mine.filter(author=user)

    def waiting(self, now: datetime) -> Self:
        """Those that nobody carries out just now."""
        return self.filter(Q(leased_until=None) | Q(leased_until__lte=now), state=RunState.RUNNING)

    def claim(self, pk: int, now: datetime) -> int | None:
        """Take a run; return the fencing number, or None where another worker has it or it is over."""
        taken = self.waiting(now).filter(pk=pk).update(claim=F("claim") + 1, leased_until=now + RUN_LEASE)
        return self.values_list("claim", flat=True).get(pk=pk) if taken else None

    def held(self, pk: int, claim: int) -> Self:
        """The row, only while `claim` is the newest and nobody has stopped it."""
        return self.filter(pk=pk, claim=claim, state=RunState.RUNNING)


class LogRun(models.Model):
    """One decision about many messages, carried out one by one in the background.

    keys:     the messages that were decided about, oldest first: those that were counted when it was asked.
    place:    how many of them have had their turn; it grows in the transaction that acts on one.
    done, skipped: how many were sent or queued again, and how many not.
    reasons:  why some were passed over: sentence -> how many.
    claim:    fencing number of the worker that carries it out, until `leased_until`.
    """

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="log_runs")
    author = models.ForeignKey(User, models.SET_NULL, null=True, related_name="log_runs")
    submission_key = models.CharField(max_length=64, help_text="One run per form.")
    decision = models.CharField(max_length=10, choices=Decision)
    filters = models.JSONField(default=dict, help_text="What narrowed the log, in words.")
    keys = models.JSONField()
    total = models.PositiveIntegerField()
    place = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)
    reasons = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=RunState, default=RunState.RUNNING)
    note = models.CharField(max_length=300, blank=True, help_text="Why it ended early, in words.")
    claim = models.PositiveBigIntegerField(default=0)
    leased_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = LogRunQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["author", "submission_key"], name="one_run_per_submission")]
        indexes = [models.Index(fields=["leased_until"], condition=Q(state="running"), name="log_run_to_carry_on")]

    def __str__(self) -> str:
        return f"{self.get_decision_display()}, {self.total} messages"


class LogRetention(models.Model):
    """How long an organization keeps outgoing mail; empty: for ever. What still waits or is uncertain is always kept.

    octets_days: days after which the text and the attachments of finished mail are let go.
    rows_days:   days after which the log forgets it.
    """

    organization = models.OneToOneField(Organization, models.CASCADE, primary_key=True, related_name="log_retention")
    octets_days = models.PositiveIntegerField(null=True, blank=True, default=365)
    rows_days = models.PositiveIntegerField(null=True, blank=True, default=3 * 365)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(octets_days=None) | Q(rows_days=None) | Q(octets_days__lte=F("rows_days")),
                name="text_is_kept_no_longer_than_its_row",
            )
        ]

    def __str__(self) -> str:
        return f"Text {self.octets_days or 'for ever'}, rows {self.rows_days or 'for ever'}"

    @classmethod
    def of(cls, organization_pk: int) -> LogRetention:
        """What counts for an organization, also where nobody has chosen."""
        return cls.objects.filter(pk=organization_pk).first() or cls(organization_id=organization_pk)
