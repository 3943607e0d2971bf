"""What the API takes and gives about outgoing mail."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from django.db.models import Model
from pydantic import BaseModel, ConfigDict, Field

from delivery.addressing import MAX_RECIPIENTS, checked_address
from delivery.deciding import About
from delivery.explaining import RecipientLine, Story
from delivery.forms import MAX_ATTACHMENTS_SIZE, MAX_TEXT
from delivery.log import Row, Search, page
from delivery.senders import SenderChoice
from delivery.states import Priority
from delivery.timeline import Entry, Step, Told
from delivery.uncertainty import Uncertainty
from organizations.calls import LARGEST_KEY, Asked, FieldError, Invalid, Key, Listing, Moment, Text
from protocols.message.addresses import Address
from protocols.message.build import Attachment
from protocols.message.filenames import safe_filename

#: person is what somebody wrote on the pages: it goes first.
PriorityName = Literal["person", "normal", "bulk"]
PRIORITIES: dict[int, PriorityName] = {Priority.PERSON: "person", Priority.PROGRAM: "normal", Priority.BULK: "bulk"}
StepName = Literal["chosen", "mailbox", "reply_to", "default_reply", "login"]
StateName = Literal["queued", "sending", "sent", "failed", "uncertain", "cancelled", "bounced"]
OriginName = Literal["person", "api", "notice"]


class Recipient(Asked):
    """Somebody who gets it, with or without a name."""

    name: Annotated[Text, Field(max_length=320)] = ""
    address: Annotated[Text, Field(min_length=3, max_length=320)]


Recipients = Annotated[list[Recipient], Field(max_length=MAX_RECIPIENTS)]
MailAddress = Annotated[Text, Field(min_length=3, max_length=320)]


class File(Asked):
    """A file that travels with the mail."""

    filename: Annotated[Text, Field(min_length=1, max_length=255)]
    content_type: Annotated[Text, Field(max_length=127)] = "application/octet-stream"
    content: Annotated[str, Field(description="Base64 (RFC 4648, 4).")]


UnsubscribeAddress = Annotated[Text, Field(max_length=800, pattern=r"^(https://|mailto:)[!-~]+$")]


class NewMessage(Asked):
    """A mail to send. Without `mailbox` it leaves from the organization's default account."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "to": [{"name": "Anna", "address": "anna@example.com"}],
                    "subject": "Your order",
                    "text": "It is on its way.",
                }
            ]
        }
    )

    mailbox: Key | None = None
    to: Recipients = []
    cc: Recipients = []
    bcc: Recipients = []
    subject: Annotated[Text, Field(max_length=900, pattern=r"^[^\x00\r\n]*$")] = ""
    text: Annotated[Text, Field(max_length=MAX_TEXT)] = ""
    html: Annotated[Text, Field(max_length=MAX_TEXT)] | None = None
    attachments: Annotated[list[File], Field(max_length=100)] = []
    answers: Key | None = Field(None, description="The message that this one answers.")
    from_address: Annotated[Text, Field(max_length=254)] = Field(
        "", description="One of the mailbox's addresses; empty: its server's reply-to policy decides."
    )
    reply_to: Recipient | None = Field(
        None, description="Where answers go. Where the mail server sends from the reply address, it stands in From."
    )
    unsubscribe: Annotated[list[UnsubscribeAddress], Field(max_length=2)] = Field(
        [], description="An https address that takes a POST, or mailto: List-Unsubscribe, with one click (RFC 8058)."
    )
    automatic: bool = Field(
        False,
        description=(
            "A program sends it by itself (RFC 3834). With `answers` it is an automatic answer, which goes to whoever "
            "wrote and never to programs or lists; what could begin a loop, or passes a limit, is refused with 409."
        ),
    )
    scheduled_for: Moment | None = Field(
        None, description="Not before this moment, which its Date field names too. A year ahead at most; null: at once."
    )
    priority: Literal["normal", "bulk"] = Field(
        "normal", description="bulk: after everything else that waits. What people write goes before both."
    )

    @property
    def digest(self) -> str:
        """Tells one body from another, however it was written; members at their defaults count as absent."""
        return hashlib.sha256(self.model_dump_json(exclude_defaults=True).encode()).hexdigest()

    def addresses(self, field: Literal["to", "cc", "bcc"]) -> list[Address]:
        """Raises Invalid with a sentence for each bad one."""
        good, errors = [], []
        for recipient in getattr(self, field):
            try:
                good.append(Address(recipient.name, checked_address(recipient.address)))
            except ValueError as exc:
                errors.append(FieldError(field, f"“{recipient.address}” is not an email address: {exc}"))
        if errors:
            raise Invalid(*errors)
        return good

    def sender(self) -> SenderChoice:
        """Raises Invalid where the reply address is none."""
        reply_to = None
        if self.reply_to is not None:
            try:
                reply_to = Address(self.reply_to.name, checked_address(self.reply_to.address))
            except ValueError as exc:
                sentence = f"“{self.reply_to.address}” is not an email address: {exc}"
                raise Invalid(FieldError("reply_to", sentence)) from exc
        return SenderChoice(self.from_address, reply_to)

    def files(self) -> list[Attachment]:
        """The decoded attachments. Raises Invalid as `decoded` does."""
        return decoded(self.attachments)


