"""Taking back what still waits, as a whole or recipient by recipient, and telling truly where it was too late (I5).

A cancellation is a conditional update like a claim: of the two, one wins, and the other finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from delivery.deciding import noted
from delivery.models import AFTER_LOST_ANSWER, OutboxMessage, OutboxRecipient, OutboxRecipientQuerySet
from delivery.states import State
from organizations.models import User

TOO_LATE: dict[State, str] = {
    State.SENDING: "Too late: it is being handed over to the mail server at this moment.",
    State.SENT: "Too late: it had already been handed over to the mail server.",
    State.UNCERTAIN: "Too late: it may have been handed over already; nobody knows for certain.",
    State.BOUNCED: "Too late: it was sent, and came back.",
    State.FAILED: "It was not waiting any more: sending it had failed.",
    State.CANCELLED: "It had been cancelled before.",
}
UNSURE = f"Nothing more is sent. {AFTER_LOST_ANSWER}"
NOBODY = "Nobody of this message has that address."


def cancel(message: OutboxMessage, user: User, now: datetime, *, addresses: Collection[str] | None = None) -> int:
    """Take back what still waits in the queue; return how many recipients that were.

    Who may have got it in an earlier attempt gets it no second time, and counts too, but stays uncertain.

    addresses: of these alone, as the message has them, without regard to case; None: of all.
    """
    chosen = _chosen(message, addresses)
    ended = chosen.end(State.QUEUED, State.CANCELLED, now, note=f"Cancelled by {user}.")
    return noted("outbox.cancelled", message, user, ended.total)


def was_taken_back(message: OutboxMessage) -> bool:
    """Whether nothing of it has left, or ever will by itself."""
    return not OutboxRecipient.objects.filter(message=message).exclude(state=State.CANCELLED).exists()


def is_unsure(message: OutboxMessage, addresses: Collection[str] | None = None) -> bool:
    """Whether a cancellation was of somebody who may have got it in an earlier attempt."""
    return _chosen(message, addresses).filter(state=State.UNCERTAIN, may_have_left_in__isnull=False).exists()


def why_not_cancelled(message: OutboxMessage, addresses: Collection[str] | None = None) -> str:
    """One sentence on why nothing of it waits any more, after `cancel` has changed nothing."""
    present = set(_chosen(message, addresses).values_list("state", flat=True))
    return next((sentence for state, sentence in TOO_LATE.items() if state in present), NOBODY)


def _chosen(message: OutboxMessage, addresses: Collection[str] | None) -> OutboxRecipientQuerySet:
    recipients = OutboxRecipient.objects.filter(message=message)
    if addresses is None:
        return recipients
    wanted = {address.casefold() for address in addresses}
    named = [pk for pk, address in recipients.values_list("pk", "address") if address.casefold() in wanted]
    return recipients.filter(pk__in=named)
