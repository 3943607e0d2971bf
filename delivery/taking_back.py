"""Undo after Send, and scheduled mail back into the composer: a mail of which nothing has left opens as it was (I5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef
from django.forms import FileField, Form

from delivery.drafting import Draft, chosen_files
from delivery.models import OutboxMessage, OutboxRecipient, Typed
from delivery.states import State, worst
from mailstore.models import Message
from organizations.models import UndoPeriod, User
from protocols.message.build import Attachment
from protocols.message.content import open_message

FOLLOWED = timedelta(seconds=20)  # for so long after the time to undo a page tells what became of it
KEPT = timedelta(days=7)  # what was typed, after a mail was taken back
FORGOTTEN = frozenset({"submission_key", "next", "send_at", "send_on"})  # fields that mean nothing a second time
WORDS = {
    State.SENT: "was sent.",
    State.FAILED: "could not be sent.",
    State.UNCERTAIN: "may have been sent; nobody knows for certain.",
    State.BOUNCED: "came back.",
}


@dataclass(frozen=True, slots=True)
class Undoable:
    """A mail that was just sent from the pages.

    left: seconds in which it can be taken back; 0: no more. states: of those recipients who were not taken off it.
    """

    message: OutboxMessage
    state: State
    left: int
    states: tuple[State, ...]

    @property
    def is_sent(self) -> bool:
        return self.state is State.SENT

    @property
    def is_trouble(self) -> bool:
        return self.state in (State.FAILED, State.UNCERTAIN, State.BOUNCED)

    @property
    def is_over(self) -> bool:
        """Nothing more will happen that one would wait for."""
        return self.is_sent or self.is_trouble

    @property
    def words(self) -> str:
        """What became of it, as the end of a sentence that begins with its subject."""
        everybody, sent = len(self.states), self.states.count(State.SENT)
        if self.is_trouble and sent:
            return f"was sent to {sent} of {everybody}."
        if self.state is State.FAILED and (failed := self.states.count(State.FAILED)) < everybody:
            return f"could not be sent to {failed} of {everybody}."
        return WORDS.get(self.state, "is on its way.")


@dataclass(frozen=True, slots=True)
class Reopened:
    """A mail that was taken back, as the composer shows it again. draft: its files are those of the mail itself."""

    message: OutboxMessage
    typed: Typed
    draft: Draft

    @property
    def submission_key(self) -> str:
        """The same in every window that opens it: it is sent once more at most."""
        return f"reopened-{self.message.pk}"

    def files(self, paths: list[str]) -> list[Attachment]:
        return chosen_files(self.message.raw, paths)


def remember(message: OutboxMessage, kind: str, original: Message | None, form: Form) -> None:
    """Keep what was typed, in the transaction that queues `message`."""
    fields = {
        name: form[name].value()
        for name, field in form.fields.items()
        if name not in FORGOTTEN and not isinstance(field, FileField)
    }
    Typed.objects.create(message=message, kind=kind, original=original, fields=fields)


def undoable(user: User, now: datetime) -> list[Undoable]:
    """What `user` has just sent from the pages, oldest first."""
    recent = OutboxMessage.objects.filter(author=user, undo_until__gt=now - FOLLOWED)
    states = OutboxRecipient.objects.filter(message__in=recent).order_by().values_list("message_id", "state")
    found: dict[int, list[State]] = {}
    for pk, state in states:
        found.setdefault(pk, []).append(State(state))
    return [one for row in recent.order_by("pk") if (one := _undoable(row, found.get(row.pk, []), now))]


def _undoable(message: OutboxMessage, states: list[State], now: datetime) -> Undoable | None:
    state = worst(states)
    if state is State.CANCELLED or message.undo_until is None:
        return None
    left = -(-(message.undo_until - now) // timedelta(seconds=1)) if state is State.QUEUED else 0
    wanted = tuple(one for one in states if one is not State.CANCELLED)
    return Undoable(message, state, min(max(0, left), max(UndoPeriod.values)), wanted)


def can_be_reopened(message: OutboxMessage) -> bool:
    """Whether nothing of it has left, and what was typed is still there. One query."""
    left = OutboxRecipient.objects.filter(message=OuterRef("message")).exclude(state=State.CANCELLED)
    return Typed.objects.filter(~Exists(left), message=message).exists()


def reopened(message: OutboxMessage) -> Reopened | None:
    """The mail as it was typed; None where something of it has left, or where nothing was kept of it."""
    typed = Typed.objects.filter(message=message).select_related("original__mailbox").first()
    if typed is None or message.recipients.exclude(state=State.CANCELLED).exists():
        return None
    fields = typed.fields
    draft = Draft(
        subject=str(fields.get("subject") or ""),
        quote=str(fields.get("quote") or ""),
        files=open_message(message.raw).attachments,
    )
    return Reopened(message, typed, draft)


def forget(now: datetime) -> int:
    """Remove what was typed for mail that has left, or that was taken back long ago; return how many."""
    recipients = OutboxRecipient.objects.filter(message=OuterRef("message"))
    waits = Exists(recipients.filter(state=State.QUEUED))
    taken_back = Exists(recipients.filter(state=State.CANCELLED, state_at__gt=now - KEPT))
    settled = Typed.objects.filter(~waits, ~taken_back, message__created_at__lt=now - timedelta(minutes=5))
    return settled.delete()[0]
