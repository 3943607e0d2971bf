"""One decision about all messages that the filters leave: counted and shown first, then carried out in the background.

What is decided about are the messages that were counted, not what would be found later. Each has its turn in a
transaction of its own together with the place in the run: a worker that stops in between leaves neither half nor double
work. Everything is asked anew at each turn: whether the author is still there, may decide, and may send.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from delivery import deciding, log
from delivery.log_filters import Filters
from delivery.models import LogRun, OutboxMessage
from delivery.models.log import RUN_LEASE
from delivery.outbox import CannotBeQueued
from delivery.states import Decision, RunState, State
from organizations import audit, live, stopping
from organizations.models import User
from organizations.nudging import nudge
from organizations.operations import Operation

MOST = 10_000  # messages of one run
SHOWN = 5  # messages of the preview
TURN = 10.0  # seconds; then what else waits for a worker has its turn
BATCH = 20  # messages between two looks at whether it shall go on
REASONS = 20  # different ones that are kept

TOO_MANY = f"More than {MOST:,} messages fit these filters. Narrow them, for instance to a day."
NONE = "No message fits these filters."
UNSETTLED = "It is still on its way."
UNCERTAIN = "Nobody knows whether it arrived; this is decided message by message."
CANCELLED = "It was cancelled before it left."
NOT_YOURS = "Only its author, or who may send from its email account, decides about it."
AS_IT_WAS = "It had moved on meanwhile."
GONE = "It is no longer in the log."


class CannotRun(ValueError):
    """A decision about these messages cannot be carried out; the text is a sentence for whoever asked."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a decision would be about. keys: oldest first; shown: the newest few."""

    keys: list[int]
    shown: list[log.Row]

    @property
    def total(self) -> int:
        return len(self.keys)

    @property
    def others(self) -> int:
        return self.total - len(self.shown)


def preview(user: User, decision: Decision, filters: Filters, now: datetime) -> Preview:
    """Count what a decision would be about. Raises CannotRun where that is nothing, or too much."""
    keys: set[int] = set()
    for narrowed in _concerned(decision, filters):
        keys.update(log.search(user, narrowed, now).keys(MOST + 1))
    if not keys:
        raise CannotRun(NONE)
    if len(keys) > MOST:
        raise CannotRun(TOO_MANY)
    ordered = sorted(keys)
    return Preview(ordered, log.rows_of(ordered[: -SHOWN - 1 : -1]))


def _concerned(decision: Decision, filters: Filters) -> list[Filters]:
    """Trying again concerns what failed or came back, whatever else is asked for."""
    if decision == Decision.RESEND:
        return [filters]
    lost = [state for state in (State.FAILED, State.BOUNCED) if filters.state in ("", state)]
    return [replace(filters, state=state) for state in lost]


def start(
    user: User, decision: Decision, keys: list[int], words: dict[str, str], now: datetime, *, submission_key: str
) -> LogRun:
    """Write the run down and nudge a worker; the same key a second time is the run that there is already.

    words: what narrowed the log, for those who look at the run later.
    """
    try:
        with transaction.atomic():
            run = LogRun.objects.create(
                organization_id=user.organization_id,
                author=user,
                submission_key=submission_key,
                decision=decision,
                filters=words,
                keys=keys,
                total=len(keys),
                created_at=now,
            )
            detail: dict[str, object] = {"decision": str(decision.label), "messages": len(keys), **words}
            audit.record("outbox.run_started", organization=user.organization, actor=user, target=run, detail=detail)
    except IntegrityError:
        earlier = LogRun.objects.filter(author=user, submission_key=submission_key).first()
        if earlier is None:
            raise
        return earlier
    _nudge(run.pk)
    return run


def may_stop(user: User, run: LogRun) -> bool:
    return run.author_id == user.pk or user.may(Operation.MANAGE_EMAIL_ACCOUNTS)


