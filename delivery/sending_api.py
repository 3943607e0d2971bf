"""The sending half of `/outbox`: one mail, many at once, the same once more, another time (spec I4, I5, L1).

A mail is known by its author and its Idempotency-Key. What was queued under a key is answered again from its row,
before anything else is looked at: rights may have ended since, and the answer stays the same. What was refused left no
row, so the key is free for the corrected request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from django.db.models import prefetch_related_objects
from django.http import HttpResponse
from django.utils import timezone
from ninja import Status
from ninja.params.models import Header

from accounts.models import Mailbox
from delivery import batches, cancelling, deciding, scheduling
from delivery.api import decided, message_or_404, router, sends
from delivery.models import OutboxMessage
from delivery.outbox import (
    CannotBeQueued,
    KeyReused,
    MayNotSend,
    NotKept,
    earlier_submission,
    enqueue,
    freeze,
    replayed,
    sender,
)
from delivery.receipts import (
    Batch,
    BatchAnswer,
    BatchMessage,
    BatchOutcome,
    Malformed,
    OutboxReceipt,
    receipt_document,
)
from delivery.refusals import MustNotGo
from delivery.resources import NewMessage, NewTime, OutboxDocument
from delivery.states import Origin, Priority
from delivery.suppression import SUPPRESSED
from delivery.wanted import Wanted
from mailstore.models import Message
from organizations.calls import ApiRequest, Invalid, Problem, invalid
from organizations.models import User

NO_DEFAULT = (
    "No mailbox was named, and there is no default account that could stand in for it. "
    "Name one, or let an administrator choose the default account."
)
PRIORITIES = {"normal": Priority.PROGRAM, "bulk": Priority.BULK}
IdempotencyKey = Annotated[
    str,
    Header(
        ...,
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Yours, new for each mail: a repeated request with the same key sends nothing twice.",
    ),
]


@router.post("/outbox", auth=sends, operation_id="outbox_send", response={201: OutboxReceipt})
def outbox_send(
    request: ApiRequest, response: HttpResponse, body: NewMessage, idempotency_key: IdempotencyKey
) -> Status[OutboxReceipt]:
    """Queue a mail. It is kept before this answers, and sent in the background; `/outbox/{id}` says what became of it.

    The same key with the same body gives the same answer and sends nothing again; another body is refused (409).
    """
    key = submission_key(idempotency_key)
    try:
        if earlier := earlier_submission(request.user, key, body.digest):
            return _receipt(response, earlier, scheduled_for=body.scheduled_for)
        reading = Reading(request.user)
        wanted = reading.wanted(body, key)
        message, recipients = freeze(wanted, wanted.mailbox, reading.now)
        queued = enqueue(message, recipients, reading.now)
    except (MayNotSend, CannotBeQueued) as exc:
        raise _problem(exc) from exc
    known = recipients if queued is message else None
    return _receipt(response, queued, known, scheduled_for=body.scheduled_for)


@router.post("/outbox/batch", auth=sends, operation_id="outbox_batch", response=BatchAnswer)
def outbox_batch(request: ApiRequest, body: Batch) -> BatchAnswer:
    """Queue up to 100 mails. Each has a key, and is taken or refused by itself, as if it had been sent alone.

    A repeated call sends nothing twice: what it queued before is answered as `replayed`.
    """
    outcomes = _queue_all(request.user, body.messages)
    queued = [one for one in outcomes if isinstance(one, OutboxMessage)]
    prefetch_related_objects(queued, "recipients")
    return BatchAnswer(items=[_outcome(asked, one) for asked, one in zip(body.messages, outcomes, strict=True)])


@router.patch("/outbox/{int:pk}", auth=sends, operation_id="outbox_reschedule", response=OutboxDocument)
def outbox_reschedule(request: ApiRequest, pk: int, body: NewTime) -> OutboxDocument:
    """Let a mail that waits leave at another time. To send it at once, decide `send-now`. Too late is told as 409."""
    return decided(
        request,
        pk,
        lambda message, user, now: scheduling.reschedule(message, user, body.scheduled_for, now),
        why_not=cancelling.why_not_cancelled,
    )


@router.post("/outbox/{int:pk}/resend", auth=sends, operation_id="outbox_resend", response={201: OutboxReceipt})
def outbox_resend(
    request: ApiRequest, response: HttpResponse, pk: int, idempotency_key: IdempotencyKey
) -> Status[OutboxReceipt]:
    """Send the same mail to the same people once more, as a new message."""
    original = message_or_404(request, pk)
    key = submission_key(idempotency_key)
    try:
        copy = deciding.resend(original, request.user, timezone.now(), submission_key=key)
    except (MayNotSend, CannotBeQueued) as exc:
        raise _problem(exc) from exc
    return _receipt(response, copy)


def submission_key(key: str) -> str:
    """Apart from those of the browser's forms, and as short as the column."""
    return f"api:{hashlib.sha256(key.encode()).hexdigest()[:60]}"


