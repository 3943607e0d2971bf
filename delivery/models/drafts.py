"""Mail that somebody is still writing."""

from __future__ import annotations

from django.db import models

from mailstore.models import Message
from organizations.models import User


class SavedDraft(models.Model):
    """What stands in a composer, saved as it grows (spec H3). Its writer alone sees it.

    key:      the submission key of the form, so that what is sent can no longer be taken for a draft.
    kind:     of the composer: "compose", "reply" or "forward".
    original: the message that is answered or passed on.
    fields:   values by the names of the form, as they were typed. Files are none of them.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="drafts")
    key = models.CharField(max_length=64)
    kind = models.CharField(max_length=10)
    original = models.ForeignKey(Message, models.SET_NULL, null=True, blank=True, related_name="+")
    fields = models.JSONField()
    subject = models.CharField(max_length=900, blank=True)
    recipients = models.CharField(max_length=300, blank=True, help_text="The beginning of To, for lists.")
    changed_at = models.DateTimeField()

    class Meta:
        ordering = ["-changed_at", "-pk"]
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="one_draft_per_composer")]

    def __str__(self) -> str:
        return self.subject or "(no subject)"
