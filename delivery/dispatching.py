"""One turn of a worker at the mail behind one login: claim a few, hand them over on one connection, claim the next.

A turn is short where others wait, so that no login, mailbox or organization keeps the workers for itself. A worker that
is told to stop ends the message it is at and gives back the rest (fault R27).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from time import monotonic
from typing import Final

from django.db import transaction
from django.db.models import DateTimeField, Q, Value
from django.db.models.functions import Least
from django.utils import timezone

from delivery import claiming, submission
from delivery.hindrances import WITHOUT_MAILBOX, Hindrance, MaySend, asking_once, hindrance_to
from delivery.ledger import LONGEST_REPLY, ClaimLost, Ledger, take_back, without_suppressed
from delivery.models import LONGEST_NOTE, Attempt, OutboxMessage, OutboxRecipient
from delivery.models.routes import Route
from delivery.slots import slot_of
from delivery.states import Origin, SentCopy
from delivery.ways import Way, way_of
from organizations import live, stopping
from organizations.faultpoints import faultpoint

log = logging.getLogger(__name__)

TURN: Final = 20.0  # seconds after which no further message begins
LOOK_AT: Final = 500  # messages of the queue that are looked at once; at most for FRESH seconds
FRESH: Final = 2.0
PLENTY: Final = 100
MOST_AT_ONCE: Final = 100  # messages claimed together
OCTETS_AT_ONCE: Final = 8_000_000
QUICK: Final = 0.3  # seconds; a batch that took less is followed by a larger one
TOLD_AT_ONCE: Final = 500  # waiting messages that are told why

OUTLIVED: Final = Hindrance("It could not be sent within two days, and it is not sent that late by itself.")


class Turn:
    """What one worker does for `route`. copies: keys of sent messages whose copy is to be filed now."""

    def __init__(self, route: Route, only: Sequence[int] = ()) -> None:
        """only: nothing but these messages, as far as they are due."""
        self.route = route
        self.copies: list[int] = []
        self._only = list(only)
        self._queue: deque[tuple[int, int]] = deque()  # keys and octets, not claimed yet
        self._settled: list[int] = []  # keys, not announced yet
        self._looked_at = 0.0
        self._at_once = min(8, MOST_AT_ONCE)
        self._ends_at = monotonic() + TURN

    def take(self, has_plenty: Callable[[], None] = lambda: None) -> bool:
        """Send what is due; whether more is waiting that another turn could send now.

        has_plenty: called once there is so much that a second worker on a second connection would be of use.
        """
        self._look()
        if not self._queue:
            return False
        way = way_of(self.route, timezone.now())
        if isinstance(way, Hindrance):
            self._hold_back(way)
            return False
        try:
            with slot_of(way.route) as slot:
                if slot is None:
                    return False  # whoever has them goes on
                faultpoint("connection taken")
                if len(self._queue) >= PLENTY and way.probe is None and not way.route.slowed:
                    has_plenty()
                return self._send(way, slot)
        finally:
            self._announce()
            if way.probe is not None:
                way.probe.give_back_probe()

    def _send(self, way: Way, slot: int) -> bool:
        if way.probe is not None:
            self._at_once = 1
        with submission.Line(way, self._note_settled) as line:
            while keys := self._next_keys():
                if self._is_over():
                    return True
                batch = claiming.take(keys, way, slot, timezone.now())
                if isinstance(batch, Hindrance):
                    self._hold_back(batch)
                    return False
                began = monotonic()
                if hindrance := self._carry(batch, line):
                    self._hold_back(hindrance)
                    return False
                quick = monotonic() - began < QUICK * max(1, len(batch)) / self._at_once
                self._at_once = min(2 * self._at_once, MOST_AT_ONCE) if quick else max(1, self._at_once // 2)
        return False

    def _carry(self, batch: list[Ledger], line: submission.Line) -> Hindrance | None:
        """Hand over what was claimed, in turn; the rest goes back when it cannot have its turn now."""
        may_send, waiting = asking_once(timezone.now()), list(batch)
        faultpoint("attempt written")
        try:
            waiting[:] = without_suppressed(waiting)
            while waiting:
                if self._is_over():
                    return None
                if hindrance := self._carry_one(waiting.pop(0), line, may_send):
                    return hindrance
        finally:
            submission.persistently(lambda: claiming.hand_back(waiting, timezone.now()))
            if len(batch) < self._at_once:
                line.write_outcome()  # nothing follows at once
            self._announce()
        return None

    def _carry_one(self, ledger: Ledger, line: submission.Line, may_send: MaySend) -> Hindrance | None:
        """Settle one message: hand it over, unless something of its own is against it. What all behind it wait for.

        An error that is no mail error leaves the rows as a vanished worker would, settled at once, and is raised.
        """
        message = ledger.message
        try:
            hindrance = hindrance_to(message, may_send)
            if hindrance is None and not ledger.has_run_out:
                return line.carry(ledger)
            settle_without_sending(ledger, hindrance or OUTLIVED)
        except ClaimLost:
            log.warning("Attempt %s at message %s lost its claim and sent nothing.", ledger.attempt.pk, message.pk)
            ledger.close(phase="claim", text="Another worker had taken over; nothing was handed over.")
        except submission.DATABASE_ERRORS:
            submission.persistently(lambda: take_back(ledger.attempt.pk, timezone.now(), counts=False))
            raise
        except Exception:
            submission.persistently(lambda: take_back(ledger.attempt.pk, timezone.now()))
            raise
        return None

    def _note_settled(self, message: OutboxMessage) -> None:
        self._settled.append(message.pk)
        if message.sent_copy == SentCopy.WAITING:
            self.copies.append(message.pk)

    def _announce(self) -> None:
        """Tell open pages of what was settled since the last time."""
        keys, self._settled = self._settled, []
        live.announce_all(self.route.organization_pk, "outbox", keys)

    def _look(self) -> None:
        """Look at the head of the queue, anew after moments: a person's mail may have come meanwhile."""
        messages = claiming.queue_of(self.route, timezone.now())
        if self._only:
            messages = messages.filter(pk__in=self._only)
        self._queue = deque(messages.values_list("pk", "size")[:LOOK_AT])
        self._looked_at = monotonic()

    def _next_keys(self) -> list[int]:
        """The next messages to claim: as many as went quickly before, and not more octets than fit into memory."""
        if not self._queue or monotonic() - self._looked_at > FRESH:
            self._look()
        keys: list[int] = []
        octets = 0
        while self._queue and len(keys) < self._at_once:
            pk, size = self._queue[0]
            if keys and octets + size > OCTETS_AT_ONCE:
                break
            self._queue.popleft()
            keys.append(pk)
            octets += size
        return keys

    def _is_over(self) -> bool:
        return stopping.is_asked() or monotonic() > self._ends_at

    def _hold_back(self, hindrance: Hindrance) -> None:
        """Tell what is due that it waits, why and until when; nobody was asked, so it is no try.

        What cannot wait is settled now: notices of ours, which account mail takes, and what has run out of time.
        """
        now = timezone.now()
        messages = claiming.queue_of(self.route, now)
        if self._only:
            messages = messages.filter(pk__in=self._only)
        keys = list(messages.values_list("pk", flat=True)[:TOLD_AT_ONCE])
        impatient = Q(origin=Origin.NOTICE) | Q(recipients__expires_at__lt=now)
        for message in OutboxMessage.objects.filter(impatient, pk__in=keys).distinct()[:MOST_AT_ONCE]:
            _settle_unclaimed(message, hindrance, now)
        waiting = OutboxRecipient.objects.due(now).filter(message__in=keys)
        waiting.update(
            not_before=Least("expires_at", Value(hindrance.until, output_field=DateTimeField())),
            note=f"It waits: {hindrance.note}"[:LONGEST_NOTE],
            last_reply=hindrance.reply[:LONGEST_REPLY],
            waits_for_way=True,
        )


def settle_without_sending(ledger: Ledger, hindrance: Hindrance) -> None:
    """End an attempt before anything is dialled: the message fails, or waits for what hinders it. All of it or none."""
    if ledger.has_run_out:
        hindrance = OUTLIVED
    with transaction.atomic():
        if hindrance.until is None:
            ledger.fail(hindrance.note)
        else:
            ledger.wait(hindrance)
        ledger.close(phase="before connecting", text=hindrance.note)
        ledger.do_not_count()
    live.announce(ledger.message.organization_id, "outbox", ledger.message.pk)


def settle_without_way(message_pk: int) -> None:
    """Fail what is due of a message whose mailbox is gone."""
    message = OutboxMessage.objects.select_related("author").filter(pk=message_pk).first()
    if message is not None:
        _settle_unclaimed(message, WITHOUT_MAILBOX, timezone.now())


def _settle_unclaimed(message: OutboxMessage, hindrance: Hindrance, now: datetime) -> None:
    """Claim what is due of a message and settle it, in one transaction: nothing is left in the middle of it."""
    with transaction.atomic():
        if attempt := Attempt.objects.begin(message.pk, now):
            settle_without_sending(Ledger(attempt, message), hindrance)
