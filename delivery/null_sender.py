"""Automatic answers leave with the null reverse-path, so that nothing answers them (RFC 5321, 4.5.5; RFC 3834, 3.3).

Some submission servers take no mail without a sender. RFC 3834 allows another address then, as long as nothing answers
by itself what comes there. The mailbox's own is one: programs of ours answer no program and no report
(`delivery.loops`), and what comes back is read as a report.
"""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from delivery.ledger import Ledger
from delivery.models import OutboxMessage
from protocols.diagnosis import Cause, Diagnosis, Retry, Who
from protocols.errors import MailError, Refused
from protocols.steps import StepName

CODE = "null-sender-refused"
ABOUT_SENDER = frozenset(
    {"sender-refused", "may-not-send-as", "relay-denied", "refused", "unknown-failure"}
)  # codes of rules


def wants_a_sender(message: OutboxMessage, error: MailError, diagnosis: Diagnosis) -> bool:
    """Whether `MAIL FROM:<>` was refused for good, and not for anything that would be wrong with every sender."""
    at_sender = isinstance(error, Refused) and error.step is StepName.SENDER
    return at_sender and not message.envelope_sender and diagnosis.code in ABOUT_SENDER


def sender_is_named(ledger: Ledger, host: str, reply: str) -> Diagnosis:
    """Queue it again under the address of its mailbox, which it keeps; say why. That can happen to a message once."""
    message = ledger.message
    cause = Cause(
        "Automatic answers leave without a sender address, so that no program answers them. This server wants one.",
        f"It goes again under {message.sender} by itself; reports about it come to that mailbox.",
        Who.WAIT,
    )
    title = f"{host} takes no mail without a sender address."
    with transaction.atomic():
        OutboxMessage.objects.filter(pk=message.pk).update(has_null_sender=False)
        ledger.again(f"{title} It goes again under {message.sender}.", reply, timezone.now())
    return Diagnosis(CODE, title, (cause,), Retry.BACK_OFF)
