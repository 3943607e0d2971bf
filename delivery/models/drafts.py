"""Mail that somebody is still writing."""

from __future__ import annotations

import re
from typing import Final

from django.db import models
from django.urls import reverse

from mailstore.models import Message
from organizations.models import User

TAKEN_BACK: Final = re.compile(r"reopened-(\d{1,18})")  # key of a mail that was taken back, and is written again


class SavedDraft(models.Model):
    """What stands in a composer, saved as it grows (spec H3). Its writer alone sees it.

    key:      the submission key of the form, so that what is sent can no longer be taken for a draft.
    kind:     of the composer: "compose", "reply" or "forward".
    original: the message that is answered or passed on.
    fields:   values by the names of the form, as they were typed. Chosen files are rows of their own, `DraftFile`.
    size:     octets of `fields` as JSON.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="drafts")
    key = models.CharField(max_length=64)
    kind = models.CharField(max_length=10)
    original = models.ForeignKey(Message, models.SET_NULL, null=True, blank=True, related_name="+")
    fields = models.JSONField()
    size = models.PositiveIntegerField(default=0)
    subject = models.CharField(max_length=900, blank=True)
    recipients = models.CharField(max_length=300, blank=True, help_text="The beginning of To, for lists.")
    changed_at = models.DateTimeField()

    class Meta:
        ordering = ["-changed_at", "-pk"]
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="one_draft_per_composer")]

    def __str__(self) -> str:
        return self.subject or "(no subject)"

    @property
    def url(self) -> str:
        """The composer that it was begun in, as it was left."""
        taken_back = TAKEN_BACK.fullmatch(self.key)
        if taken_back is not None:
            page = reverse("delivery:reopen", args=[int(taken_back[1])])
        elif self.original_id is not None and self.kind in ("reply", "forward"):
            page = reverse(f"delivery:{self.kind}", args=[self.original_id])
        else:
            page = reverse("delivery:compose")
        return f"{page}?draft={self.key}"


class DraftFile(models.Model):
    """A file that was chosen in a composer; it goes with its draft.

    is_left_out: it was unticked, so it does not travel; it can be ticked again.
    """

    draft = models.ForeignKey(SavedDraft, models.CASCADE, related_name="files")
    filename = models.CharField(max_length=255)
    content_type = models.CharField(max_length=255)
    size = models.PositiveIntegerField()
    content = models.BinaryField()
    is_left_out = models.BooleanField(default=False)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.filename

    @property
    def path(self) -> str:
        """Its name among the files of a form; parts of a message have numbers."""
        return f"draft-{self.pk}"
