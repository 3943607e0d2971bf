"""What syncs have learned of IMAP servers."""

from __future__ import annotations

from typing import Final

from django.db import models


class MailHost(models.Model):
    """What syncs have learned of an IMAP server: whether it answers, and when one may try again (fault R26).

    name:       as it stands in the mailboxes; the row LANES is only there to be locked.
    reached_at: when it last answered.
    failures:   tries in a row that found it silent; 0 while it answers.
    retry_at:   before this moment nobody tries; None: one may.
    busy_until: a try is under way, or rests: until then a lane is taken.
    words:      what its mailboxes wait for, as their cards say it; empty while it answers.
    """

    LANES: Final = "*"

    name = models.CharField(max_length=253, unique=True)
    reached_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField(null=True, blank=True)
    busy_until = models.DateTimeField(null=True, blank=True)
    words = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return self.name
