"""What people are told, and what of it they want by mail too."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.db.models import Q

from notifications.kinds import Kind, Manner
from organizations.models import User

GATHERING = timedelta(minutes=1)  # what comes within it goes as one mail
KEPT_AFTER_READING = timedelta(days=90)


class NotificationQuerySet(models.QuerySet["Notification"]):
    def of(self, user: User) -> Self:
        return self.filter(user=user)

    def unread(self) -> Self:
        return self.filter(read_at=None)

    def unread_count(self) -> int:
        """Unread ones, as far as a bell can show: up to a hundred."""
        return self.unread()[:100].count()

    def mark_read(self, now: datetime) -> int:
        """Return how many were unread."""
        return self.unread().update(read_at=now)

    def awaiting_mail(self) -> Self:
        return self.filter(mailed_at=None, mail_due_at__isnull=False)

    def outlived(self, now: datetime) -> Self:
        return self.filter(read_at__lt=now - KEPT_AFTER_READING)


class Notification(models.Model):
    """One thing that one person is told.

    url:         path of the page that it leads to; that page asks for rights by itself.
    key:         names what happened, so that telling it twice is telling it once.
    mail_due_at: when it goes by mail; null: not wanted, or given up.
    mailed_at:   when it was handed on; conditional on null, so that it is mailed once.
    mail_key:    the mail it went in, or ACCOUNT_MAIL where no other way is left.
    """

    ACCOUNT_MAIL = "account mail"

    user = models.ForeignKey(User, models.CASCADE, related_name="notifications")
    kind = models.CharField(max_length=30, choices=Kind)
    title = models.CharField(max_length=200)
    text = models.CharField(max_length=500, blank=True)
    url = models.CharField(max_length=300)
    key = models.CharField(max_length=100)
    at = models.DateTimeField()
    read_at = models.DateTimeField(null=True)
    mail_due_at = models.DateTimeField(null=True)
    mailed_at = models.DateTimeField(null=True)
    mail_key = models.CharField(max_length=64, blank=True)

    objects = NotificationQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="told_once_per_person_and_event")]
        indexes = [
            models.Index(fields=["user", "-at", "-id"], name="told_newest_first"),
            models.Index(fields=["user"], condition=Q(read_at=None), name="told_and_unread"),
            models.Index(fields=["read_at"], condition=Q(read_at__isnull=False), name="told_and_read"),
            models.Index(
                fields=["mail_due_at"], condition=Q(mailed_at=None, mail_due_at__isnull=False), name="told_mail_due"
            ),
            models.Index(fields=["mail_key"], condition=~Q(mail_key=""), name="told_by_mail"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def manner(self) -> Manner:
        return Kind(self.kind).manner


class MailChoiceQuerySet(models.QuerySet["MailChoice"]):
    def of(self, user: User) -> dict[Kind, bool]:
        """Every kind, as the person decided or as it is unless decided."""
        decided = dict(self.filter(user=user).values_list("kind", "by_mail"))
        return {kind: decided.get(kind.value, kind.manner.by_mail) for kind in Kind}


class MailChoice(models.Model):
    """Whether a person wants one kind by mail too. Without a row it is as the kind says."""

    user = models.ForeignKey(User, models.CASCADE, related_name="mail_choices")
    kind = models.CharField(max_length=30, choices=Kind)
    by_mail = models.BooleanField()

    objects = MailChoiceQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "kind"], name="one_mail_choice_per_kind")]

    def __str__(self) -> str:
        return f"{self.kind} {'by mail' if self.by_mail else 'on the page only'}"
