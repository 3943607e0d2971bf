"""Many mails in one go: each is queued or refused by itself, and all that can be are written in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import IntegrityError, transaction

from accounts.models import Mailbox
from delivery.models import OutboxMessage
from delivery.outbox import CannotBeQueued, NotKept, enqueue, freeze, kept_or_told, write
from delivery.refusals import MustNotGo
from delivery.wanted import Wanted

Frozen = tuple[OutboxMessage, list[tuple[str, str]]]
Outcome = OutboxMessage | CannotBeQueued


def queue_all(wanted: Sequence[tuple[Wanted, Mailbox]], now: datetime) -> list[Outcome]:
    """Queue each from its mailbox, as `check_sender` has returned it, or say why not; in the order given."""
    frozen = [_frozen(one, mailbox, now) for one, mailbox in wanted]
    rows = [one for one in frozen if not isinstance(one, CannotBeQueued)]
    try:
        with kept_or_told(), transaction.atomic():
            write(rows, now)
    # One key at least stands for a mail already, perhaps for another one of these; or one must not go by itself.
    except (IntegrityError, MustNotGo):
        return [one if isinstance(one, CannotBeQueued) else _alone(one, now) for one in frozen]
    except NotKept as told:
        return [one if isinstance(one, CannotBeQueued) else told for one in frozen]
    return [one if isinstance(one, CannotBeQueued) else one[0] for one in frozen]


def _frozen(wanted: Wanted, mailbox: Mailbox, now: datetime) -> Frozen | CannotBeQueued:
    try:
        return freeze(wanted, mailbox, now)
    except CannotBeQueued as exc:
        return exc


def _alone(frozen: Frozen, now: datetime) -> Outcome:
    message, recipients = frozen
    message.pk = None
    try:
        return enqueue(message, recipients, now)
    except CannotBeQueued as exc:
        return exc
