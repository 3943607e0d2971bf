"""Conversations as the list of a folder shows them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from mailstore.models.conversations import Conversation
from mailstore.models.folders import Folder
from mailstore.models.messages import Message


class Listing(models.Model):
    """A conversation as one folder's list shows it. Kept by the writer, so that the list is one keyset query."""

    folder = models.ForeignKey(Folder, models.CASCADE, related_name="listings", db_index=False)  # the constraint leads
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="listings")
    newest = models.ForeignKey(Message, models.CASCADE, related_name="+")
    last_at = models.DateTimeField()
    message_count = models.PositiveIntegerField()
    unread_count = models.PositiveIntegerField()
    senders = models.CharField(max_length=320, blank=True, help_text="Short names, newest last.")
    has_attachments = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["folder", "conversation"], name="one_listing_per_folder")]
        indexes = [
            models.Index(fields=["folder", "-last_at", "-id"], name="listing_newest_first"),
            models.Index(fields=["folder"], condition=Q(unread_count__gt=0), name="listing_unread"),
        ]

    def __str__(self) -> str:
        return f"{self.conversation} in {self.folder}"
