"""What happened to one message, in order of time, as its rows tell (spec I9). Pure: the rows are given in.

A row keeps its last word: of what changed a moment more than once, such as another time to leave, the audit log tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format

from delivery.evidence import was_left_open
from delivery.models import Attempt, DeliveryEvent, Look, OutboxMessage, OutboxRecipient
from delivery.states import Origin, SentCopy, Sequel, State
from delivery.suppression import SUPPRESSED
from organizations.models import AuditEntry

PHASES: Final = {
    "before connecting": "getting ready",
    "connection": "connecting",
    "claim": "getting ready",
    "dns": "looking up the server",
    "tcp": "connecting",
    "tls": "securing the line",
    "greeting": "waiting for the greeting",
    "starttls": "securing the line",
    "capabilities": "introducing us",
    "login": "signing in",
    "sender": "naming sender and recipients",
    "message": "handing over the message",
}
DECISIONS: Final = {
    "outbox.cancelled": "Taken back",
    "outbox.rescheduled": "Put to another time",
    "outbox.hurried": "Told not to wait any longer",
    "outbox.retried": "Queued again",
    "outbox.sent_again": "Queued again, although it may have been sent",
    "outbox.marked_sent": "Marked as sent",
    "outbox.looked_for": "Asked to look for it",
    "outbox.retried_uncertain": "Queued again by itself",
    "outbox.copy_retried": "Copy in Sent tried again",
}
LOOKS: Final = {
    Look.Result.SENT: ("good", "Looked for: it was sent"),
    Look.Result.UNCLEAR: ("warn", "Looked for: found, but not for whom"),
    Look.Result.NOTHING: ("warn", "Looked for: nothing found"),
    Look.Result.PREVENTED: ("warn", "Looked for, but not everywhere"),
}
SEQUELS: Final = {
    Sequel.BOUNCED: ("bad", "Came back"),
    Sequel.DELAYED: ("warn", "Delayed on its way"),
    Sequel.COMPLAINT: ("bad", "Marked as spam"),
    Sequel.AUTO_REPLY: ("idle", "Answered automatically"),
}
NAMED: Final = 5  # recipients by address; the others are counted
SAME_MOMENT: Final = timedelta(seconds=5)  # between an outcome of a recipient and the end of its attempt


class Told(NamedTuple):
    """Something that became known later. page: of the message that told it, "" for who may not read that.

    words: of an automatic reply; empty for who may not read it, since it is mail.
    """

    event: DeliveryEvent
    page: str

    @property
    def words(self) -> str:
        return self.event.words if self.page else ""


class Step(StrEnum):
    WRITTEN = "written"
    SCHEDULED = "scheduled"
    UNDO = "undo"
    SUPPRESSED = "suppressed"
    ATTEMPT = "attempt"
    GIVEN_UP = "given_up"
    SET_ASIDE = "set_aside"
    DECISION = "decision"
    LOOK = "look"
    COPY = "copy"
    BOUNCED = "bounced"
    DELAYED = "delayed"
    COMPLAINT = "complaint"
    AUTO_REPLY = "auto_reply"
    RESENT = "resent"
    DUE = "due"


ICONS: Final = {
    Step.WRITTEN: "pen-line",
    Step.SCHEDULED: "calendar-clock",
    Step.UNDO: "undo-2",
    Step.SUPPRESSED: "ban",
    Step.ATTEMPT: "send",
    Step.GIVEN_UP: "x",
    Step.SET_ASIDE: "archive",
    Step.DECISION: "user",
    Step.LOOK: "search",
    Step.COPY: "save",
    Step.BOUNCED: "corner-up-left",
    Step.DELAYED: "clock",
    Step.COMPLAINT: "flag",
    Step.AUTO_REPLY: "reply",
    Step.RESENT: "send",
    Step.DUE: "clock",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. kind, title: what happened, as a word for programs and as one for people.

    tone:       "good", "warn", "bad", "idle" or "busy".
    by:         who did it; "" where it came by itself.
    recipients: whom it concerns; empty where that is all of them, or is not known one by one.
    page:       where more is to be read.
    """

    at: datetime
    kind: Step
    title: str
    tone: str = "idle"
    detail: str = ""
    by: str = ""
    recipients: tuple[str, ...] = ()
    attempt: Attempt | None = None
    page: str = ""

    @property
    def is_coming(self) -> bool:
        """It has not happened yet."""
        return self.kind is Step.DUE

    @property
    def icon(self) -> str:
        return ICONS[self.kind]

    @property
    def link(self) -> str:
        return "See that mail" if self.kind in (Step.WRITTEN, Step.RESENT) else "Read it"

    @property
    def people(self) -> str:
        return in_words(self.recipients)

    @property
    def facts(self) -> list[str]:
        """Of an attempt: what was answered in numbers, by whom, and how the line was secured."""
        attempt = self.attempt
        if attempt is None:
            return []
        code = " ".join(filter(None, (str(attempt.code or ""), attempt.enhanced_code)))
        phase = "" if attempt.was_taken or not attempt.phase else f"while {PHASES.get(attempt.phase, attempt.phase)}"
        return [fact for fact in (attempt.server, code, phase, attempt.tls) if fact]


