"""Mail that programs send by themselves, as the limits on it count it (spec I8, threat T24)."""

from __future__ import annotations

from django.db import models

from delivery.models.outbox import OutboxMessage
from mailstore.models import Conversation
from organizations.models import Organization


class AutomaticMail(models.Model):
    """One automatic mail to one address. Removed after a few days: nothing looks back further than one.

    address:      in small letters, as `Suppression.key` has it.
    conversation: of the message that it answers.
    """

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    message = models.ForeignKey(OutboxMessage, models.CASCADE, related_name="+")
    address = models.CharField(max_length=320)
    conversation = models.ForeignKey(Conversation, models.SET_NULL, null=True, blank=True, related_name="+")
    at = models.DateTimeField(db_index=True)

    class Meta:
        indexes = [
            models.Index(fields=["organization", "address", "at"], name="automatic_mail_by_address"),
        ]

    def __str__(self) -> str:
        return f"Automatic mail to {self.address}"
