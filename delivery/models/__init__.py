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

__all__ = [
    "LEASE", "NOTICE_RETRY_PERIOD", "RETRY_PERIOD", "Attempt", "AttemptQuerySet", "LoginRefusal", "OutboxMessage",
    "OutboxMessageQuerySet", "OutboxRecipient", "OutboxRecipientQuerySet",
]  # fmt: skip