def stop(run: LogRun, user: User, now: datetime) -> bool:
    """End it before the next message; what has been done stays done. False where it had ended already."""
    ended = LogRun.objects.filter(pk=run.pk, state=RunState.RUNNING)
    stopped = ended.update(state=RunState.STOPPED, ended_at=now, note=f"Stopped by {user}.")
    if stopped:
        audit.record("outbox.run_stopped", organization=run.organization, actor=user, target=run)
        live.announce(run.organization_id, "run", run.pk)
    return bool(stopped)


def carry_on(pk: int) -> None:
    """Carry a run out, or go on where another worker stopped. A second worker, or a stale key, does nothing."""
    claim = LogRun.objects.claim(pk, timezone.now())
    if claim is None:
        return
    ends_at = monotonic() + TURN
    while True:
        now = timezone.now()
        run = LogRun.objects.held(pk, claim).select_related("author", "organization").first()
        if run is None:
            return
        if run.author is None or not run.author.is_active:
            _end(run, claim, now, RunState.STOPPED, "Whoever decided it may no longer sign in.")
            return
        for place in range(run.place, min(run.place + BATCH, run.total)):
            if not _take(run, run.author, claim, place):
                return
        if run.place + BATCH >= run.total:
            _end(run, claim, timezone.now(), RunState.FINISHED, "")
            return
        if stopping.is_asked() or monotonic() > ends_at:
            LogRun.objects.held(pk, claim).update(leased_until=None)
            live.announce(run.organization_id, "run", pk)
            _nudge(pk)
            return
        LogRun.objects.held(pk, claim).update(leased_until=timezone.now() + RUN_LEASE)
        live.announce(run.organization_id, "run", pk)


def _take(run: LogRun, author: User, claim: int, place: int) -> bool:
    """Let one message have its turn; False where this worker no longer carries the run out."""
    now = timezone.now()
    with transaction.atomic():
        mine = LogRun.objects.held(run.pk, claim).filter(place=place)
        if not mine.update(place=place + 1):
            return False
        reason = _decide(run, author, run.keys[place], now)
        if not reason:
            LogRun.objects.filter(pk=run.pk).update(done=F("done") + 1)
            return True
        reasons = Counter(run.reasons)
        reasons[reason if reason in reasons or len(reasons) < REASONS else "Another reason."] += 1
        run.reasons = dict(reasons)
        LogRun.objects.filter(pk=run.pk).update(skipped=F("skipped") + 1, reasons=run.reasons)
    return True


def _decide(run: LogRun, author: User, key: int, now: datetime) -> str:
    """Act on one message; return why not, in a sentence, or ""."""
    message = OutboxMessage.objects.filter(pk=key, organization_id=run.organization_id).first()
    if message is None:
        return GONE
    if not deciding.may_decide(author, message, now):
        return NOT_YOURS
    act = _resend if run.decision == Decision.RESEND else _try_again
    try:
        return act(run, message, author, now)
    except (CannotBeQueued, PermissionDenied) as exc:
        return str(exc)


def _resend(run: LogRun, message: OutboxMessage, author: User, now: datetime) -> str:
    states = set(message.recipients.values_list("state", flat=True))
    if states & {State.QUEUED, State.SENDING}:
        return UNSETTLED
    if State.UNCERTAIN in states:
        return UNCERTAIN
    if states == {State.CANCELLED}:
        return CANCELLED
    deciding.resend(message, author, now, submission_key=f"run-{run.pk}-{message.pk}", in_bulk=True)
    return ""


def _try_again(run: LogRun, message: OutboxMessage, author: User, now: datetime) -> str:
    return "" if deciding.try_again(message, author, now) else AS_IT_WAS


def _end(run: LogRun, claim: int, now: datetime, state: RunState, note: str) -> None:
    LogRun.objects.held(run.pk, claim).update(state=state, ended_at=now, note=note, leased_until=None)
    live.announce(run.organization_id, "run", run.pk)


def _nudge(pk: int) -> None:
    from delivery.tasks import carry_on_run  # it calls this module

    nudge(carry_on_run, pk)
