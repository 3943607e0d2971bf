"""The answers under a message of the log: what happened, why from there, what can be done (spec I9)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from accounts.models import Mailbox
from delivery import suppression, taking_back
from delivery.deciding import may_decide, may_settle
from delivery.log import Row, rows
from delivery.models import Attempt, Look, OutboxMessage, OutboxOctets, OutboxRecipient, Suppression
from delivery.senders import SenderStep, why_this_sender
from delivery.states import Bounce, Origin, SentCopy, Sequel, State
from delivery.timeline import Entry, Rows, Told, in_words, timeline
from delivery.uncertainty import Uncertainty, uncertainty_of
from mailstore.models import Message
from mailstore.rows import conversation_url
from organizations.models import AuditEntry, User
from organizations.operations import Operation
from protocols.diagnosis import Who
from protocols.message.content import open_message

LONGEST_TEXT = 20_000  # characters
WHO = {
    Who.USER: "You can do this",
    Who.ADMINISTRATOR: "An administrator can do this",
    Who.PROVIDER: "The provider can do this",
    Who.WAIT: "Nothing to do but wait",
}
KINDS = {
    State.QUEUED: "idle",
    State.SENDING: "busy",
    State.SENT: "good",
    State.FAILED: "bad",
    State.UNCERTAIN: "warn",
    State.CANCELLED: "idle",
    State.BOUNCED: "bad",
}


class Button(NamedTuple):
    """hint: what it does, for the tooltip."""

    name: str
    words: str
    icon: str
    kind: str
    hint: str


LOST = frozenset((State.FAILED, State.BOUNCED))  # who did not get it
RESENDS = 20  # newest copies of a message that its timeline names
QUESTIONS = {
    "try-again": "It goes once more to {people}, who did not get it.",
    "resend": "The same mail goes to {people} as a new message. Whoever has it already gets it a second time.",
}
BUTTONS = (
    Button("try-again", "Send again to those who failed", "rotate-cw", "primary", "Queues those who did not get it."),
    Button("send-now", "Try now", "rotate-cw", "", "Does not wait for the next try."),
    Button("save-copy", "Save the copy again", "save", "", "Files the copy in the Sent folder. Nothing is sent."),
    Button("resend", "Send once more", "send", "", "Sends the same mail to the same people, as a new message."),
    Button("cancel", "Cancel", "x", "danger", "Takes back what has not been sent."),
)


class RecipientLine(NamedTuple):
    """A recipient on the page of its message. report: the page that shows the last delivery report, or ""."""

    recipient: OutboxRecipient
    report: str
    events: Sequence[Told]
    suppression: Suppression | None

    @property
    def is_doubtful(self) -> bool:
        """It came back for good or was complained about, and is not on the list: somebody has to decide."""
        if self.suppression is not None:
            return False
        complained = any(told.event.kind == Sequel.COMPLAINT for told in self.events)
        return complained or self.recipient.bounce == Bounce.HARD


@dataclass(frozen=True, slots=True)
class Story:
    """Everything the page of one message shows; as many queries for one recipient as for a hundred.

    may_edit: it was taken back by its author, and opens again as it was typed.
    text:    what was written, for those who may read it; None for the others, and where it is no longer kept.
    is_kept: whether its octets are.
    reports: where the delivery reports that this person may read are shown, by their keys.
    events:  what became known after it had left, by address; that of complaints that conceal it is "".
    suppressed: those who get no mail any more, by address.
    """

    row: Row
    recipients: list[OutboxRecipient]
    attempts: list[Attempt]
    looks: list[Look]
    timeline: list[Entry]
    reasons: list[str]
    may_decide: bool
    may_settle: bool
    may_edit: bool
    now: datetime
    text: str | None
    is_kept: bool
    reports: Mapping[int, str]
    events: Mapping[str, Sequence[Told]]
    suppressed: Mapping[str, Suppression]
    may_suppress: bool

    @property
    def lines(self) -> list[RecipientLine]:
        return [
            RecipientLine(
                one,
                self.reports.get(one.report_id or 0, ""),
                self.events.get(one.address, ()),
                self.suppressed.get(one.address),
            )
            for one in self.recipients
        ]

    @property
    def concealed(self) -> Sequence[Told]:
        """What was told of one of several recipients, without saying of which."""
        return self.events.get("", ())

    @property
    def message(self) -> OutboxMessage:
        return self.row.message

    @property
    def copy_in_sent(self) -> str:
        """Where the copy stands; of mail that never left there is none to wait for."""
        if self.message.sent_copy == SentCopy.WAITING and self.row.state in (State.FAILED, State.CANCELLED):
            return "None, since nothing was sent"
        return self.message.get_sent_copy_display()

    @property
    def next_try(self) -> datetime | None:
        """When the next try is due; None where none is, or where it is due already."""
        waiting = min((one.not_before for one in self.recipients if one.state == State.QUEUED), default=None)
        return waiting if waiting is not None and waiting > self.now else None

    @property
    def explanation(self) -> dict[str, object] | None:
        """The doctor's newest diagnosis, as long as something is unsettled or failed."""
        if self.row.state in (State.SENT, State.CANCELLED, State.BOUNCED):
            return None
        return next((attempt.explanation for attempt in reversed(self.attempts) if attempt.explanation), None)

    @property
    def uncertain(self) -> Uncertainty | None:
        """What is known where nobody knows whether it was sent."""
        return uncertainty_of(self.message, self.recipients, self.attempts, self.looks, self.now)

    @property
    def waiting_note(self) -> str:
        return next((one.note for one in self.recipients if one.state == State.QUEUED and one.note), "")

    @property
    def failure_note(self) -> str:
        return next((one.note for one in self.recipients if one.state in LOST and one.note), "")

    @property
    def newest_change(self) -> datetime | None:
        """When the state that the message shows was reached last."""
        return max((one.state_at for one in self.recipients if one.state == self.row.state), default=None)

    @property
    def resend_key(self) -> str:
        """One resend per look at the page: a double click makes one message."""
        return uuid.uuid4().hex

    @property
    def buttons(self) -> list[Button]:
        """Those that act at once."""
        return [button for button in BUTTONS if button.name in self.decisions and button.name not in QUESTIONS]

    @property
    def questions(self) -> list[tuple[Button, str]]:
        """Those that send again, each with what will happen and to whom: they ask before they act."""
        asking = [button for button in BUTTONS if button.name in self.decisions and button.name in QUESTIONS]
        return [(button, QUESTIONS[button.name].format(people=self._people(button.name))) for button in asking]

    def _people(self, decision: str) -> str:
        """Whom a decision to send again concerns."""
        if decision == "try-again":
            return in_words([address for address in self._lost if address not in self.suppressed])
        return in_words([one.address for one in self.recipients])

    @property
    def _lost(self) -> list[str]:
        """Who did not get it."""
        return [one.address for one in self.recipients if one.state in LOST]

    @property
    def barred(self) -> list[str]:
        """Who did not get it, and cannot get it again before the address is taken off the suppression list."""
        if not self.may_decide or not self.is_kept:
            return []
        return [address for address in self._lost if address in self.suppressed]

    @property
    def barred_words(self) -> str:
        verb = "stands" if len(self.barred) == 1 else "stand"
        return f"{in_words(self.barred)} {verb} on the suppression list, so it does not go there again."

    @property
    def decisions(self) -> frozenset[str]:
        """Which buttons make sense now, for whoever may decide."""
        if not self.may_decide:
            return frozenset()
        states = set(self.row.counts)
        possible = {
            "cancel": State.QUEUED in states,
            "send-now": self.next_try is not None,
            "try-again": self.is_kept and any(address not in self.suppressed for address in self._lost),
            "resend": self.is_kept and states <= {State.SENT, State.CANCELLED},
            "save-copy": self.message.sent_copy == SentCopy.FAILED,
        }
        return frozenset(name for name, sensible in possible.items() if sensible)


