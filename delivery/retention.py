"""Letting go of old mail: its text first, its rows later, in small transactions, as each organization chose (spec I9).

What waits, is being sent, or may have been sent is kept whatever its age: a person or the resolver still needs it.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet

from delivery.models import LogRetention, OutboxMessage, OutboxOctets, OutboxRecipient
from delivery.states import SentCopy, State
from organizations import stopping
from organizations.models import Organization

log = logging.getLogger(__name__)

BATCH = 200  # messages in one transaction: others wait for its end on SQLite
MOST = 50  # batches of one kind for one organization in one run; what is left waits for the next
#: A copy that waits for nothing to be sent any more is never filed.
COPY_TO_COME = Q(sent_copy=SentCopy.FILING) | Q(sent_copy=SentCopy.WAITING, sent_copy_not_before__isnull=False)
UNSETTLED = (State.QUEUED, State.SENDING, State.UNCERTAIN)


def let_go(now: datetime) -> int:
    """Let go of what is old enough; return how many texts and rows that were."""
    number = 0
    for organization_pk in Organization.objects.values_list("pk", flat=True):
        kept = LogRetention.of(organization_pk)
        if kept.rows_days is not None:
            number += _remove_rows(organization_pk, now - timedelta(days=kept.rows_days))
        if kept.octets_days is not None:
            number += _remove_octets(organization_pk, now - timedelta(days=kept.octets_days))
    return number


def _remove_rows(organization_pk: int, before: datetime) -> int:
    number = 0
    for _ in range(MOST):
        old = _finished(organization_pk, before).order_by("created_at", "pk")
        keys = list(old.values_list("pk", flat=True)[:BATCH])
        if not keys or stopping.is_asked():
            break
        OutboxMessage.objects.filter(pk__in=keys).delete()
        number += len(keys)
    if number:
        log.info("Organization %s: %s messages are old enough to leave the email log.", organization_pk, number)
    return number


def _remove_octets(organization_pk: int, before: datetime) -> int:
    number = 0
    for _ in range(MOST):
        old = OutboxOctets.objects.filter(message__in=_finished(organization_pk, before)).order_by("pk")
        keys = list(old.values_list("pk", flat=True)[:BATCH])
        if not keys or stopping.is_asked():
            break
        OutboxOctets.objects.filter(pk__in=keys).delete()
        number += len(keys)
    return number


def _finished(organization_pk: int, before: datetime) -> QuerySet[OutboxMessage]:
    """Messages of which nothing has happened since `before`, and of which nothing is still to come."""
    recipients = OutboxRecipient.objects.filter(message=OuterRef("pk"))
    return OutboxMessage.objects.filter(
        ~Exists(recipients.filter(state__in=UNSETTLED)),
        ~Exists(recipients.filter(state_at__gte=before)),
        organization_id=organization_pk,
        created_at__lt=before,
    ).exclude(COPY_TO_COME)
