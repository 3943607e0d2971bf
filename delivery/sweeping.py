"""What beat looks for: lost nudges, due retries, and claims whose worker vanished. Bounded, so that it stays short."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from delivery.ledger import take_back
from delivery.models import LEASE, Attempt, OutboxMessage, OutboxRecipient
from delivery.sent_copy import give_back_abandoned
from delivery.states import SentCopy
from organizations import live

log = logging.getLogger(__name__)

MOST = 500  # messages nudged, and claims taken back, in one sweep


@dataclass(frozen=True, slots=True)
class Found:
    """Primary keys to nudge: `messages` for submission, `copies` for filing."""

    messages: list[int]
    copies: list[int]


def sweep(now: datetime) -> Found:
    """Take back what is past its lease and return what is due."""
    claims = OutboxRecipient.objects.past_lease(now).order_by("claimed_at").values_list("claim", flat=True)
    for attempt in Attempt.objects.filter(pk__in=set(claims[:MOST])).select_related("message"):
        if take_back(attempt.pk, now, overdue_only=True):
            log.warning("Attempt %s at message %s was past its lease.", attempt.pk, attempt.message_id)
            live.announce(attempt.message.organization_id, "outbox", attempt.message_id)
    give_back_abandoned(now, LEASE)
    due = OutboxRecipient.objects.due(now).order_by("not_before").values_list("message_id", flat=True)
    copies = OutboxMessage.objects.filter(sent_copy=SentCopy.WAITING, sent_copy_not_before__lte=now)
    copies = copies.order_by("sent_copy_not_before")
    return Found(list(dict.fromkeys(due[:MOST])), list(copies.values_list("pk", flat=True)[:MOST]))