def story_of(message: OutboxMessage, user: User, now: datetime) -> Story:
    [row] = rows([message])
    is_kept = OutboxOctets.objects.filter(message=message).exists()
    recipients, attempts = list(message.recipients.all()), list(message.attempts.all())
    events, looks = list(message.events.all()), list(message.looks.all())
    pks = [one.report_id for one in recipients] + [event.report_id for event in events]
    reports = readable_reports(pks, user, now)
    told = [Told(event, reports.get(event.report_id or 0, "")) for event in events]
    by_address: dict[str, list[Told]] = {}
    for one in told:
        by_address.setdefault(one.event.address, []).append(one)
    known = Rows(
        message=message,
        recipients=recipients,
        attempts=attempts,
        told=told,
        looks=looks,
        decisions=_decided(message),
        resends=_resent(message, user, now),
        now=now,
    )
    return Story(
        row=row,
        recipients=recipients,
        attempts=attempts,
        looks=looks,
        timeline=timeline(known),
        reasons=reasons(message),
        may_decide=may_decide(user, message, now),
        may_settle=may_settle(user, message, now),
        may_edit=message.author_id == user.pk and taking_back.can_be_reopened(message),
        now=now,
        text=_text(message) if is_kept and _may_read(message, user, now) else None,
        is_kept=is_kept,
        reports=reports,
        events=by_address,
        suppressed=suppression.among(message.organization_id, [one.address for one in recipients]),
        may_suppress=user.may(Operation.MANAGE_EMAIL_ACCOUNTS),
    )


