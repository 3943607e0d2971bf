"""What a comparison of a mailbox with its server leaves behind, and who carries one out (spec G6)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Self

from django.db import models, transaction
from django.db.models import F, Q

from accounts.models import Mailbox
from mailstore.models.folders import Folder


class Reason(models.TextChoices):
    """Why a message is on one side only: on the server, or here (spec G6). Reads after "24 messages"."""

    PERIOD = "period", "older than the chosen period"
    NOT_CHOSEN = "not_chosen", "in folders that are not chosen"
    LEFT_OUT = "left_out", "left out as Spam, Trash or a view"
    REFUSED = "refused", "refused by the server"
    LOST = "lost", "neither stored nor refused: to be downloaded again"
    HIDDEN = "hidden", "hidden here although still there"
    NO_ROOM = "no_room", "waiting for room here"
    WAITING = "waiting", "to come with the next sync"
    RENUMBERED = "renumbered", "renumbered by the server"
    GUARDED = "guarded", "gone from the server, waiting for a second look"
    GONE = "gone", "gone from the server, hidden with the next sync"


class ComparisonQuerySet(models.QuerySet["Comparison"]):
    def waiting(self, now: datetime) -> Self:
        """Asked for, and nobody works on it; one that broke off too often waits until somebody asks again."""
        free = Q(leased_until=None) | Q(leased_until__lte=now)
        return self.filter(free, requested_at__isnull=False, tries__lt=Comparison.MOST_TRIES)

    def running(self, now: datetime) -> Self:
        return self.filter(requested_at__isnull=False, leased_until__gt=now)

    def claim(self, mailbox_pk: int, now: datetime) -> int | None:
        """Take a comparison that waits; return the fencing number, or None to leave it alone.

        Whether its server takes one more conversation is asked in `mailstore/claiming.py`.
        """
        claims = {"fence": F("fence") + 1, "tries": F("tries") + 1, "leased_until": now + Comparison.LEASE}
        with transaction.atomic():
            claimed = self.waiting(now).filter(pk=mailbox_pk).update(**claims, folder_name="", done=0, total=0)
            return self.values_list("fence", flat=True).get(pk=mailbox_pk) if claimed else None

    def holding(self, mailbox_pk: int, fence: int) -> Self:
        return self.filter(pk=mailbox_pk, fence=fence, requested_at__isnull=False)


class Comparison(models.Model):
    """The last comparison of a mailbox with its server, or the one that runs (spec G6). The row is the truth.

    requested_at: when somebody asked for one that has not ended yet.
    compared_at:  end of the last one that came through; its result is `folders`.
    trouble:      why the last one did not come through, in words.
    """

    LEASE: Final = timedelta(minutes=5)
    MOST_TRIES: Final = 3

    mailbox = models.OneToOneField(Mailbox, models.CASCADE, primary_key=True, related_name="comparison")
    requested_at = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveBigIntegerField(default=0)
    leased_until = models.DateTimeField(null=True, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    folder_name = models.CharField(max_length=255, blank=True)
    done = models.PositiveIntegerField(default=0, help_text="Folders.")
    total = models.PositiveIntegerField(default=0, help_text="Folders.")
    compared_at = models.DateTimeField(null=True, blank=True)
    trouble = models.CharField(max_length=300, blank=True)

    objects = ComparisonQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["requested_at"], condition=Q(requested_at__isnull=False), name="comparison_waiting")
        ]

    def __str__(self) -> str:
        return f"Comparison of {self.mailbox}"

    def is_under_way(self, now: datetime) -> bool:
        """Tell whether it runs or will: asked for, and not broken off too often."""
        if self.requested_at is None:
            return False
        return self.tries < self.MOST_TRIES or (self.leased_until is not None and self.leased_until > now)


class ComparedFolder(models.Model):
    """What a comparison found in one folder: on_server = stored + the sum of `skipped`.

    on_server: None where the server did not say.
    stored:    messages that are on both sides.
    skipped:   messages that are on the server only, by `Reason`; only_here the same of those that are here only.
    words:     what else is to be said about it, as a sentence.
    """

    comparison = models.ForeignKey(Comparison, models.CASCADE, related_name="folders")
    folder = models.ForeignKey(Folder, models.CASCADE, related_name="+")
    looked_at = models.DateTimeField()
    on_server = models.PositiveIntegerField(null=True)
    stored = models.PositiveIntegerField(default=0)
    skipped = models.JSONField(default=dict)
    only_here = models.JSONField(default=dict)
    words = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return f"{self.folder}, compared"


class ComparedMessage(models.Model):
    """A message that is on one side only, where that is not as chosen. The first hundred of a mailbox are kept."""

    compared = models.ForeignKey(ComparedFolder, models.CASCADE, related_name="messages")
    uid = models.PositiveBigIntegerField()
    reason = models.CharField(max_length=10, choices=Reason)
    subject = models.CharField(max_length=1000, blank=True)
    dated = models.DateTimeField(null=True, help_text="INTERNALDATE, else what the header claims.")

    def __str__(self) -> str:
        return f"UID {self.uid}"
