"""The way in: from what a person or a program wants sent to rows that survive anything (spec I1, I4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypedDict
from zoneinfo import ZoneInfo

from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, IntegrityError, OperationalError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import Mailbox
from accounts.rights import Right
from delivery import loops, suppression
from delivery.addressing import MAX_RECIPIENTS, checked_address, shown
from delivery.hindrances import why_it_cannot_send
from delivery.models import NOTICE_RETRY_PERIOD, RETRY_PERIOD, OutboxMessage, OutboxRecipient, Suppression
from delivery.refusals import CannotBeQueued as CannotBeQueued
from delivery.schedule_times import why_not_at
from delivery.senders import NotAnIdentity, Sender, decide_for
from delivery.sent_copy import wanted_by
from delivery.sizes import why_too_large
from delivery.states import Automatic, Kind, Origin
from delivery.tasks import submit_message, wake_for
from delivery.tracing import mark_field
from delivery.wanted import Wanted
from mailstore.full_database import is_full
from mailstore.models import Message
from mailstore.packs import RawUnavailable, open_raw
from organizations.models import User
from organizations.nudging import nudge
from organizations.prepared import prepared
from protocols.message.addresses import Address
from protocols.message.build import OutgoingMessage, UnwritableField, build_message
from protocols.message.identity import new_message_id, reply_headers
from protocols.message.parse import parse_summary

NO_ROOM = (
    "It was not queued: the disk of this installation is full. Keep this page open, tell an administrator, and send it "
    "once there is room."
)
NOT_NOW = (
    "It was not queued: the database takes nothing just now. Keep this page open and send it again in a minute; if "
    "that does not help, tell an administrator."
)
READ_ONLY = "25006"  # SQLSTATE read_only_sql_transaction
LONGEST_COUNTDOWN = timedelta(seconds=60)  # that a worker keeps a task for; beat looks twice as often


class MayNotSend(PermissionDenied):
    """The author has no right to send from this mailbox."""


class KeyReused(CannotBeQueued):
    """The submission key stands for another mail already (fault R20)."""

    def __init__(self, earlier: OutboxMessage) -> None:
        super().__init__("submission_key", "This form has sent another mail already. Open a new one for this text.")
        self.earlier = earlier


class NotKept(CannotBeQueued):
    """Nothing of it was written down, since the database takes nothing (fault R23). is_full: until there is room."""

    def __init__(self, *, is_full: bool) -> None:
        super().__init__("", NO_ROOM if is_full else NOT_NOW)
        self.is_full = is_full


@contextmanager
def kept_or_told() -> Iterator[None]:
    """Put around a whole transaction: what keeps the database from taking it is raised as NotKept.

    An error that is a defect of ours stays what it is.
    """
    try:
        yield
    except DatabaseError as exc:
        if isinstance(exc, OperationalError):
            raise NotKept(is_full=is_full(exc)) from exc
        if getattr(exc.__cause__, "sqlstate", None) == READ_ONLY:
            raise NotKept(is_full=False) from exc
        raise


def queue_message(wanted: Wanted) -> OutboxMessage:
    """Freeze the octets, write message and recipients in one transaction, and nudge a worker after the commit.

    The same key with the same content returns the message that stands for it already.
    Raises MayNotSend, CannotBeQueued (with the field), KeyReused for the same key with other content, or MustNotGo for
    automatic mail that could begin a loop.
    """
    now = timezone.now()
    mailbox = check_sender(wanted.author, wanted.mailbox, now)
    if earlier := earlier_submission(wanted.author, wanted.submission_key, wanted.content_digest):
        return earlier
    return enqueue(*freeze(wanted, mailbox, now), now)


def freeze(wanted: Wanted, mailbox: Mailbox, now: datetime) -> tuple[OutboxMessage, list[tuple[str, str]]]:
    """The row of what is wanted, with its octets, and its (address, kind) recipients; nothing is written yet.

    mailbox: as `check_sender` has returned it. Raises CannotBeQueued.
    """
    recipients = _recipients(wanted.to, wanted.cc, wanted.bcc)
    if wanted.scheduled_for is not None and (sentence := why_not_at(wanted.scheduled_for, now)):
        raise CannotBeQueued("scheduled_for", sentence)
    sender = _decided(mailbox, wanted)
    draft = OutgoingMessage(
        from_=sender.from_,
        reply_to=sender.reply_to,
        to=tuple(wanted.to),
        cc=tuple(wanted.cc),
        subject=wanted.subject,
        text=wanted.text,
        html=wanted.html,
        attachments=tuple(wanted.attachments),
        headers=wanted.automatic_fields,
        unsubscribe=tuple(wanted.unsubscribe),
        language=mailbox.writes_in.tag,
        **_identity(wanted.author, mailbox, wanted.scheduled_for or now),
        **_thread(wanted.answers),
    )
    message = frozen_row(mailbox, draft, sender)
    if too_large := why_too_large(mailbox, message.size):
        raise CannotBeQueued("attachments", too_large)
    message.author, message.answers = wanted.author, wanted.answers
    message.origin, message.priority = wanted.origin, wanted.priority
    message.submission_key, message.content_digest = wanted.submission_key, wanted.content_digest
    message.scheduled_for = wanted.scheduled_for
    message.automatic = wanted.automatic_kind
    message.has_null_sender = message.automatic == Automatic.REPLIED
    if wanted.undo_period:
        message.undo_until = now + wanted.undo_period
    return message, recipients


def enqueue(message: OutboxMessage, recipients: Sequence[tuple[str, str]], now: datetime) -> OutboxMessage:
    """Write a message with its (address, kind) recipients, all or nothing; or return the one with the same key.

    Nothing of it leaves before its `scheduled_for` and its `undo_until`.
    Raises KeyReused, NotKept where the database takes nothing, or MustNotGo for automatic mail that could begin a loop:
    then nothing is kept of it.
    """
    try:
        with kept_or_told(), transaction.atomic():
            write([(message, recipients)], now)
    except IntegrityError:
        earlier = earlier_submission(message.author, message.submission_key, message.content_digest)
        if earlier is None:
            raise
        return earlier
    return message


def write(rows: Sequence[tuple[OutboxMessage, Iterable[tuple[str, str]]]], now: datetime) -> None:
    """Insert messages with their recipients, within the present transaction, and nudge workers after the commit.

    Whoever is on the suppression list gets a row that says so, and nothing is sent there. Raises MustNotGo.
    """
    named = [(message, list(recipients)) for message, recipients in rows]
    suppressed = _suppressed(named)
    for message, recipients in named:
        assert message.mailbox is not None
        assert (message.author is None) == (message.origin == Origin.NOTICE)
        message.created_at = now
        message.note_words([address for address, kind in recipients if kind == Kind.BCC])
        if message.origin != Origin.NOTICE:
            message.sent_copy = wanted_by(message.mailbox)
    OutboxMessage.objects.bulk_create([message for message, _ in named])
    OutboxRecipient.objects.bulk_create(
        recipient for message, recipients in named for recipient in _waiting(message, recipients, suppressed, now)
    )
    for message, recipients in named:
        message.suppressed = frozenset(address for address, _ in recipients if address in suppressed)
        if message.automatic:
            loops.admit(message, [address for address, _ in recipients if address not in suppressed], now)
    _tell_workers([message for message, _ in named], now)


def _tell_workers(messages: Sequence[OutboxMessage], now: datetime) -> None:
    """For now, or for a moment that is near; what is far off is left to the sweep.

    A person's mail, and ours, is asked for by itself; of mail of programs each way out is told once that some waits.
    """
    many: dict[int, Mailbox] = {}
    for message in messages:
        not_before = _not_before(message, now)
        if not_before > now + LONGEST_COUNTDOWN:
            continue
        if not_before > now:
            nudge(submit_message, message.pk, at=not_before)
        elif message.origin == Origin.API and message.mailbox is not None:
            many[message.mailbox.pk] = message.mailbox
        else:
            nudge(submit_message, message.pk)
    for mailbox in many.values():
        wake_for(mailbox)


def _not_before(message: OutboxMessage, now: datetime) -> datetime:
    return max(moment for moment in (now, message.scheduled_for, message.undo_until) if moment is not None)


def _suppressed(rows: Sequence[tuple[OutboxMessage, list[tuple[str, str]]]]) -> Mapping[str, Suppression]:
    """Who gets no mail from their organization, by address; messages that are written together share it. One query."""
    [organization_pk] = {message.organization_id for message, _ in rows} or [0]
    return suppression.among(organization_pk, {address for _, recipients in rows for address, _ in recipients})


def _waiting(
    message: OutboxMessage,
    recipients: Iterable[tuple[str, str]],
    suppressed: Mapping[str, Suppression],
    now: datetime,
) -> Iterator[OutboxRecipient]:
    """Its recipients, who wait for the moment that was chosen, and until it can no longer be taken back."""
    not_before = _not_before(message, now)
    period = NOTICE_RETRY_PERIOD if message.origin == Origin.NOTICE else RETRY_PERIOD
    for address, kind in recipients:
        yield OutboxRecipient(
            message=message,
            address=address,
            kind=kind,
            state_at=now,
            not_before=not_before,
            expires_at=not_before + period,
            **suppression.fields(suppressed.get(address)),
        )


def check_sender(author: User, mailbox: Mailbox | None, now: datetime) -> Mailbox:
    """Return the mailbox as it is now. Raises MayNotSend, or CannotBeQueued where it cannot send."""
    if mailbox is None:
        raise CannotBeQueued("mailbox", "The email account it was sent from has been deleted.")
    return sender(author, mailbox.pk, now)


def sender(author: User, mailbox_pk: int, now: datetime) -> Mailbox:
    """The mailbox, if `author` may send from it; one query. Raises as `check_sender` does."""
    is_bound = author.token is not None and author.token.only_mailboxes
    if is_bound or not author.is_active:
        allowed: Iterable[Mailbox] = _allowed_to(author, mailbox_pk, now)
    else:
        allowed = _senders(author.pk, author.organization_id, mailbox_pk, now)
    current = next(iter(allowed), None)
    if current is None:
        raise MayNotSend(f"{author} may not send from {Mailbox.objects.filter(pk=mailbox_pk).first()}.")
    if not current.can_send:
        raise CannotBeQueued("mailbox", f"{current} cannot send: {why_it_cannot_send(current)}")
    return current


@prepared
def _senders(author_pk: int, organization_pk: int, mailbox_pk: int, now: datetime) -> QuerySet[Mailbox]:
    """For an active author whose token, if any, is for all mailboxes: then the rule asks for these two keys alone."""
    return _allowed_to(User(pk=author_pk, organization_id=organization_pk), mailbox_pk, now)


def _allowed_to(author: User, mailbox_pk: int, now: datetime) -> QuerySet[Mailbox]:
    allowed = Mailbox.objects.allowing(Right.SEND, author, now).filter(pk=mailbox_pk)
    return allowed.select_related("mail_server__provider", "provider", "owner").order_by()


def _decided(mailbox: Mailbox, wanted: Wanted) -> Sender:
    try:
        return decide_for(mailbox, wanted.sender, by_policy=wanted.origin != Origin.PERSON)
    except NotAnIdentity as exc:
        raise CannotBeQueued("mailbox", str(exc)) from exc


def frozen_row(mailbox: Mailbox, draft: OutgoingMessage, sender: Sender) -> OutboxMessage:
    """A row that is not written yet: the octets, and what lists show of them. Raises CannotBeQueued."""
    raw = _frozen(replace(draft, headers=(*draft.headers, mark_field(draft.message_id))))
    message = OutboxMessage(
        organization_id=mailbox.organization_id,
        mailbox=mailbox,
        sender=sender.envelope,
        sender_step=sender.step,
        from_header=shown(draft.from_)[:500],
        to_header=", ".join(shown(address) for address in (*draft.to, *draft.cc)),
        subject=draft.subject,
        message_id=draft.message_id,
        size=len(raw),
        attachment_count=sum(not file.cid for file in draft.attachments),  # images within the text are none
    )
    message.raw = raw
    return message


def _frozen(draft: OutgoingMessage) -> bytes:
    """Build the octets. Raises CannotBeQueued with the field that cannot be written, such as a subject of two lines."""
    try:
        return build_message(draft)
    except UnwritableField as exc:
        field = exc.field.lower().replace("-", "_")
        raise CannotBeQueued("mailbox" if field == "from" else field, str(exc)) from exc


class _Identity(TypedDict):
    message_id: str
    date: datetime


def _identity(author: User, mailbox: Mailbox, leaves_at: datetime) -> _Identity:
    """Message-ID in the domain of the sender, and Date in the author's own time zone."""
    domain = mailbox.address.rpartition("@")[2]
    return {"message_id": new_message_id(domain), "date": leaves_at.astimezone(ZoneInfo(author.time_zone))}


