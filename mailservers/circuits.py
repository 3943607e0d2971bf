"""Not trying a server that cannot be reached, message by message: the circuit breaker.

After a few failures in a row the circuit opens: everything for that server waits without being tried, except one probe
at a time, each later than the one before. The first that logs in at the server closes it. What a server says of a
message never opens it: only that nobody answers, or that what answers takes no mail from us, whatever the message.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Self

from django.db import models, transaction
from django.db.models import Q

from organizations.models import Organization
from protocols.endpoint import Endpoint

OPENS_AFTER: Final = 3  # failures in a row
PROBES: Final = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 20, 30))  # the last one repeats
PROBE_LEASE: Final = timedelta(minutes=5)  # above the timeouts from connecting to the login, one after the other


class CircuitQuerySet(models.QuerySet["Circuit"]):
    def to(self, organization_pk: int, endpoint: Endpoint) -> Self:
        return self.filter(organization_id=organization_pk, host=endpoint.host.lower(), port=endpoint.port)

    def open(self) -> Self:
        return self.filter(opened_at__isnull=False)

    def note_failure(self, organization_pk: int, endpoint: Endpoint, words: str, now: datetime) -> Circuit:
        """Nobody answered at `endpoint`; `words`: a sentence on what happened instead. The circuit as it is now."""
        with transaction.atomic():
            self.get_or_create(organization_id=organization_pk, host=endpoint.host.lower(), port=endpoint.port)
            circuit = self.to(organization_pk, endpoint).select_for_update().get()
            circuit.failures += 1
            circuit.words = words[:500]
            circuit.probing_until = None
            if circuit.failures >= OPENS_AFTER:
                circuit.opened_at = circuit.opened_at or now
                circuit.probe_at = now + PROBES[min(circuit.failures - OPENS_AFTER, len(PROBES) - 1)]
            circuit.save()
        return circuit

    def note_success(self, organization_pk: int, endpoint: Endpoint) -> bool:
        """The server answered and took the login; True when the circuit was open."""
        broken = self.to(organization_pk, endpoint)
        was_open = broken.open().exists()
        return bool(broken.delete()[0]) and was_open


class Circuit(models.Model):
    """How often in a row a server was not reached by an organization. No row: it was reached the last time.

    An organization's own, because timeouts and names are its own too. Failures that are not many leave it closed.

    opened_at:     since when nothing is tried; None: closed.
    probe_at:      when one may try whether the server answers again.
    probing_until: until when that one is waited for.
    words:         what happened instead of an answer.
    """

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    host = models.CharField(max_length=253)
    port = models.PositiveIntegerField()
    failures = models.PositiveIntegerField(default=0)
    opened_at = models.DateTimeField(null=True, blank=True)
    probe_at = models.DateTimeField(null=True, blank=True)
    probing_until = models.DateTimeField(null=True, blank=True)
    words = models.CharField(max_length=500, blank=True)

    objects = CircuitQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "host", "port"], name="one_circuit_per_server")]

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def may_probe(self, now: datetime) -> bool:
        """Take the probe that is due; False where it is not, or where another worker has it."""
        due = Circuit.objects.open().filter(Q(probing_until=None) | Q(probing_until__lte=now), probe_at__lte=now)
        return bool(due.filter(pk=self.pk).update(probing_until=now + PROBE_LEASE))

    def give_back_probe(self) -> None:
        """Nothing was there to probe with."""
        Circuit.objects.filter(pk=self.pk).update(probing_until=None)

    def next_look(self, now: datetime) -> datetime:
        """When it is worth looking again whether messages may go."""
        moments = [moment for moment in (self.probe_at, self.probing_until) if moment is not None and moment > now]
        return max(moments, default=now + PROBES[0])
