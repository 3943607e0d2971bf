"""Writing down what became of an attempt, recipient by recipient; every write names the claim (spec I2, I3).

Each method is one short transaction. Whoever has lost the claim changes no recipient any more.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from time import monotonic

from django.db import transaction
from django.db.models import DateTimeField, Q, Value
from django.db.models.functions import Least
from django.utils import timezone

from delivery import suppression
from delivery.hindrances import Hindrance
from delivery.models import LEASE, LONGEST_NOTE, Attempt, Ended, OutboxMessage, OutboxRecipient, Suppression
from delivery.news import tell_of_end, tell_of_outcome
from delivery.retrying import LATE, next_try
from delivery.statements import Taken
from delivery.states import Origin, SentCopy, State
from organizations import live
from protocols.diagnosis import Diagnosis, Retry
from protocols.errors import MailError
from protocols.smtp.session import RecipientReply

KEPT_EVERY = 60.0  # seconds
LONGEST_REPLY = 4000
ENDS = ("ended_at", "phase", "tls", "explanation", "code", "enhanced_code", "text", "replies")  # columns of an attempt
DEATHS = 3  # after so many lost workers the message is set aside (fault R31)

UNKNOWN_OUTCOME = "The server's answer was lost, so it may have been sent. It is not sent again by itself."
LOST_AGAIN = f"The worker stopped in the middle of it {DEATHS} times, so it was set aside."
STUMBLED = "The database could not be reached before anything was handed over; it is tried again."
LOST_ONCE = "The worker stopped before anything was handed over; it is tried again."


class ClaimLost(Exception):
    """Another worker, or the sweeper, has taken over: this one must not hand the message over."""


class Ledger:
    """The outcomes of one attempt. `recipients` are those it has claimed, as they were at the claim."""

    def __init__(
        self, attempt: Attempt, message: OutboxMessage, recipients: Sequence[OutboxRecipient] | None = None
    ) -> None:
        held = _held(attempt) if recipients is None else recipients
        self.attempt = attempt
        self.message = message
        self.recipients = {recipient.address: recipient for recipient in held}
        self._kept_at = monotonic()

    @property
    def addresses(self) -> list[str]:
        return list(self.recipients)

    @property
    def has_run_out(self) -> bool:
        """Whether no recipient has time left. What was due at the very end may still begin."""
        now = timezone.now()
        return all(recipient.expires_at + LATE < now for recipient in self.recipients.values())

    def mark_final_dot(self) -> None:
        """Called just before the last octets leave. Raises ClaimLost, and then they must not."""
        if not self.attempt.mark_final_dot(timezone.now()):
            raise ClaimLost(f"Attempt {self.attempt.pk} lost its claim before the final dot.")

    def keep_claim(self, octets: int) -> None:
        """Called as it goes on, so that a large message, or many recipients, outlive their lease. Raises ClaimLost."""
        if monotonic() - self._kept_at < KEPT_EVERY:
            return
        self._kept_at = monotonic()
        if not OutboxRecipient.objects.held(self.attempt.claim).update(claimed_at=timezone.now()):
            raise ClaimLost(f"Attempt {self.attempt.pk} lost its claim after {octets} octets.")

    def marked(self, now: datetime) -> None:
        """The mark was committed with something else."""
        self.attempt.final_dot_at = now
        self.attempt.renew_lease(now)

    def taken(self, replies: Sequence[RecipientReply], tls: str) -> Taken | None:
        """What is to be written where the server has taken the message for all with the same words; else None."""
        first = replies[0]
        if not all(one.accepted and (one.code, one.text) == (first.code, first.text) for one in replies):
            return None
        return Taken(
            message=self.message,
            claim=self.attempt.claim,
            ended_at=timezone.now(),
            reply=_cut(f"{first.code} {first.text}".strip()),
            code=first.code,
            enhanced_code=first.enhanced,
            text=_cut(first.text),
            replies=json.dumps(_as_rows(replies)),
            tls=tls[:20],
        )

    def accepted(self, addresses: Sequence[str], reply: str) -> None:
        """The server has taken responsibility for them; now a copy in the Sent folder makes sense."""
        now = timezone.now()
        with transaction.atomic():
            settled = OutboxRecipient.objects.settle(self.attempt.claim, addresses, State.SENT, now, reply=_cut(reply))
            if settled and self.message.sent_copy == SentCopy.WAITING:
                OutboxMessage.objects.filter(pk=self.message.pk).want_copy(now)

    def refused(
        self, addresses: Sequence[str], diagnosis: Diagnosis, reply: str, *, earliest: datetime | None = None
    ) -> None:
        """Try again when the rule says so and there is time left; failed for good otherwise.

        earliest: when its way out is open again.
        """
        now, ended = timezone.now(), Ended()
        with transaction.atomic():
            for address in addresses:
                recipient = self.recipients[address]
                moment = next_try(
                    diagnosis.retry,
                    recipient.tries,
                    now=now,
                    expires_at=recipient.expires_at,
                    chance=random.random(),  # noqa: S311
                    rule=diagnosis.code,
                    reply=reply,
                    earliest=earliest,
                )
                if moment is None:
                    ended += self._fail([address], _final_note(diagnosis, recipient, now), now, reply)
                else:
                    OutboxRecipient.objects.requeue(
                        self.attempt.claim,
                        [address],
                        now,
                        not_before=moment,
                        reply=_cut(reply),
                        note=diagnosis.title,
                        waits_for_way=earliest is not None or diagnosis.retry is Retry.NEXT_DAY,
                    )
            self._tell_end(ended, now)

    def wait(self, hindrance: Hindrance) -> None:
        """Give all back without counting a try, since nobody was asked; what has run out of time fails. Nothing waits
        beyond its time: it ends there, with a last look.

        A notice of ours waits for nobody: account mail takes it.
        """
        cause, not_before, reply = hindrance.note, hindrance.until, hindrance.reply
        if self.message.origin == Origin.NOTICE or not_before is None:
            self.fail(cause if not_before is None else f"It goes by account mail instead: {cause}", reply)
            return
        now = timezone.now()
        with transaction.atomic():
            late = [address for address, one in self.recipients.items() if one.expires_at <= now]
            self._tell_end(self._fail(late, f"Given up after two days: {cause}", now, reply), now)
            OutboxRecipient.objects.requeue(
                self.attempt.claim,
                set(self.recipients) - set(late),
                now,
                not_before=Least("expires_at", Value(not_before, output_field=DateTimeField())),
                reply=_cut(reply),
                note=f"It waits: {cause}"[:LONGEST_NOTE],
                counts=False,
                waits_for_way=True,
            )

    def suppress(self, addresses: Sequence[str], diagnosis: Diagnosis, reply: str) -> None:
        """Put those on the suppression list who were refused for good, where the words say that later mail would be."""
        if diagnosis.retry is Retry.STOP and reply[:1] == "5":
            suppression.enter_refused(self.message, addresses, _cut(reply), timezone.now())

    def again(self, note: str, reply: str, now: datetime) -> None:
        """Give all back at once, without counting a try: what was refused is said otherwise the next time."""
        OutboxRecipient.objects.requeue(
            self.attempt.claim,
            self.addresses,
            now,
            not_before=now,
            reply=_cut(reply),
            note=note[:LONGEST_NOTE],
            counts=False,
        )

    def leave_out(self, suppressed: Mapping[str, Suppression]) -> None:
        """Fail those whose address came onto the suppression list while they waited; the others stay claimed."""
        now = timezone.now()
        with transaction.atomic():
            ended = Ended()
            for address, row in suppressed.items():
                mine = OutboxRecipient.objects.held(self.attempt.claim).filter(address=address)
                note, reason = suppression.not_sent(row), suppression.SUPPRESSED
                ended += mine.end(State.SENDING, State.FAILED, now, note=note, bounce_reason=reason)
                del self.recipients[address]
            self._tell_end(ended, now)

    def fail(self, note: str, reply: str = "") -> None:
        with transaction.atomic():
            now = timezone.now()
            self._tell_end(self._fail(self.addresses, note, now, reply), now)

    def uncertain(self, reply: str) -> None:
        """Nobody knows: only a person, or the resolver, may decide now."""
        now = timezone.now()
        with transaction.atomic():
            settled = OutboxRecipient.objects.settle(
                self.attempt.claim, self.addresses, State.UNCERTAIN, now, reply=_cut(reply), note=UNKNOWN_OUTCOME
            )
            self._tell(State.UNCERTAIN, settled, now)

    def close(
        self,
        *,
        phase: str,
        tls: str = "",
        error: MailError | None = None,
        text: str = "",
        diagnosis: Diagnosis | None = None,
        replies: Sequence[RecipientReply] = (),
    ) -> None:
        """End the attempt's own row: where it ended and what the server said."""
        attempt = self.attempt
        attempt.ended_at = timezone.now()
        attempt.phase = phase
        attempt.tls = tls[:20]
        attempt.explanation = diagnosis.as_json() if diagnosis else None
        if error is not None:
            attempt.code, attempt.enhanced_code = error.code, error.enhanced
            attempt.text = _cut(error.reply or str(error))
        elif replies:
            worst = decisive(replies)
            attempt.code, attempt.enhanced_code, attempt.text = worst.code, worst.enhanced, _cut(worst.text)
        else:
            attempt.text = _cut(text)
        attempt.replies = _as_rows(replies)
        Attempt.objects.filter(pk=attempt.pk).update(**{name: getattr(attempt, name) for name in ENDS})

    def do_not_count(self) -> None:
        """The server was asked nothing about this message, so the attempt counts against no rate."""
        Attempt.objects.filter(pk=self.attempt.pk).update(route=None)

    def _fail(self, addresses: Iterable[str], note: str, now: datetime, reply: str) -> Ended:
        mine = OutboxRecipient.objects.held(self.attempt.claim).filter(address__in=list(addresses))
        return mine.end(State.SENDING, State.FAILED, now, note=note, reply=_cut(reply))

    def _tell_end(self, ended: Ended, now: datetime) -> None:
        tell_of_end(self.message, ended, claim=self.attempt.claim, now=now)

    def _tell(self, state: State, settled: int, now: datetime) -> None:
        tell_of_outcome(self.message, state, settled, claim=self.attempt.claim, now=now)


