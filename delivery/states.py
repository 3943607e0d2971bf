"""The life of one recipient of one message (spec I1), as the table that everything else obeys.

    queued ──claim──▶ sending ──▶ sent
      ▲  ▲ │             │├─────▶ failed ────(a person: try again)────▶ queued
      │  │ └─(a person)  │└─────▶ uncertain ─(a trace, or a person: it was sent)──▶ sent
      │  │    ▼          │            └──────(a person: send again)───▶ queued
      │  │ cancelled     │
      │  └───later───────┘
      ├──────(a person: try again)──── bounced ◀──(a delivery report arrives)── sent, uncertain
      └── nothing was handed over: the sweeper gives it back

    queued, sending ──(the database was restored from a backup: perhaps sent since)──▶ uncertain

The database refuses every other move, whoever asks for it; docs/delivery.md draws the same for its readers.

Nothing is queued again from `uncertain` by itself, so nothing is ever sent twice by itself, but once from a mailbox
whose people prefer that (`Mailbox.retries_uncertain`). A report, or a trace that proves it was sent, settles it.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import models


class State(models.TextChoices):
    QUEUED = "queued", "Queued"
    SENDING = "sending", "Sending"
    SENT = "sent", "Sent"
    FAILED = "failed", "Failed"
    UNCERTAIN = "uncertain", "Possibly sent"
    CANCELLED = "cancelled", "Cancelled"
    BOUNCED = "bounced", "Came back"


class Origin(models.TextChoices):
    """Who wanted it sent."""

    PERSON = "person", "A person"
    API = "api", "A program, for the person whose token it has"
    NOTICE = "notice", "The system, to tell somebody something"  # written by delivery/notices.py; has no author


class Automatic(models.TextChoices):
    """Whether a program sent it by itself (RFC 3834, 5); "" where a person did, or stands behind it."""

    GENERATED = "generated", "By itself"
    REPLIED = "replied", "As an answer"


class Priority(models.IntegerChoices):
    """Who goes first where not everything can go at once: the smaller number (spec I5)."""

    PERSON = 1, "A person's mail"
    PROGRAM = 2, "A program's single mail"
    BULK = 3, "One of many"


class SentCopy(models.TextChoices):
    """Where the copy in the Sent folder stands; its own task, once (spec I6)."""

    NOT_WANTED = "not_wanted", "Not wanted"
    WAITING = "waiting", "Waiting"
    FILING = "filing", "Being filed"
    FILED = "filed", "Filed"
    FAILED = "failed", "Failed"


class Bounce(models.TextChoices):
    """Whether a later mail to the same address would arrive (`protocols.message.reports.Kind`)."""

    HARD = "hard", "For good"
    SOFT = "soft", "This time"


class Sequel(models.TextChoices):
    """What becomes known of a mail after it has left."""

    BOUNCED = "bounced", "Came back"
    DELAYED = "delayed", "Delayed"
    COMPLAINT = "complaint", "Marked as spam"
    AUTO_REPLY = "auto_reply", "Answered automatically"


class Cause(models.TextChoices):
    """Why an address gets no mail any more."""

    BOUNCE = "bounce", "Mail came back"
    COMPLAINT = "complaint", "Marked as spam"
    BY_HAND = "by_hand", "Put here by hand"


class Kind(models.TextChoices):
    """In which header field the recipient stands; a blind copy stands in none."""

    TO = "to", "To"
    CC = "cc", "Cc"
    BCC = "bcc", "Bcc"


MOVES: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.SENDING, State.CANCELLED, State.UNCERTAIN}),
    State.SENDING: frozenset({State.SENT, State.FAILED, State.UNCERTAIN, State.QUEUED}),
    State.UNCERTAIN: frozenset({State.SENT, State.QUEUED, State.BOUNCED}),
    State.FAILED: frozenset({State.QUEUED}),
    State.SENT: frozenset({State.BOUNCED}),
    State.BOUNCED: frozenset({State.QUEUED}),
    State.CANCELLED: frozenset(),
}

WORST_FIRST = (
    State.UNCERTAIN,
    State.FAILED,
    State.BOUNCED,
    State.SENDING,
    State.QUEUED,
    State.CANCELLED,
    State.SENT,
)


class IllegalMove(ValueError):
    """A transition that the table does not know: a mistake in the program, never a race."""


def worst(states: Iterable[State]) -> State:
    """The state that a message with these recipients shows: what needs a person comes first."""
    present = set(states)
    return next((state for state in WORST_FIRST if state in present), State.QUEUED)


class Decision(models.TextChoices):
    """What may be decided about many messages at once."""

    RESEND = "resend", "Send once more"
    TRY_AGAIN = "try-again", "Try again"


class RunState(models.TextChoices):
    """Where a decision about many messages stands."""

    RUNNING = "running", "Running"
    FINISHED = "finished", "Finished"
    STOPPED = "stopped", "Stopped"
