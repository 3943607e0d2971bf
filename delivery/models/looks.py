"""What was seen while looking for a message whose outcome is not known (spec I3, fault R19)."""

from __future__ import annotations

from django.db import models


class Look(models.Model):
    """One look: the places and what was found in each, a sentence each, and what follows from it.

    settled: how many recipients it showed to be sent to.
    """

    class Result(models.TextChoices):
        SENT = "sent", "It was sent"
        UNCLEAR = "unclear", "Found, but not for whom"
        NOTHING = "nothing", "Nothing found"
        PREVENTED = "prevented", "Could not look everywhere"

    message = models.ForeignKey("delivery.OutboxMessage", models.CASCADE, related_name="looks")
    at = models.DateTimeField()
    result = models.CharField(max_length=10, choices=Result)
    findings = models.JSONField(default=list)
    verdict = models.CharField(max_length=500)
    settled = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"Look at {self.at}: {self.result}"
