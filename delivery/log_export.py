"""The email log as a file: a line for each recipient of each message that the filters leave, newest first (spec I9)."""

from __future__ import annotations

from collections.abc import Iterator

from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from delivery import log
from delivery.models import OutboxMessage, OutboxRecipient
from delivery.states import Origin
from organizations import audit, spreadsheets
from organizations.models import User

COLUMNS = (
    "queued (UTC)", "from", "recipient", "kind", "subject", "state", "since (UTC)", "tries", "note", "server's answer",
    "email account", "written by", "sent by", "size", "attachments", "message-id", "number",
)  # fmt: skip
ENDED_EARLY = "The file ends here: whoever asked for it may no longer sign in."


def export(request: HttpRequest, user: User, filters: log.Filters, asked: dict[str, str]) -> StreamingHttpResponse:
    """Answer with the file; that it was taken is an entry of the audit log. `asked`: the filters in words."""
    audit.record(
        "email_log.exported",
        organization=user.organization,
        actor=user,
        target=user.organization,
        detail=dict(asked),
        request=request,
    )
    name = f"email-log-{timezone.localdate():%Y-%m-%d}.csv"
    return spreadsheets.answer(request, as_csv(user, filters), name)


def as_csv(user: User, filters: log.Filters) -> Iterator[str]:
    """Yield the file in pieces. What `user` may see is asked anew for each, so a right that ends ends the lines."""
    yield spreadsheets.lines([COLUMNS])
    last: int | None = None
    while True:
        reader = User.objects.filter(pk=user.pk, is_active=True).first()
        if reader is None:
            yield spreadsheets.lines([(ENDED_EARLY,)])
            return
        reader.token = user.token
        keys = log.search(reader, filters, timezone.now()).keys(log.BATCH, after=last)
        if not keys:
            return
        last = keys[-1]
        yield spreadsheets.lines(_rows(keys))


def _rows(keys: list[int]) -> Iterator[tuple[str, ...]]:
    messages = OutboxMessage.objects.select_related("mailbox", "author").defer("subject_words", "recipient_words")
    found = messages.in_bulk(keys)
    recipients: dict[int, list[OutboxRecipient]] = {}
    for one in OutboxRecipient.objects.filter(message__in=keys).order_by("pk"):
        recipients.setdefault(one.message_id, []).append(one)
    for key in keys:
        if (message := found.get(key)) is not None:
            yield from (_row(message, one) for one in recipients.get(key, ()))


def _row(message: OutboxMessage, recipient: OutboxRecipient) -> tuple[str, ...]:
    return (
        message.created_at.isoformat(timespec="seconds"),
        message.from_header,
        recipient.address,
        recipient.get_kind_display(),
        message.subject,
        recipient.get_state_display(),
        recipient.state_at.isoformat(timespec="seconds"),
        str(recipient.tries),
        recipient.note,
        recipient.last_reply,
        str(message.mailbox or ""),
        str(message.author or ""),
        Origin(message.origin).label,
        str(message.size),
        str(message.attachment_count),
        message.message_id,
        str(message.pk),
    )
