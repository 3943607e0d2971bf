"""What stood in the composer, for as long as its mail can be taken back."""

from __future__ import annotations

from django.db import models

from delivery.models.outbox import OutboxMessage
from mailstore.models import Message


class Typed(models.Model):
    """The fields of the composer as they were when Send was pressed, so that a mail taken back opens as it was.

    kind:     of the composer: "compose", "reply" or "forward".
    original: the message that was answered or passed on.
    fields:   values by the names of the form. Files are none of them: they are in the octets of the message.
    """

    message = models.OneToOneField(OutboxMessage, models.CASCADE, related_name="typed")
    kind = models.CharField(max_length=10)
    original = models.ForeignKey(Message, models.SET_NULL, null=True, blank=True, related_name="+")
    fields = models.JSONField()

    def __str__(self) -> str:
        return f"What was typed for message {self.message_id}"
