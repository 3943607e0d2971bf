"""Changing when a mail leaves, as long as nothing of it has (spec I5)."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import Mailbox
from accounts.rights import Right
from delivery import deciding
from delivery.models import RETRY_PERIOD, OutboxMessage, OutboxOctets, OutboxRecipient
from delivery.octets import redated
from delivery.outbox import CannotBeQueued, check_sender
from delivery.schedule_times import why_not_at
from delivery.states import State
from delivery.tasks import submit_message
from organizations.models import User
from organizations.nudging import nudge


def waiting(user: User, now: datetime) -> QuerySet[OutboxMessage]:
    """Scheduled mail of which nothing has left, that `user` may decide about: the next one first."""
    sendable = Mailbox.objects.allowing(Right.SEND, user, now)
    queued = OutboxRecipient.objects.filter(message=OuterRef("pk"), state=State.QUEUED)
    mine = OutboxMessage.objects.visible_to(user, now).filter(Q(author=user) | Q(mailbox__in=sendable))
    return mine.scheduled().filter(Exists(queued)).order_by("scheduled_for", "pk")


def reschedule(message: OutboxMessage, user: User, moment: datetime, now: datetime) -> int:
    """Let it leave at `moment` instead, dated then; return how many recipients that concerns, 0 where it was too late.

    Raises MayNotSend, or CannotBeQueued for a moment that cannot be.
    """
    check_sender(user, message.mailbox, now)
    if sentence := why_not_at(moment, now):
        raise CannotBeQueued("scheduled_for", sentence)
    moved = _move(message, moment, scheduled_for=moment)
    return deciding.noted("outbox.rescheduled", message, user, moved, scheduled_for=moment.isoformat())


def send_now(message: OutboxMessage, user: User, now: datetime) -> int:
    """Let what is scheduled, or waits for a later try, be tried at once."""
    if message.scheduled_for is None or message.scheduled_for <= now:
        return deciding.send_now(message, user, now)
    check_sender(user, message.mailbox, now)
    moved = deciding.noted("outbox.hurried", message, user, _move(message, now, scheduled_for=None))
    nudge(submit_message, message.pk)
    return moved


def _move(message: OutboxMessage, leaves_at: datetime, *, scheduled_for: datetime | None) -> int:
    """Change rows and octets together. The recipients go first: where a worker has claimed them, nothing changes."""
    with transaction.atomic():
        untouched = OutboxRecipient.objects.filter(message=message, state=State.QUEUED, claim=0)
        moved = untouched.update(not_before=leaves_at, expires_at=leaves_at + RETRY_PERIOD)
        if moved:
            author = message.author
            zone = ZoneInfo(author.time_zone) if author else ZoneInfo("UTC")
            raw = redated(message.raw, leaves_at.astimezone(zone))
            OutboxMessage.objects.filter(pk=message.pk).update(
                scheduled_for=scheduled_for, undo_until=None, size=len(raw)
            )
            OutboxOctets.objects.filter(message=message).update(raw=raw)
    return moved
