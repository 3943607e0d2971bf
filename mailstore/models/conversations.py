"""Conversations, and the Message-IDs that lead to them."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.db import models

from accounts.models import Mailbox
from organizations.models import User


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def readable_by(self, user: User, now: datetime) -> Self:
        return self.filter(mailbox__in=Mailbox.objects.readable_by(user, now))


class Conversation(models.Model):
    """Messages of one mailbox that answer each other (RFC 5322, 3.6.4)."""

    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="conversations")
    subject = models.CharField(max_length=500, blank=True)
    last_at = models.DateTimeField()

    objects = ConversationQuerySet.as_manager()

    def __str__(self) -> str:
        return self.subject or "(no subject)"


class ThreadKey(models.Model):
    """A Message-ID that belongs to a conversation: its own messages' and all that they refer to.

    Newest first means that answers are stored before what they answer; the key waits for it.
    """

    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="+", db_index=False)  # the constraint leads
    key = models.CharField(max_length=64, help_text="Hash of the Message-ID.")
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="keys")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mailbox", "key"], name="one_conversation_per_message_id")]

    def __str__(self) -> str:
        return self.key