def _decided(message: OutboxMessage) -> list[AuditEntry]:
    """What people decided about it, as the audit log keeps it. One query."""
    about = AuditEntry.objects.filter(object_type="outboxmessage", object_id=str(message.pk))
    return list(
        about.filter(organization=message.organization_id, outcome=AuditEntry.Outcome.DONE).order_by("at", "pk")
    )


def _resent(message: OutboxMessage, user: User, now: datetime) -> list[OutboxMessage]:
    """Its newest copies that `user` may see. One query."""
    visible = OutboxMessage.objects.visible_to(user, now).filter(resend_of=message).select_related("author")
    return list(visible.only("created_at", "author").order_by("-pk")[:RESENDS])


def readable_reports(pks: Iterable[int | None], user: User, now: datetime) -> dict[int, str]:
    """Where those reports that `user` may read are shown, by their keys. One query."""
    told = {pk for pk in pks if pk is not None}
    if not told:
        return {}
    readable = Message.objects.readable_by(user, now).live().filter(pk__in=told)
    return {
        pk: conversation_url(conversation, message=pk)
        for pk, conversation in readable.values_list("pk", "conversation")
    }


def _may_read(message: OutboxMessage, user: User, now: datetime) -> bool:
    """Who sees that a mail was sent does not see what it says: only its author and readers of the mailbox do (F3)."""
    if message.author_id == user.pk:
        return True
    if message.origin == Origin.NOTICE:
        return False
    return Mailbox.objects.readable_by(user, now).filter(pk=message.mailbox_id or 0).exists()


def _text(message: OutboxMessage) -> str:
    text = open_message(message.raw).text or ""
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}\n[...]"


def reasons(message: OutboxMessage) -> list[str]:
    """Why it was sent from there, and through which server, in sentences."""
    author = str(message.author) if message.author else "Somebody who is no longer here"
    if message.origin == Origin.NOTICE:
        told = ["It tells somebody of you what happened, and was written by the system. It left the default account."]
    elif message.origin == Origin.API:
        told = [f"A program with a token of {author} asked for it through the API, from {message.sender}."]
    elif message.resend_of_id:
        told = [f"{author} sent an earlier mail once more; it keeps the From address of that one."]
    elif message.answers_id:
        told = [f"{author} answered a message and chose {message.sender} in From."]
    elif message.sender_step != SenderStep.CHOSEN:
        told = [f"A program of {author} sent it, and From shows {message.from_header}."]
    else:
        told = [f"{author} chose {message.sender} in From."]
    if why := why_this_sender(message.sender_step):
        told.append(why)
    mailbox = message.mailbox
    if mailbox is None:
        told.append("The email account has been deleted since.")
    elif mailbox.mail_server is not None:
        server = mailbox.mail_server
        told.append(f"{mailbox} sends through the mail server “{server}” ({server.host}:{server.port}).")
    elif mailbox.smtp_host:
        told.append(f"{mailbox} sends with its own login at {mailbox.smtp_host}:{mailbox.smtp_port}.")
    else:
        told.append(f"{mailbox} has no outgoing server now.")
    return told