def decisive(replies: Sequence[RecipientReply]) -> RecipientReply:
    """The one of several answers by which an attempt is known: a refusal before a delay before an acceptance."""
    return max(replies, key=lambda reply: (not reply.accepted, reply.code))


def without_suppressed(ledgers: Iterable[Ledger]) -> list[Ledger]:
    """Leave out whose address came onto the suppression list while it waited; return what still has somebody to go to.

    One query for each organization, however many messages there are.
    """
    by_organization: dict[int, list[Ledger]] = {}
    for ledger in ledgers:
        by_organization.setdefault(ledger.message.organization_id, []).append(ledger)
    left = []
    for organization_pk, theirs in by_organization.items():
        suppressed = suppression.among(organization_pk, {address for each in theirs for address in each.addresses})
        for ledger in theirs:
            if mine := {address: suppressed[address] for address in ledger.addresses if address in suppressed}:
                ledger.leave_out(mine)
                live.announce(organization_pk, "outbox", ledger.message.pk)
            if ledger.recipients:
                left.append(ledger)
            else:
                ledger.close(phase="before connecting", text="All of its recipients are on the suppression list.")
    return left


def take_back(attempt_pk: int, now: datetime, *, overdue_only: bool = False, counts: bool = True) -> bool:
    """Decide about what a vanished worker held: uncertain with the final-dot mark, queued again without it.

    Locks the attempt first, which `Attempt.mark_final_dot` changes, so that the two never pass each other; with
    `overdue_only` a lease that was renewed meanwhile is left alone. True when anything was taken back.

    Of several messages that were claimed together only the one that had its turn is held responsible: what came after
    it goes back as if it had never been taken. counts: whether the message may be to blame; for a database that
    stumbled it is not, so it goes back however often that happens.
    """
    with transaction.atomic():
        attempt = Attempt.objects.select_for_update().filter(pk=attempt_pk).first()
        if attempt is None:  # it was given back, or its message deleted, since somebody saw it
            return False
        held = OutboxRecipient.objects.held(attempt.claim)
        if overdue_only:
            held = held.past_lease(now)
        if not held.exists():
            return False
        if attempt.final_dot_at is not None:
            settled = held.move(State.SENDING, State.UNCERTAIN, now, note=UNKNOWN_OUTCOME)
            tell_of_outcome(_message(attempt), State.UNCERTAIN, settled, claim=attempt.claim, now=now)
        elif _had_not_begun(attempt):
            held.move(State.SENDING, State.QUEUED, now)
            attempt.delete()
            return True
        elif not counts:
            held.move(State.SENDING, State.QUEUED, now, not_before=now, note=STUMBLED)
            Attempt.objects.filter(pk=attempt_pk, ended_at=None).update(ended_at=now, text=STUMBLED)
            return True
        elif Attempt.objects.filter(message_id=attempt.message_id, was_lost=True).count() + 1 >= DEATHS:
            ended = held.end(State.SENDING, State.FAILED, now, note=LOST_AGAIN)
            tell_of_end(_message(attempt), ended, claim=attempt.claim, now=now)
        else:
            held.move(State.SENDING, State.QUEUED, now, not_before=now, note=LOST_ONCE)
        Attempt.objects.filter(pk=attempt_pk, ended_at=None).update(
            ended_at=now, was_lost=True, text="The worker stopped in the middle of it."
        )
    return True