@dataclass(frozen=True, slots=True)
class Rows:
    """What is known of a message. decisions: of the audit log; resends: those that the reader may see."""

    message: OutboxMessage
    recipients: Sequence[OutboxRecipient]
    attempts: Sequence[Attempt]
    told: Sequence[Told]
    looks: Sequence[Look]
    decisions: Sequence[AuditEntry]
    resends: Sequence[OutboxMessage]
    now: datetime

    def whom(self, concerned: Sequence[OutboxRecipient]) -> tuple[str, ...]:
        """Their addresses; empty where they are all there are."""
        if len(concerned) == len(self.recipients):
            return ()
        return tuple(one.address for one in concerned)


def in_words(addresses: Sequence[str]) -> str:
    """ "a@x, b@x and c@x", or the first few and how many others."""
    named, more = addresses[:NAMED], len(addresses) - NAMED
    if more > 0:
        return f"{', '.join(named)} and {more} other{'s' if more > 1 else ''}"
    return " and ".join([", ".join(named[:-1]), named[-1]]) if len(named) > 1 else "".join(named)


def timeline(rows: Rows) -> list[Entry]:
    """Everything that happened, oldest first; below it what comes next."""
    parts = (_beginning, _attempts, _ends, _decisions, _looks, _copy, _sequels, _resends)
    happened = sorted((entry for part in parts for entry in part(rows)), key=lambda entry: entry.at)
    return happened + sorted(_coming(rows), key=lambda entry: entry.at)


def _beginning(rows: Rows) -> Iterator[Entry]:
    message, author = rows.message, str(rows.message.author or "somebody who is no longer here")
    by = "" if message.origin == Origin.NOTICE else author
    title, page = "Written", ""
    if message.origin == Origin.NOTICE:
        title = "Written by the system"
    elif message.resend_of_id is not None:
        title, page = (
            "Sent once more, as a copy of an earlier mail",
            reverse("delivery:message", args=[message.resend_of_id]),
        )
    elif message.origin == Origin.API:
        title = "Asked for through the API"
    yield Entry(message.created_at, Step.WRITTEN, title, by=by, page=page)
    if left_out := [one for one in rows.recipients if one.bounce_reason == SUPPRESSED]:
        yield Entry(
            left_out[0].state_at,
            Step.SUPPRESSED,
            "Not sent: on the suppression list",
            "bad",
            detail=left_out[0].note,
            recipients=rows.whom(left_out),
        )
    if message.scheduled_for is not None:
        was_moved = any(entry.action == "outbox.rescheduled" for entry in rows.decisions)
        title = "Scheduled" if was_moved else f"Scheduled for {_moment(message.scheduled_for)}"
        yield Entry(message.created_at, Step.SCHEDULED, title)
    if message.undo_until is not None and message.undo_until <= rows.now and not _was_taken_back_in_time(rows):
        seconds = round((message.undo_until - message.created_at).total_seconds())
        yield Entry(
            message.undo_until, Step.UNDO, "The time to undo ended", detail=f"It was held back for {seconds} s."
        )


def _was_taken_back_in_time(rows: Rows) -> bool:
    until = rows.message.undo_until
    return until is not None and all(one.state == State.CANCELLED and one.state_at <= until for one in rows.recipients)


def _attempts(rows: Rows) -> Iterator[Entry]:
    for attempt in rows.attempts:
        tone, title = _outcome(attempt, len(rows.recipients))
        explained = str((attempt.explanation or {}).get("title", ""))
        detour = f"Another server than its own: {attempt.detour}" if attempt.detour else ""
        words = attempt.text.strip().partition("\n")[0] if not (attempt.was_lost or attempt.was_taken) else ""
        detail = " ".join(filter(None, (explained, detour))) or words
        yield Entry(attempt.started_at, Step.ATTEMPT, title, tone, detail=detail, attempt=attempt)


def _outcome(attempt: Attempt, total: int) -> tuple[str, str]:
    """The tone and the title of an attempt."""
    server = attempt.server.rpartition(":")[0] or "The server"
    if attempt.ended_at is None:
        return "busy", "Being handed over"
    taken = sum(200 <= reply["code"] < 300 for reply in attempt.replies)
    if attempt.replies and 0 < taken < len(attempt.replies):
        return "warn", f"{server} took it for {taken} of {len(attempt.replies)} recipients"
    if attempt.was_taken:
        return "good", f"{server} took it"
    if was_left_open(attempt):
        cause = "The worker stopped" if attempt.was_lost else "The connection broke"
        return "warn", f"{cause} after all of it was out, before an answer came"
    if attempt.was_lost:
        return "warn", "The worker stopped before all of it was out"
    if attempt.code >= 500:
        return "bad", f"{server} refused it"
    if attempt.code >= 400:
        return "warn", f"{server} put it off"
    return "warn", "It could not be handed over"


