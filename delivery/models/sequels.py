"""What becomes known after mail has left: what came back about it, and who gets none any more (spec I7)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Self

from django.db import models

from delivery.models.outbox import OutboxMessage
from delivery.states import Cause, Sequel
from mailstore.models import Message
from organizations.models import Organization, User
from organizations.prepared import prepared

FEW: Final = 100  # addresses of one question that is prepared for each number of them


class DeliveryEvent(models.Model):
    """What a report, a complaint or an automatic reply told of one recipient, once.

    address: of the recipient as it stands in the outbox; "" where a complaint conceals it and several could be meant.
    words:   what an automatic reply says, one line of it; it is mail, so only readers of the mailbox see it.
    digest:  SHA-256 of what told it: the same report, stored once more in another folder, tells nothing new.
    """

    message = models.ForeignKey(OutboxMessage, models.CASCADE, related_name="events")
    address = models.CharField(max_length=320, blank=True)
    kind = models.CharField(max_length=10, choices=Sequel)
    at = models.DateTimeField()
    words = models.CharField(max_length=300, blank=True)
    report = models.ForeignKey(Message, models.SET_NULL, null=True, blank=True, related_name="+")
    digest = models.BinaryField(max_length=32)

    class Meta:
        ordering = ["at", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["message", "address", "kind", "digest"], name="event_told_once"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.address or self.message_id}"


class SuppressionQuerySet(models.QuerySet["Suppression"]):
    def among(self, organization_pk: int, addresses: Collection[str]) -> dict[str, Suppression]:
        """Those of `addresses` that get no mail, by the address as it was given. One query."""
        keys = {address: Suppression.key(address) for address in addresses}
        wanted = tuple(sorted(set(keys.values())))
        rows = _on_the_list if len(wanted) <= FEW else _on_the_list.build
        by_key = {one.address: one for one in rows(organization_pk, wanted)}
        return {address: by_key[key] for address, key in keys.items() if key in by_key}

    def of(self, organization: Organization) -> Self:
        return self.filter(organization=organization)


class Suppression(models.Model):
    """An address to which the organization sends nothing until somebody takes it off the list.

    address: in small letters, the domain in A-labels.
    reason:  of a hard bounce, one of `protocols.message.reports.Reason`.
    note:    why, in the words of whoever put it there: a person, or the server that refused it.
    message, report: the mail that came back or was complained about, and what told so, as long as they are stored.
    """

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="suppressions")
    address = models.CharField(max_length=320)
    cause = models.CharField(max_length=10, choices=Cause)
    reason = models.CharField(max_length=20, blank=True)
    note = models.CharField(max_length=300, blank=True)
    since = models.DateTimeField()
    message = models.ForeignKey(OutboxMessage, models.SET_NULL, null=True, blank=True, related_name="+")
    report = models.ForeignKey(Message, models.SET_NULL, null=True, blank=True, related_name="+")
    added_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")

    objects = SuppressionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "address"], name="one_suppression_per_address"),
        ]
        indexes = [
            # It holds the address too: a search looks through the index alone.
            models.Index(fields=["organization", "-since", "-id", "address"], name="suppression_newest_first"),
        ]

    def __str__(self) -> str:
        return self.address

    @staticmethod
    def key(address: str) -> str:
        """How an address is compared: mail servers take both spellings of a local part for the same."""
        return address.strip().lower()


@prepared
def _on_the_list(organization_pk: int, keys: tuple[str, ...]) -> models.QuerySet[Suppression]:
    return Suppression.objects.filter(organization_id=organization_pk, address__in=keys)