def _had_not_begun(attempt: Attempt) -> bool:
    """Whether another one, claimed for the same connection and before it, was still unsettled when the worker died.

    Messages have their turn in the order of their attempts, so the first of these is the one that was being sent.
    """
    if not attempt.slot:
        return False
    same = Attempt.objects.filter(slot=attempt.slot, route=attempt.route_id, started_at__gt=attempt.started_at - LEASE)
    earlier = same.filter(pk__lt=attempt.pk, final_dot_at=None)
    return earlier.filter(Q(ended_at=None) | Q(was_lost=True)).exists()


def _message(attempt: Attempt) -> OutboxMessage:
    return OutboxMessage.objects.select_related("author").get(pk=attempt.message_id)


def _held(attempt: Attempt) -> list[OutboxRecipient]:
    return list(OutboxRecipient.objects.held(attempt.claim))


def _final_note(diagnosis: Diagnosis, recipient: OutboxRecipient, now: datetime) -> str:
    if diagnosis.retry is Retry.STOP or recipient.tries == 0:
        return diagnosis.title
    return f"{diagnosis.title} Tried {recipient.tries + 1} times, then given up."


def _as_rows(replies: Sequence[RecipientReply]) -> list[dict[str, object]]:
    return [{"address": reply.address, "code": reply.code, "text": reply.text[:500]} for reply in replies]


def _cut(reply: str) -> str:
    return reply[:LONGEST_REPLY]
