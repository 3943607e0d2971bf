"""Outgoing mail: messages, their recipients and attempts."""

from delivery.models.outbox import (
    LEASE,
    NOTICE_RETRY_PERIOD,
    RETRY_PERIOD,
    Attempt,
    AttemptQuerySet,
    LoginRefusal,
    OutboxMessage,
    OutboxMessageQuerySet,
    OutboxRecipient,
    OutboxRecipientQuerySet,
)
from delivery.models.routes import Route, Slot
from delivery.models.typed import Typed

__all__ = [
    "LEASE", "NOTICE_RETRY_PERIOD", "RETRY_PERIOD", "Attempt", "AttemptQuerySet", "LoginRefusal", "OutboxMessage",
    "OutboxMessageQuerySet", "OutboxRecipient", "OutboxRecipientQuerySet", "Route", "Slot", "Typed",
]  # fmt: skip
