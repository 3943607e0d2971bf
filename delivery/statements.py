"""The usual case of sending in as few statements as can be, written by hand: a queue empties at their speed.

Everything else goes through the querysets, whose words cost more than the database here. These name the claim like all
other writes, so a worker that has lost it changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import connection, transaction

from delivery.models import Attempt, OutboxMessage
from delivery.states import MOVES, SentCopy, State
from delivery.ways import Way

assert State.SENT in MOVES[State.SENDING]

_SENT: Final = """
    UPDATE delivery_outboxrecipient
    SET state = 'sent', state_at = %s, last_reply = %s, note = '', may_have_left_in = NULL
    WHERE claim = %s AND state = 'sending'"""
_WANT_COPY: Final = """
    UPDATE delivery_outboxmessage SET sent_copy_not_before = %s
    WHERE id = %s AND sent_copy = 'waiting' AND sent_copy_not_before IS NULL
      AND EXISTS (SELECT 1 FROM delivery_outboxrecipient WHERE message_id = %s AND claim = %s AND state = 'sent')"""
_CLOSE: Final = """
    UPDATE delivery_attempt
    SET ended_at = %s, phase = 'message', code = %s, enhanced_code = %s, text = %s, replies = %s, tls = %s
    WHERE id = %s"""
_MARK: Final = "UPDATE delivery_attempt SET final_dot_at = %s WHERE id = %s AND ended_at IS NULL"
_ATTEMPTS: Final = """
    INSERT INTO delivery_attempt (message_id, server, started_at, route_id, slot, detour, was_lost,
                                  code, phase, enhanced_code, text, tls, replies)
    VALUES """
_ATTEMPT: Final = "(%s, %s, %s, %s, %s, %s, %s, 0, '', '', '', '', '[]')"

Values = tuple[str | int | datetime | None, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that the server has taken for all its recipients, all with the same words; not written yet.

    reply: code and words as recipients keep them; replies: as the attempt keeps them, in JSON.
    """

    message: OutboxMessage
    claim: int
    ended_at: datetime
    reply: str
    code: int
    enhanced_code: str
    text: str
    replies: str
    tls: str


def write(taken: Taken | None, mark: int | None, now: datetime) -> bool:
    """In one transaction: the outcome of one message, and the mark before the final dot of the next.

    mark: the claim of the next one; None: there is none. False: that claim was lost; the outcome is written all the
    same.
    """
    statements: list[tuple[str, Values]] = []
    moment = connection.ops.adapt_datetimefield_value
    if taken is not None:
        ended_at = moment(taken.ended_at)
        statements.append((_SENT, (ended_at, taken.reply, taken.claim)))
        if taken.message.sent_copy == SentCopy.WAITING:
            statements.append((_WANT_COPY, (ended_at, taken.message.pk, taken.message.pk, taken.claim)))
        told = (taken.code, taken.enhanced_code, taken.text, taken.replies, taken.tls, taken.claim)
        statements.append((_CLOSE, (ended_at, *told)))
    if mark is not None:
        statements.append((_MARK, (moment(now), mark)))
    changed = _run(statements)
    return mark is None or changed == 1


def insert_attempts(message_pks: Sequence[int], way: Way, slot: int, now: datetime) -> list[Attempt]:
    """Write an attempt for each of these messages, in their order, which is that of the keys; return the rows."""
    if not message_pks:
        return []
    server = str(way.endpoint) if way.endpoint.host else ""
    shared = (server, connection.ops.adapt_datetimefield_value(now), way.route.pk, slot, way.detour)
    sql = f"{_ATTEMPTS} {', '.join([_ATTEMPT] * len(message_pks))} RETURNING id, message_id"
    values = [value for pk in message_pks for value in (pk, *shared, False)]
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        keys = {message: pk for pk, message in cursor.fetchall()}
    return [
        Attempt(
            pk=keys[pk],
            message_id=pk,
            server=server,
            started_at=now,
            route_id=way.route.pk,
            slot=slot,
            detour=way.detour,
        )
        for pk in message_pks
    ]


def _run(statements: Sequence[tuple[str, Values]]) -> int:
    """Run them in one transaction; how many rows the last one changed."""
    if connection.vendor == "postgresql" and not connection.in_atomic_block:
        return _run_at_once(statements)
    with transaction.atomic(), connection.cursor() as cursor:
        for sql, values in statements:
            cursor.execute(sql, values)
        return int(cursor.rowcount)


def _run_at_once(statements: Sequence[tuple[str, Values]]) -> int:
    """The same in one message to the server: statements that come together are one transaction there."""
    with connection.cursor() as cursor:
        cursor.execute("; ".join(sql for sql, _ in statements), [value for _, values in statements for value in values])
        while cursor.nextset():
            pass
        return int(cursor.rowcount)
