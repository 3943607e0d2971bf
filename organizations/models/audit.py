"""The audit log."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import F
from django.db.models.functions import Lower

from organizations.models.people import Organization, User


class AuditEntry(models.Model):
    """Who did what to which object, when, from where, and how it ended. Append-only; never a secret (spec A8)."""

    class Outcome(models.TextChoices):
        DONE = "done", "Done"
        REFUSED = "refused", "Refused"
        FAILED = "failed", "Failed"

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="audit_entries")
    at = models.DateTimeField(auto_now_add=True)
    actor = models.ForeignKey(User, models.SET_NULL, null=True, related_name="audit_entries")
    actor_label = models.CharField(max_length=254)
    action = models.CharField(max_length=60)
    object_type = models.CharField(max_length=60, blank=True)
    object_id = models.CharField(max_length=40, blank=True)
    object_label = models.CharField(max_length=320, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.DONE)
    detail = models.JSONField(default=dict)
    address = models.GenericIPAddressField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["organization", "-at", "-id"], name="audit_newest_first"),
            models.Index(fields=["organization", "actor", "-at", "-id"], name="audit_by_person"),
            models.Index(fields=["organization", "action", "-at", "-id"], name="audit_by_action"),
            models.Index(fields=["organization", "outcome", "-at", "-id"], name="audit_by_outcome"),
            models.Index(fields=["organization", "object_type", "object_id", "-at", "-id"], name="audit_by_object"),
            models.Index(
                "organization", Lower("object_label"), F("at").desc(), F("id").desc(), name="audit_by_its_name"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.actor_label} {self.action} {self.object_label}".strip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None and not self._state.adding:
            raise TypeError("The audit log is append-only.")
        super().save(*args, **kwargs)