class Reading:
    """What the mails of one call name, looked up once with the rights of the caller."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.now = timezone.now()
        self._mailboxes: dict[int | None, Mailbox] = {}

    def wanted(self, body: NewMessage, key: str) -> Wanted:
        """Raises Problem, MayNotSend or CannotBeQueued."""
        return Wanted(
            author=self.user,
            mailbox=self.mailbox(body.mailbox),
            submission_key=key,
            digest=body.digest,
            to=body.addresses("to"),
            cc=body.addresses("cc"),
            bcc=body.addresses("bcc"),
            subject=body.subject,
            text=body.text,
            html=body.html,
            attachments=body.files(),
            answers=self._answered(body.answers),
            automatic=body.automatic,
            sender=body.sender(),
            unsubscribe=body.unsubscribe,
            origin=Origin.API,
            priority=PRIORITIES[body.priority],
            scheduled_for=body.scheduled_for,
        )

    def mailbox(self, pk: int | None) -> Mailbox:
        """The named mailbox, or the organization's default account (spec E5), if the caller may send from it."""
        if pk not in self._mailboxes:
            self._mailboxes[pk] = self._sender(pk)
        return self._mailboxes[pk]

    def _sender(self, pk: int | None) -> Mailbox:
        if pk is None:
            default = Mailbox.objects.in_organization_of(self.user).filter(is_default=True)
            pk = default.values_list("pk", flat=True).first()
            if pk is None:
                raise invalid("mailbox", NO_DEFAULT)
        try:
            return sender(self.user, pk, self.now)
        except MayNotSend:
            if Mailbox.objects.visible_to(self.user, self.now).filter(pk=pk).exists():
                raise
            raise invalid("mailbox", "There is no such mailbox.") from None

    def _answered(self, pk: int | None) -> Message | None:
        if pk is None:
            return None
        message = Message.objects.readable_by(self.user, self.now).filter(pk=pk).first()
        if message is None:
            raise invalid("answers", "There is no such message that you may read.")
        return message


def _queue_all(user: User, asked: Sequence[BatchMessage | Malformed]) -> list[OutboxMessage | Problem]:
    """One outcome for each, in the order given."""
    reading = Reading(user)
    keys = [submission_key(one.key) for one in asked]
    before = OutboxMessage.objects.filter(author=user, submission_key__in=keys)
    queued_before = {message.submission_key: message for message in before}
    outcomes: dict[int, OutboxMessage | Problem] = {}
    fresh: dict[int, Wanted] = {}
    for place, (one, key) in enumerate(zip(asked, keys, strict=True)):
        try:
            read = _read(reading, one, key, queued_before.get(key))
        except Problem as problem:
            outcomes[place] = problem
        else:
            if isinstance(read, Wanted):
                fresh[place] = read
            else:
                outcomes[place] = read
    wanted = [(one, one.mailbox) for one in fresh.values()]
    for place, outcome in zip(fresh, batches.queue_all(wanted, reading.now), strict=True):
        outcomes[place] = outcome if isinstance(outcome, OutboxMessage) else _problem(outcome)
    return [outcomes[place] for place in range(len(asked))]


def _read(
    reading: Reading, asked: BatchMessage | Malformed, key: str, earlier: OutboxMessage | None
) -> Wanted | OutboxMessage:
    """What is wanted, or the message that stands for it already. Raises Problem."""
    if isinstance(asked, Malformed):
        raise Invalid(*asked.errors)
    try:
        return reading.wanted(asked, key) if earlier is None else replayed(earlier, asked.digest)
    except (MayNotSend, CannotBeQueued) as exc:
        raise _problem(exc) from exc


def _outcome(asked: BatchMessage | Malformed, outcome: OutboxMessage | Problem) -> BatchOutcome:
    if isinstance(outcome, Problem):
        return BatchOutcome(
            key=asked.key, status=outcome.status, replayed=False, message=None, problem=outcome.document
        )
    scheduled_for = asked.scheduled_for if isinstance(asked, BatchMessage) else None
    recipients = [(one.address, one.kind, one.bounce_reason == SUPPRESSED) for one in outcome.recipients.all()]
    message = receipt_document(outcome, recipients, scheduled_for=scheduled_for)
    return BatchOutcome(key=asked.key, status=201, replayed=outcome.was_queued_before, message=message, problem=None)


def _receipt(
    response: HttpResponse,
    message: OutboxMessage,
    recipients: Sequence[tuple[str, str]] | None = None,
    *,
    scheduled_for: datetime | None = None,
) -> Status[OutboxReceipt]:
    """recipients: (address, kind) of each, where they are known; None: they are read."""
    if message.was_queued_before:
        response["Idempotent-Replayed"] = "true"
    if recipients is None:
        rows = message.recipients.order_by("pk").values_list("address", "kind", "bounce_reason")
        named = [(address, kind, reason == SUPPRESSED) for address, kind, reason in rows]
    else:
        named = [(address, kind, address in message.suppressed) for address, kind in recipients]
    return Status(201, receipt_document(message, named, scheduled_for=scheduled_for))


def _problem(error: MayNotSend | CannotBeQueued) -> Problem:
    if isinstance(error, MayNotSend):
        return Problem(403, "may-not-send", "You may not send from this mailbox.", str(error))
    if isinstance(error, KeyReused):
        return Problem(
            409,
            "key-reused",
            "This Idempotency-Key stands for another mail.",
            f"It has queued message {error.earlier.pk} already. Use a new key for a new mail.",
            more={"earlier": error.earlier.pk},
        )
    if isinstance(error, NotKept):
        if error.is_full:
            return Problem(
                507,
                "no-room",
                "There is no room to keep the mail.",
                "Nothing of it was queued. Tell an "
                "administrator, and repeat the request with the same key once there is room.",
            )
        return Problem(
            503,
            "not-kept",
            "The mail cannot be kept just now.",
            "Nothing of it was queued. Repeat the request with the same key.",
            retry_after=60,
        )
    if isinstance(error, MustNotGo):
        again_at = error.again_at.isoformat() if error.again_at else None
        return Problem(
            409,
            "automatic-mail-refused",
            "No automatic mail goes there now.",
            str(error),
            more={"reason": error.reason, "again_at": again_at},
        )
    return invalid(error.field, str(error))