def decoded(attachments: Sequence[File]) -> list[Attachment]:
    """The files as they travel. Raises Invalid where one is no base64, or all are too much together."""
    files, errors = [], []
    for number, file in enumerate(attachments):
        try:
            content = base64.b64decode(file.content, validate=True)
        except (binascii.Error, ValueError):
            errors.append(FieldError(f"attachments.{number}.content", "This is not base64."))
        else:
            name = safe_filename(file.filename, file.content_type)
            files.append(Attachment(filename=name, content_type=file.content_type, content=content))
    if sum(len(file.content) for file in files) > MAX_ATTACHMENTS_SIZE:
        limit = MAX_ATTACHMENTS_SIZE // 2**20
        errors.append(FieldError("attachments", f"The files are too large together; {limit} MB can be sent."))
    if errors:
        raise Invalid(*errors)
    return files


class OutboxSummary(BaseModel):
    """A message on its way out, or one that left."""

    id: int
    mailbox: int | None = Field(description="Null: it was deleted since.")
    author: int | None
    sender: str = Field(description="Envelope sender.")
    from_header: str
    sender_step: StepName = Field(description="What From was taken from.")
    to: str = Field(description="To and Cc as the header has them.")
    subject: str
    message_id: str
    size: int = Field(description="Octets.")
    attachment_count: int
    created_at: datetime
    scheduled_for: datetime | None = Field(description="Null: it was to leave at once.")
    priority: PriorityName
    state: StateName = Field(description="The worst of its recipients.")
    recipients: dict[StateName, int] = Field(description="How many are in which state.")
    resend_of: int | None


class NewTime(Asked):
    """When a mail that waits shall leave instead."""

    scheduled_for: Moment


class Cancellation(Asked):
    """Whom it shall not reach."""

    addresses: Annotated[list[Text], Field(min_length=1, max_length=MAX_RECIPIENTS)] | None = Field(
        None, description="Of these recipients alone; null: of all."
    )


class OutboxList(BaseModel):
    items: list[OutboxSummary]
    next: str | None = Field(description="The `cursor` of the next page; null on the last.")


class EventDocument(BaseModel):
    """What became known of a recipient after the mail had left."""

    kind: Literal["bounced", "delayed", "complaint", "auto_reply"]
    at: datetime
    words: str = Field(description="One line of an automatic reply; empty if you may not read the mailbox.")
    report: int | None = Field(description="The message that told it.")


class RecipientDocument(BaseModel):
    address: str
    kind: Literal["to", "cc", "bcc"]
    state: StateName
    state_at: datetime
    not_before: datetime = Field(description="When it is tried next, while it is queued.")
    tries: int
    note: str = Field(description="Where it stands, as a sentence.")
    last_reply: str = Field(description="The server's own words.")
    bounce: Literal["", "hard", "soft"] = Field(
        description="It came back. hard: no later mail will arrive there either. soft: this time."
    )
    bounce_reason: str = Field(
        description=(
            "userunknown, mailboxfull, blocked ...; empty unless it came back. suppressed: nothing was sent, since the "
            "address is on the suppression list."
        )
    )
    is_suppressed: bool = Field(description="The address is on the suppression list now.")
    events: list[EventDocument]


class AttemptDocument(BaseModel):
    """One conversation with a submission server."""

    server: str
    started_at: datetime
    ended_at: datetime | None
    phase: str
    code: int
    enhanced_code: str
    text: str
    tls: str
    milliseconds: int | None = Field(description="How long it took; null while it runs.")
    detour: str = Field(description="Why it went through another server than its own; empty where it did not.")


class LookDocument(BaseModel):
    """One look for a message whose outcome is not known."""

    at: datetime
    result: Literal["sent", "unclear", "nothing", "prevented"] = Field(
        description="unclear: found, but not for whom. prevented: some places could not be looked at."
    )
    findings: list[str] = Field(description="A sentence for each place.")
    verdict: str = Field(description="What follows, as a sentence.")


class UncertaintyDocument(BaseModel):
    """What is known where nobody knows whether it was sent."""

    recipients: list[str] = Field(description="Of whom it is not known.")
    since: datetime
    cause: str = Field(description="What happened, as a sentence.")
    version: int = Field(description="For a decision: it is then never about an attempt that you had not seen.")
    next_look: datetime | None = Field(description="Null: it is not looked for any more by itself.")
    looks: list[LookDocument] = Field(description="Newest first.")


class TimelineEntry(BaseModel):
    """Something that happened to a message, or that comes next."""

    at: datetime
    kind: Step = Field(description="due: it has not happened yet.")
    title: str = Field(description="What happened, in words.")
    detail: str
    by: str = Field(description="Who did it; empty where it came by itself.")
    recipients: list[str] = Field(description="Whom it concerns; empty: all, or nobody in particular.")
    attempt: AttemptDocument | None = Field(description="What stands in `attempts`, where it is one.")


