"""Outgoing mail: messages, their recipients and attempts."""

from delivery.models.automatic import AutomaticMail
from delivery.models.drafts import DraftFile, SavedDraft
from delivery.models.log import LogRetention, LogRun, LogRunQuerySet
from delivery.models.looks import Look
from delivery.models.outbox import (
    AFTER_LOST_ANSWER,
    FIRST_LOOK,
    LEASE,
    LONGEST_NOTE,
    NOTICE_RETRY_PERIOD,
    RETRY_PERIOD,
    Attempt,
    AttemptQuerySet,
    Ended,
    LoginRefusal,
    OctetsGone,
    OutboxMessage,
    OutboxMessageQuerySet,
    OutboxOctets,
    OutboxRecipient,
    OutboxRecipientQuerySet,
)
from delivery.models.restores import Pulse, Restore
from delivery.models.routes import Route, Slot
from delivery.models.sequels import DeliveryEvent, Suppression, SuppressionQuerySet
from delivery.models.typed import Typed

__all__ = [
    "AFTER_LOST_ANSWER", "FIRST_LOOK", "LEASE", "LONGEST_NOTE", "NOTICE_RETRY_PERIOD", "RETRY_PERIOD", "Attempt",
    "AttemptQuerySet", "AutomaticMail", "DeliveryEvent", "DraftFile", "Ended", "LogRetention", "LogRun",
    "LogRunQuerySet", "LoginRefusal", "Look", "OctetsGone", "OutboxMessage", "OutboxMessageQuerySet", "OutboxOctets",
    "OutboxRecipient", "OutboxRecipientQuerySet", "Pulse", "Restore", "Route", "SavedDraft", "Slot", "Suppression",
    "SuppressionQuerySet", "Typed",
]  # fmt: skip