def _ends(rows: Rows) -> Iterator[Entry]:
    """Failures that no attempt tells of, such as the end of the time to try, and what a restored backup set aside."""
    by_pk = {attempt.pk: attempt for attempt in rows.attempts}
    ends: dict[tuple[datetime, str, Step], list[OutboxRecipient]] = {}
    for one in rows.recipients:
        attempt = by_pk.get(one.claim)
        if one.state == State.FAILED and one.bounce_reason != SUPPRESSED and not _tells_of(attempt, one):
            ends.setdefault((one.state_at, one.note, Step.GIVEN_UP), []).append(one)
        if one.state == State.UNCERTAIN and not was_left_open(attempt):
            ends.setdefault((one.state_at, one.note, Step.SET_ASIDE), []).append(one)
    for (at, note, kind), concerned in ends.items():
        title, tone = ("Given up", "bad") if kind is Step.GIVEN_UP else ("Nobody knows whether it was sent", "warn")
        yield Entry(at, kind, title, tone, detail=note, recipients=rows.whom(concerned))


def _tells_of(attempt: Attempt | None, recipient: OutboxRecipient) -> bool:
    """Whether the line of its attempt says already that it was refused for good."""
    if attempt is None or attempt.ended_at is None or abs(attempt.ended_at - recipient.state_at) > SAME_MOMENT:
        return False
    return attempt.code >= 500 or any(
        reply["code"] >= 500 and reply["address"] == recipient.address for reply in attempt.replies
    )


def _decisions(rows: Rows) -> Iterator[Entry]:
    for entry in rows.decisions:
        title = DECISIONS.get(entry.action)
        if title is None:
            continue
        number, total = entry.detail.get("recipients"), len(rows.recipients)
        detail = f"For {number} of {total} recipients." if isinstance(number, int) and number < total else ""
        moment = parse_datetime(str(entry.detail.get("scheduled_for", "")))
        if moment is not None:
            title = f"Put to {_moment(moment)}"
        yield Entry(entry.at, Step.DECISION, title, detail=detail, by=entry.actor_label if entry.actor_id else "")


def _looks(rows: Rows) -> Iterator[Entry]:
    for look in rows.looks:
        tone, title = LOOKS[Look.Result(look.result)]
        yield Entry(look.at, Step.LOOK, title, tone, detail=" ".join((*look.findings, look.verdict)))


def _copy(rows: Rows) -> Iterator[Entry]:
    message = rows.message
    at = message.sent_copy_claimed_at
    if at is None:
        return
    if message.sent_copy == SentCopy.FILED:
        yield Entry(at, Step.COPY, "Copy filed in Sent", "good")
    elif message.sent_copy == SentCopy.FAILED:
        yield Entry(at, Step.COPY, "No copy in Sent", "warn", detail=message.sent_copy_note)
    elif message.sent_copy == SentCopy.FILING:
        yield Entry(at, Step.COPY, "The copy is being filed in Sent", "busy")


def _sequels(rows: Rows) -> Iterator[Entry]:
    notes = {one.address: one.note for one in rows.recipients if one.state == State.BOUNCED}
    for told in rows.told:
        event = told.event
        kind = Sequel(event.kind)
        tone, title = SEQUELS[kind]
        detail = told.words or (notes.get(event.address, "") if kind is Sequel.BOUNCED else "")
        if not event.address:
            detail = "The provider does not say by whom."
        yield Entry(
            event.at,
            Step(kind.value),
            title,
            tone,
            detail=detail,
            recipients=(event.address,) if event.address else (),
            page=told.page,
        )


def _resends(rows: Rows) -> Iterator[Entry]:
    for copy in rows.resends:
        page = reverse("delivery:message", args=[copy.pk])
        by = str(copy.author or "")
        yield Entry(copy.created_at, Step.RESENT, "Sent once more, as a new message", by=by, page=page)


def _coming(rows: Rows) -> Iterator[Entry]:
    """The next moment at which something happens by itself, of each kind."""
    waiting = [one for one in rows.recipients if one.state == State.QUEUED and one.not_before > rows.now]
    if waiting:
        title = "Next try" if any(one.claim for one in waiting) else "Leaves"
        at = min(one.not_before for one in waiting)
        concerned = [one for one in waiting if one.not_before == at]
        yield Entry(at, Step.DUE, title, recipients=rows.whom(concerned), detail=concerned[0].note)
    planned = [one.look_at for one in rows.recipients if one.state == State.UNCERTAIN and one.look_at is not None]
    if planned and min(planned) > rows.now:
        yield Entry(min(planned), Step.DUE, "Looked for again")
    message = rows.message
    if message.sent_copy == SentCopy.WAITING and message.sent_copy_note and message.sent_copy_not_before is not None:
        at = max(message.sent_copy_not_before, rows.now)
        yield Entry(at, Step.DUE, "Copy in Sent tried again", detail=message.sent_copy_note)


def _moment(at: datetime) -> str:
    """In the time zone of whoever reads it."""
    return date_format(timezone.localtime(at), "j F Y, H:i")