class _Thread(TypedDict, total=False):
    in_reply_to: str
    references: tuple[str, ...]


def _thread(answers: Message | None) -> _Thread:
    """In-Reply-To and References of an answer; only its Message-ID where the stored octets cannot be read."""
    if answers is None:
        return {}
    try:
        in_reply_to, references = reply_headers(parse_summary(open_raw(answers)))
    except RawUnavailable:
        in_reply_to, references = answers.message_id, (answers.message_id,) if answers.message_id else ()
    return {"in_reply_to": in_reply_to, "references": references}


def _recipients(to: Sequence[Address], cc: Sequence[Address], bcc: Sequence[Address]) -> list[tuple[str, str]]:
    """Each address once, in the first of the three fields that names it. Raises CannotBeQueued naming all bad ones."""
    found: dict[str, tuple[str, str]] = {}
    for kind, addresses in ((Kind.TO, to), (Kind.CC, cc), (Kind.BCC, bcc)):
        wrong: list[str] = []
        for one in addresses:
            try:
                address = checked_address(one.address)
            except ValueError as exc:
                wrong.append(f"“{one.address}” is not an email address: {exc}")
            else:
                found.setdefault(address.casefold(), (address, kind))
        if wrong:
            raise CannotBeQueued(kind, " ".join(wrong))
    if not found:
        raise CannotBeQueued("to", "Write at least one address.")
    if len(found) > MAX_RECIPIENTS:
        raise CannotBeQueued("to", f"{len(found)} addresses are too many; {MAX_RECIPIENTS} is the limit.")
    return list(found.values())


def earlier_submission(author: User | None, submission_key: str, digest: str) -> OutboxMessage | None:
    """Return the message that this submission has made already. Raises KeyReused where it was another one."""
    known = _written(author.pk, submission_key) if author else _notices(submission_key)
    earlier = next(iter(known), None)
    return None if earlier is None else replayed(earlier, digest)


@prepared
def _written(author_pk: int, submission_key: str) -> QuerySet[OutboxMessage]:
    return OutboxMessage.objects.filter(author_id=author_pk, submission_key=submission_key)


@prepared
def _notices(submission_key: str) -> QuerySet[OutboxMessage]:
    return OutboxMessage.objects.filter(author=None, submission_key=submission_key, origin=Origin.NOTICE)


def replayed(earlier: OutboxMessage, digest: str) -> OutboxMessage:
    """The message that stands for a repeated submission, marked as such. Raises KeyReused for other content."""
    if earlier.content_digest != digest:
        raise KeyReused(earlier)
    earlier.was_queued_before = True
    return earlier
