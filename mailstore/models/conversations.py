"""Conversations, and the Message-IDs that lead to them."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q

from accounts.models import Mailbox
from organizations.models import User


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def readable_by(self, user: User, now: datetime) -> Self:
        return self.filter(mailbox__in=Mailbox.objects.readable_by(user, now))


class Conversation(models.Model):
    """Messages of one mailbox that answer each other.

    A row is a strand: what identifiers tie together (RFC 5322, 3.6.4). Where a strand answers another one by its
    subject alone, its messages are shown in the conversation of that one, and its own row waits: should a message come
    that shows better what it answers, they move again (`mailstore/joining.py`).

    topic, begins, tie, reach, ends: see `protocols/message/strands.py`. No topic: nothing is joined to it by subject;
              no `begins` either: it was stored before that was noted.
    answers:  the strand that its oldest message answers by its subject.
    shown_in: the conversation that shows its messages; none: itself.
    """

    # The index leads with the mailbox.
    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="conversations", db_index=False)
    subject = models.CharField(max_length=500, blank=True)
    topic = models.BigIntegerField(null=True)
    begins = models.BigIntegerField(null=True)
    tie = models.BigIntegerField(default=0)
    reach = models.PositiveIntegerField(default=0)
    ends = models.BigIntegerField(default=0)
    answers = models.ForeignKey("self", models.SET_NULL, null=True, related_name="+", db_index=False)
    shown_in = models.ForeignKey("self", models.SET_NULL, null=True, related_name="+", db_index=False)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["mailbox", "topic", "begins", "tie"], name="conversation_by_topic"),
            # Few have one.
            models.Index(fields=["answers"], condition=Q(answers__isnull=False), name="conversation_answering"),
            models.Index(fields=["shown_in"], condition=Q(shown_in__isnull=False), name="conversation_shown_elsewhere"),
        ]

    def __str__(self) -> str:
        return self.subject or "(no subject)"


class ThreadKey(models.Model):
    """A Message-ID that belongs to a strand: its own messages' and all that they refer to.

    Newest first means that answers are stored before what they answer; the key waits for it.
    """

    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="+", db_index=False)  # the constraint leads
    key = models.CharField(max_length=64, help_text="Hash of the Message-ID.")
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="keys")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mailbox", "key"], name="one_conversation_per_message_id")]

    def __str__(self) -> str:
        return self.key
