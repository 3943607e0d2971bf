"""What the API answers to a mail that it has queued, and what it takes and gives for many at once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from delivery.log import Row
from delivery.models import OutboxMessage
from delivery.resources import NewMessage, OutboxSummary, summary_values
from delivery.states import State
from organizations.calls import Asked, FieldError, field_errors, printable

MAX_BATCH = 100  # messages in one call


class QueuedRecipient(BaseModel):
    address: str
    kind: Literal["to", "cc", "bcc"]
    is_suppressed: bool = Field(description="It gets nothing: the address is on the suppression list.")


class OutboxReceipt(OutboxSummary):
    """A message as it was queued: the same for every request with the same key, whatever became of it since."""

    recipient_list: list[QueuedRecipient]


class BatchMessage(NewMessage):
    """One of many: goes after all other mail unless it says otherwise."""

    key: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")] = Field(
        description="Its Idempotency-Key.", examples=["newsletter-12-anna"]
    )
    priority: Literal["normal", "bulk"] = "bulk"

    @property
    def digest(self) -> str:
        body = self.model_dump_json(exclude_defaults=True, exclude={"key"})
        return hashlib.sha256(body.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Malformed:
    """In the place of a message that cannot be read. key: "" where not even that can."""

    key: str
    errors: tuple[FieldError, ...]


def _or_malformed(value: object, read: ValidatorFunctionWrapHandler) -> BatchMessage | Malformed:
    try:
        message: BatchMessage = read(value)
    except ValidationError as exc:
        key = value.get("key") if isinstance(value, dict) else None
        told = field_errors(exc.errors()[:20], lambda place: ".".join(printable(part) for part in place)[:200])
        return Malformed(printable(key)[:255] if isinstance(key, str) else "", tuple(told))
    return message


class Batch(Asked):
    """Many mails at once. Each is taken or refused by itself."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "messages": [
                        {
                            "key": "news-12-anna",
                            "to": [{"address": "anna@example.com"}],
                            "subject": "News",
                            "text": "Hi",
                        }
                    ]
                }
            ]
        }
    )

    messages: Annotated[
        list[Annotated[BatchMessage, WrapValidator(_or_malformed)]], Field(min_length=1, max_length=MAX_BATCH)
    ]


class BatchOutcome(BaseModel):
    """What became of one of them, as it would have been answered alone."""

    key: str
    status: int = Field(description="201, or that of the problem.")
    replayed: bool = Field(description="It had been queued before, by the same key.")
    message: OutboxReceipt | None
    problem: dict[str, Any] | None = Field(description="A problem document (RFC 9457).")


class BatchAnswer(BaseModel):
    items: list[BatchOutcome] = Field(description="In the order of the request.")


def receipt_document(
    message: OutboxMessage, recipients: Sequence[tuple[str, str, bool]], *, scheduled_for: datetime | None = None
) -> OutboxReceipt:
    """Made of what never changes, so that a repeated request gets the same answer.

    recipients: (address, kind, is_suppressed) of each, in the order of their rows. scheduled_for: as it was asked for.
    """
    named = [
        {"address": address, "kind": kind, "is_suppressed": is_suppressed}
        for address, kind, is_suppressed in recipients
    ]
    left_out = sum(is_suppressed for _, _, is_suppressed in recipients)
    counts = {State.QUEUED: len(named) - left_out, State.FAILED: left_out}
    queued = Row(message, Counter({state: number for state, number in counts.items() if number}))
    values = summary_values(queued) | {"scheduled_for": scheduled_for, "recipient_list": named}
    return OutboxReceipt.model_validate(values)