class OutboxDocument(OutboxSummary):
    """A message with its recipients and its story."""

    recipient_list: list[RecipientDocument]
    concealed_events: list[EventDocument] = Field(description="Complaints that do not say which recipient it was.")
    attempts: list[AttemptDocument]
    timeline: list[TimelineEntry] = Field(description="All of it in order of time; below it what comes next.")
    reasons: list[str] = Field(description="Why it was sent from there, in sentences.")
    sent_copy: str
    may_decide: bool = Field(description="Whether you may cancel it, try it again or send it once more.")
    may_settle: bool = Field(description="Whether you may settle what is uncertain.")
    text: str | None = Field(description="What was written, for those who may read it.")
    uncertain: UncertaintyDocument | None = Field(description="Null: of nobody is the outcome unknown.")


class Decision(Asked):
    """What is to be done about a message that was not simply sent."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"decision": "try-again"}]})

    decision: Literal["send-now", "try-again", "check-again", "send-again", "mark-sent", "save-copy"] = Field(
        description=(
            "send-now: do not wait for the next try. try-again: queue the failed ones. check-again: look for the "
            "uncertain once more; what is found stands in `uncertain` a moment later. send-again: queue the uncertain "
            "ones, under the same Message-ID; they may get it twice. mark-sent: the uncertain ones have it. save-copy: "
            "file the sent copy again."
        )
    )
    recipients: Annotated[list[MailAddress], Field(max_length=MAX_RECIPIENTS)] | None = Field(
        None, description="mark-sent and send-again: only these of the uncertain ones; without it all."
    )
    version: Annotated[int, Field(ge=0, le=LARGEST_KEY)] | None = Field(
        None, description="Of `uncertain` as you saw it. Where it was sent again meanwhile, nothing is changed (409)."
    )

    @property
    def about(self) -> About:
        """Which uncertain recipients it is about."""
        addresses = None if self.recipients is None else frozenset(self.recipients)
        return About(addresses=addresses, seen=self.version)


def listed(found: Search, listing: Listing) -> OutboxList:
    """One page of what a search finds. Raises Invalid for a cursor that is none."""
    rows = page(found, after=listing.checked_cursor, size=listing.limit)
    return OutboxList(items=[summary_document(row) for row in rows.rows], next=rows.older or None)


def summary_document(row: Row) -> OutboxSummary:
    return OutboxSummary.model_validate(summary_values(row))


def story_document(story: Story) -> OutboxDocument:
    more = {
        "recipient_list": [_recipient(line) for line in story.lines],
        "concealed_events": [_event(told) for told in story.concealed],
        "attempts": [columns(AttemptDocument, one) for one in story.attempts],
        "timeline": [_entry(one) for one in story.timeline],
        "reasons": story.reasons,
        "sent_copy": story.message.sent_copy,
        "may_decide": story.may_decide,
        "may_settle": story.may_settle,
        "text": story.text,
        "uncertain": _uncertain(story.uncertain),
    }
    return OutboxDocument.model_validate(summary_values(story.row) | more)


def _uncertain(known: Uncertainty | None) -> dict[str, object] | None:
    if known is None:
        return None
    return {
        "recipients": [one.address for one in known.people],
        "since": known.since,
        "cause": known.cause,
        "version": known.version,
        "next_look": known.next_look,
        "looks": [columns(LookDocument, look) for look in known.looks],
    }


def _recipient(line: RecipientLine) -> dict[str, object]:
    more = {"is_suppressed", "events"}
    own = {name: getattr(line.recipient, name) for name in RecipientDocument.model_fields if name not in more}
    return own | {"is_suppressed": line.suppression is not None, "events": [_event(told) for told in line.events]}


def _entry(entry: Entry) -> dict[str, object]:
    own = {name: getattr(entry, name) for name in TimelineEntry.model_fields if name != "attempt"}
    return own | {"attempt": columns(AttemptDocument, entry.attempt) if entry.attempt is not None else None}


def _event(told: Told) -> dict[str, object]:
    event = told.event
    return {"kind": event.kind, "at": event.at, "words": told.words, "report": event.report_id}


def columns(document: type[BaseModel], row: Model) -> dict[str, object]:
    """The columns of `row` that the document names."""
    return {name: getattr(row, name) for name in document.model_fields}


def summary_values(row: Row) -> dict[str, object]:
    message = row.message
    return {
        "id": message.pk,
        "mailbox": message.mailbox_id,
        "author": message.author_id,
        "sender": message.sender,
        "from_header": message.from_header,
        "sender_step": message.sender_step,
        "to": message.to_header,
        "subject": message.subject,
        "message_id": message.message_id,
        "size": message.size,
        "attachment_count": message.attachment_count,
        "created_at": message.created_at,
        "scheduled_for": message.scheduled_for,
        "priority": PRIORITIES[message.priority],
        "state": row.state.value,
        "recipients": {state.value: number for state, number in row.counts.items()},
        "resend_of": message.resend_of_id,
    }
