"""What beat looks for: lost nudges, due retries, and claims whose worker vanished. Bounded, so that it stays short."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import zip_longest

from django.db import InterfaceError, OperationalError
from django.db.models import QuerySet

from delivery import clocks, taking_back
from delivery.ledger import take_back
from delivery.models import LEASE, Attempt, OutboxMessage, OutboxRecipient
from delivery.models.routes import Route
from delivery.sent_copy import give_back_abandoned
from delivery.states import SentCopy, State
from organizations import live

log = logging.getLogger(__name__)

PERIOD = timedelta(seconds=30)  # of the sweep, as the schedule of beat has it

MOST = 500  # messages nudged, and claims taken back, in one sweep


@dataclass(frozen=True, slots=True)
class Found:
    """Primary keys. messages: due for submission; orphans: due, and their mailbox is gone.

    routes: the ways out behind which something is due, one of each organization in turn. copies: to be filed.
    """

    messages: list[int]
    orphans: list[int]
    routes: list[int]
    copies: list[int]


def sweep(now: datetime) -> Found:
    """Take back what is past its lease and return what is due."""
    clocks.put_right(now)
    taking_back.forget(now)
    claims = OutboxRecipient.objects.past_lease(now).order_by("claimed_at").values_list("claim", flat=True)
    for attempt in Attempt.objects.filter(pk__in=set(claims[:MOST])).select_related("message"):
        _take_back_guarded(attempt, now)
    give_back_abandoned(now, LEASE)
    due = OutboxRecipient.objects.due(now)
    oldest = due.order_by("not_before")
    orphans = oldest.filter(message__mailbox=None)  # no way out leads to these
    copies = OutboxMessage.objects.filter(sent_copy=SentCopy.WAITING, sent_copy_not_before__lte=now)
    copies = copies.order_by("sent_copy_not_before")
    return Found(
        messages=list(dict.fromkeys(oldest.values_list("message_id", flat=True)[:MOST])),
        orphans=list(dict.fromkeys(orphans.values_list("message_id", flat=True)[:MOST])),
        routes=_routes(due),
        copies=list(copies.values_list("pk", flat=True)[:MOST]),
    )


def _take_back_guarded(attempt: Attempt, now: datetime) -> None:
    """One that cannot be taken back for a fault of ours keeps neither the others nor what is due waiting."""
    try:
        taken_back = take_back(attempt.pk, now, overdue_only=True)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("Attempt %s at message %s was not taken back.", attempt.pk, attempt.message_id)
        return
    if taken_back:
        log.warning("Attempt %s at message %s was past its lease.", attempt.pk, attempt.message_id)
        live.announce(attempt.message.organization_id, "outbox", attempt.message_id)


def _routes(due: QuerySet[OutboxRecipient]) -> list[int]:
    """The ways out of what is due: the first of each organization, then the second of each, so that none waits long."""
    with_mailbox = due.filter(message__mailbox__isnull=False).order_by()
    senders = with_mailbox.values_list("message__mailbox", "message__mailbox__mail_server", "message__organization")
    by_login: dict[tuple[str, int], int] = {}
    for mailbox, server, organization in senders.distinct():
        by_login[("mailbox", mailbox) if server is None else ("mail_server", server)] = organization
    queues: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for login, organization in by_login.items():
        queues[organization].append(login)
    in_turn = [login for turn in zip_longest(*queues.values()) for login in turn if login is not None][:MOST]
    return Route.objects.keys_of(in_turn)


def due_soon(now: datetime) -> dict[int, datetime]:
    """Messages that become due before the next sweep, and when: they leave at their moment, not at the next sweep."""
    soon = OutboxRecipient.objects.filter(state=State.QUEUED, not_before__gt=now, not_before__lte=now + PERIOD)
    return dict(soon.order_by("-not_before").values_list("message_id", "not_before")[:MOST])
