"""What a person decides about outgoing mail: try again, send once more, settle what is uncertain (spec I3, I9).

Each decision is a conditional update: whoever comes second, or too late, changes nothing and is told so by the number.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db import transaction

from accounts.models import Mailbox
from accounts.rights import Right
from delivery import suppression
from delivery.models import (
    NOTICE_RETRY_PERIOD,
    RETRY_PERIOD,
    OctetsGone,
    OutboxMessage,
    OutboxOctets,
    OutboxRecipient,
    OutboxRecipientQuerySet,
)
from delivery.news import tell_settled
from delivery.octets import with_new_identity
from delivery.outbox import CannotBeQueued, check_sender, earlier_submission, enqueue
from delivery.states import Origin, Priority, SentCopy, State
from delivery.tasks import file_sent_copy, resolve_uncertain, submit_message
from organizations import audit, live
from organizations.models import User
from organizations.nudging import nudge
from organizations.operations import Operation

NO_TEXT = "Its text is no longer kept, so it cannot be sent again."


class MayNotDecide(PermissionDenied):
    """Whoever only sees a message in the log may not decide about it."""


def may_decide(user: User, message: OutboxMessage, now: datetime) -> bool:
    """Whether `user` may decide about it: its author, or whoever may send from its mailbox."""
    if message.author_id == user.pk:
        return True
    if message.mailbox_id is None or message.origin == Origin.NOTICE:  # a notice finds its way by itself
        return False
    return Mailbox.objects.allowing(Right.SEND, user, now).filter(pk=message.mailbox_id).exists()


def may_settle(user: User, message: OutboxMessage, now: datetime) -> bool:
    """Whether `user` may settle what is uncertain of it: whoever may decide about it.

    A notice has no author, and leaves by itself: of one, whoever sees all mail and manages the accounts may.
    """
    if message.origin != Origin.NOTICE:
        return may_decide(user, message, now)
    is_ours = message.organization_id == user.organization_id
    return is_ours and user.may(Operation.VIEW_EMAIL_LOGS) and user.may(Operation.MANAGE_EMAIL_ACCOUNTS)


def send_now(message: OutboxMessage, user: User, now: datetime) -> int:
    """Let what waits for a later try be tried at once."""
    check_sender(user, message.mailbox, now)
    moved = _recipients(message).filter(state=State.QUEUED, not_before__gt=now).update(not_before=now)
    nudge(submit_message, message.pk)
    return noted("outbox.hurried", message, user, moved)


def try_again(message: OutboxMessage, user: User, now: datetime) -> int:
    """Queue those who failed or came back: the same octets and Message-ID, since they reached nobody of them."""
    return _queue_again(message, user, now, origins=(State.FAILED, State.BOUNCED), action="outbox.retried")


@dataclass(frozen=True, slots=True)
class About:
    """Which uncertain recipients a decision is about; by default all.

    addresses: only these. seen: only what no later attempt than this one has made uncertain, which is what the person
    has seen: of a message that was sent once more meanwhile, nobody knows enough to decide.
    """

    addresses: frozenset[str] | None = None
    seen: int | None = None

    def among(self, recipients: OutboxRecipientQuerySet) -> OutboxRecipientQuerySet:
        if self.addresses is not None:
            recipients = recipients.filter(address__in=self.addresses)
        return recipients if self.seen is None else recipients.filter(claim__lte=self.seen)


ALL = About()


def check_again(message: OutboxMessage, user: User, now: datetime, about: About = ALL) -> int:
    """Look for a trace of it at once. All that is uncertain is looked for, whatever it is about."""
    asked = _recipients(message).filter(state=State.UNCERTAIN).update(look_at=now)
    nudge(resolve_uncertain, message.pk)
    return noted("outbox.looked_for", message, user, asked)


def send_again(message: OutboxMessage, user: User, now: datetime, about: About = ALL) -> int:
    """Queue the uncertain recipients again, at the risk that they get it twice; the Message-ID stays the same."""
    return _queue_again(message, user, now, origins=(State.UNCERTAIN,), action="outbox.sent_again", about=about)


def mark_sent(message: OutboxMessage, user: User, now: datetime, about: About = ALL) -> int:
    """Settle the uncertain recipients as sent, because a person knows that it arrived."""
    with transaction.atomic():
        _take_turns(message)
        mine = about.among(_recipients(message))
        settled = mine.move(State.UNCERTAIN, State.SENT, now, note=f"Marked as sent by {user}.")
        if settled and OutboxMessage.objects.filter(pk=message.pk).want_copy(now):
            nudge(file_sent_copy, message.pk)
        tell_settled(message, now)
        return noted("outbox.marked_sent", message, user, settled)


def resend(
    message: OutboxMessage, user: User, now: datetime, submission_key: str = "", *, in_bulk: bool = False
) -> OutboxMessage:
    """Queue the same mail to the same recipients once more, as a new message with its own Message-ID and date.

    Who was taken off it gets it only where nobody is left. in_bulk: one of many, which yield to what people write.
    Raises MayNotSend, MayNotDecide or CannotBeQueued; the same `submission_key` twice gives the same message, whatever
    became of rights and octets since.
    """
    digest = f"resend {message.pk}"
    if submission_key and (earlier := earlier_submission(user, submission_key, digest)):
        return earlier
    mailbox = check_sender(user, message.mailbox, now)
    if not may_decide(user, message, now):
        raise MayNotDecide(f"{user} may not send {message} once more.")
    message_id, raw = with_new_identity(_octets(message), mailbox.address, now)
    copy = OutboxMessage(
        organization_id=message.organization_id,
        mailbox=mailbox,
        author=user,
        answers_id=message.answers_id,
        resend_of=message,
        submission_key=submission_key or uuid.uuid4().hex,
        content_digest=digest,
        sender=message.sender,
        from_header=message.from_header,
        sender_step=message.sender_step,
        to_header=message.to_header,
        subject=message.subject,
        message_id=message_id,
        size=len(raw),
        attachment_count=message.attachment_count,
        automatic=message.automatic,
        has_null_sender=message.has_null_sender,
        priority=Priority.BULK if in_bulk else Priority.PERSON,
    )
    copy.raw = raw
    everybody = list(message.recipients.all())
    wanted = [recipient for recipient in everybody if recipient.state != State.CANCELLED] or everybody
    queued = enqueue(copy, [(recipient.address, recipient.kind) for recipient in wanted], now)
    if queued is copy:
        audit.record("outbox.resent", organization=message.organization, actor=user, target=queued)
    return queued


def file_copy_again(message: OutboxMessage, user: User, now: datetime) -> int:
    """Try once more to file the copy in the Sent folder."""
    check_sender(user, message.mailbox, now)
    failed = OutboxMessage.objects.filter(pk=message.pk, sent_copy=SentCopy.FAILED)
    moved = failed.update(sent_copy=SentCopy.WAITING, sent_copy_not_before=now, sent_copy_note="", sent_copy_failures=0)
    nudge(file_sent_copy, message.pk)
    return noted("outbox.copy_retried", message, user, moved)


def _octets(message: OutboxMessage) -> bytes:
    """Raises CannotBeQueued where they were let go."""
    try:
        return message.raw
    except OctetsGone as exc:
        raise CannotBeQueued("", NO_TEXT) from exc


def _queue_again(
    message: OutboxMessage, user: User, now: datetime, *, origins: Collection[State], action: str, about: About = ALL
) -> int:
    _check_way_out(message, user, now)
    if not OutboxOctets.objects.filter(message=message).exists():
        raise CannotBeQueued("", NO_TEXT)
    fresh: dict[str, object] = {
        "tries": 0, "note": "", "last_reply": "", "bounce": "", "bounce_reason": "", "report": None
    }  # fmt: skip
    not_before = max(now, message.scheduled_for or now)
    period = NOTICE_RETRY_PERIOD if message.origin == Origin.NOTICE else RETRY_PERIOD
    with transaction.atomic():
        _take_turns(message)
        mine = about.among(_recipients(message))
        again = mine.filter(state__in=origins).values_list("address", flat=True)
        suppressed = suppression.among(message.organization_id, list(again))
        moved = sum(
            mine.exclude(address__in=suppressed).move(
                origin, State.QUEUED, now, not_before=not_before, expires_at=not_before + period, **fresh
            )
            for origin in origins
        )
        tell_settled(message, now)
    if suppressed and not moved:
        raise CannotBeQueued("to", _all_suppressed(list(suppressed)))
    nudge(submit_message, message.pk)
    return noted(action, message, user, moved)


def _check_way_out(message: OutboxMessage, user: User, now: datetime) -> None:
    """Raises MayNotSend, or CannotBeQueued. A notice is sent by the system, whoever lets it."""
    if message.origin != Origin.NOTICE:
        check_sender(user, message.mailbox, now)
    elif message.mailbox is None or not message.mailbox.can_send:
        raise CannotBeQueued("mailbox", "The email account it left from cannot send now.")


def _take_turns(message: OutboxMessage) -> None:
    """Two decisions about one message follow each other: neither gets some recipients and the other the rest."""
    OutboxMessage.objects.select_for_update().only("pk").get(pk=message.pk)


def _all_suppressed(addresses: list[str]) -> str:
    who = addresses[0] if len(addresses) == 1 else f"{addresses[0]} and {len(addresses) - 1} more"
    verb = "is" if len(addresses) == 1 else "are"
    return f"Nothing was sent: {who} {verb} on the suppression list. Take the address off the list first."


def _recipients(message: OutboxMessage) -> OutboxRecipientQuerySet:
    return OutboxRecipient.objects.filter(message=message)


def noted(action: str, message: OutboxMessage, user: User, number: int, **more: object) -> int:
    """Put a decision that changed something into the audit log, and tell open pages. more: for the entry's detail."""
    if number:
        detail: dict[str, object] = {"recipients": number, "message_id": message.message_id, **more}
        audit.record(action, organization=message.organization, actor=user, target=message, detail=detail)
        live.announce(message.organization_id, "outbox", message.pk)
    return number
