"""Taking messages off the queue for one connection, a few at a time, and giving back what did not get its turn.

Each message has its own attempt and its own conditional update; they only share a short transaction. The row of the
login is locked meanwhile where it has rates to keep, so that all workers together keep them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import Prefetch, QuerySet, Window, prefetch_related_objects
from django.db.models.functions import RowNumber

from accounts.models import Mailbox
from delivery import clocks
from delivery.hindrances import Hindrance
from delivery.ledger import Ledger
from delivery.models import Attempt, OutboxMessage, OutboxOctets, OutboxRecipient
from delivery.models.outbox import PIECE
from delivery.models.routes import Route
from delivery.statements import insert_attempts
from delivery.states import State
from delivery.ways import Way, clock
from mailservers.limits import Limits
from organizations.prepared import prepared


def queue_of(route: Route, now: datetime) -> QuerySet[OutboxMessage]:
    """What is due behind the login, in the order in which it leaves.

    A person's mail first; among equals one from each mailbox in turn, so that none waits for all of another's.
    """
    due = OutboxRecipient.objects.due(now).values("message")
    in_turn = Window(RowNumber(), partition_by=["priority", "mailbox"], order_by="pk")
    waiting = route.behind(OutboxMessage.objects.filter(pk__in=due))
    return waiting.annotate(place=in_turn).order_by("priority", "place", "pk")


def take(pks: Sequence[int], way: Way, slot: int, now: datetime) -> list[Ledger] | Hindrance:
    """Claim the due recipients of these messages, as many messages as the rates of the login leave room for.

    In the order of `pks`, without those that another worker has, or that are due no longer. A Hindrance where there is
    no room at all.
    """
    with transaction.atomic():
        room = room_within(way.route, way.limits, now)
        if isinstance(room, Hindrance):
            return room
        wanted = pks if room is None else pks[:room]
        due = {recipient.message_id for recipient in _due(tuple(wanted), now)}
        attempts = insert_attempts([pk for pk in wanted if pk in due], way, slot, now)
        OutboxRecipient.objects.claim_for(attempts, now)
        taken = _recipients_of(attempts)
        mine = [attempt for attempt in attempts if attempt.pk in taken]
        if len(mine) < len(attempts):
            Attempt.objects.filter(pk__in=[one.pk for one in attempts if one.pk not in taken]).delete()
    try:
        messages = _messages_of(mine)
    except BaseException:
        _hand_back([attempt.pk for attempt in mine], now)
        raise
    return [Ledger(attempt, messages[attempt.message_id], taken[attempt.pk]) for attempt in mine]


def room_within(route: Route, limits: Limits, now: datetime) -> int | Hindrance | None:
    """How many more messages may leave by this login now; None: any number; a Hindrance: none, and until when.

    To be called in the transaction that writes their attempts: it locks the row of the login.
    """
    rooms = []
    if limits.windows:
        Route.objects.select_for_update().get(pk=route.pk)
    for period, most, name in limits.windows:
        recent = Attempt.objects.filter(route=route, started_at__gt=now - period)
        used = recent.count()
        if used >= most:
            clocks.bring_back_attempts(route, now)
            leaving = recent.order_by("started_at").values_list("started_at", flat=True)[used - most]
            until = leaving + period
            return Hindrance(f"{used} of {most} mails this {name}; it goes on at {clock(until)}.", until)
        rooms.append(most - used)
    return min(rooms, default=None)


def hand_back(ledgers: Sequence[Ledger], now: datetime) -> None:
    """Put messages back in the queue of which nothing was begun. Their attempts never were, and count against no rate.

    One whose claim was lost meanwhile is left to whoever took it.
    """
    if ledgers:
        _hand_back([ledger.attempt.pk for ledger in ledgers], now)


def _hand_back(attempts: Sequence[int], now: datetime) -> None:
    with transaction.atomic():
        open_ones = Attempt.objects.select_for_update().filter(pk__in=attempts, ended_at=None, final_dot_at=None)
        still_mine = list(open_ones.values_list("pk", flat=True))
        held = OutboxRecipient.objects.filter(claim__in=still_mine)
        held.move(State.SENDING, State.QUEUED, now)
        Attempt.objects.filter(pk__in=still_mine).delete()


def _recipients_of(attempts: Sequence[Attempt]) -> dict[int, list[OutboxRecipient]]:
    """The recipients that each of the attempts holds, by its key."""
    found: dict[int, list[OutboxRecipient]] = defaultdict(list)
    for recipient in _held(tuple(attempt.pk for attempt in attempts)):
        found[recipient.claim].append(recipient)
    return dict(found)


def _messages_of(attempts: Sequence[Attempt]) -> dict[int, OutboxMessage]:
    """With octets, mailbox, author and organization, each of these read once for all messages that share it."""
    pks = tuple(attempt.message_id for attempt in attempts)
    messages = {message.pk: message for message in _claimed(pks)}
    small = tuple(pk for pk in pks if pk in messages and messages[pk].size <= PIECE)
    for octets in _octets(small) if small else ():
        messages[octets.message_id].raw = bytes(octets.raw)
    for pk in messages.keys() - set(small):
        if raw := OutboxOctets.objects.in_pieces(pk):
            messages[pk].raw = raw
    mailboxes = Mailbox.objects.select_related("mail_server__provider", "provider")
    prefetch_related_objects(list(messages.values()), "author", "organization", Prefetch("mailbox", mailboxes))
    return messages


@prepared
def _due(message_pks: tuple[int, ...], now: datetime) -> QuerySet[OutboxRecipient]:
    return OutboxRecipient.objects.due(now).filter(message__in=message_pks).order_by().only("message")


@prepared
def _held(claims: tuple[int, ...]) -> QuerySet[OutboxRecipient]:
    return OutboxRecipient.objects.filter(claim__in=claims, state=State.SENDING)


@prepared
def _claimed(message_pks: tuple[int, ...]) -> QuerySet[OutboxMessage]:
    return OutboxMessage.objects.filter(pk__in=message_pks)


@prepared
def _octets(message_pks: tuple[int, ...]) -> QuerySet[OutboxOctets]:
    return OutboxOctets.objects.filter(message__in=message_pks)
