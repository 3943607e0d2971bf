"""Shows strands in one conversation that belong together by their subject (see `protocols/message/strands.py`).

The rule looks at stored strands alone, and at the nearest ones of a subject. So after each batch only those near to
what has changed are looked at again, and what is stored is at any time what the rule makes of all that is stored: in
whatever order messages came, one by one or in batches, in whatever folder. A strand that turns out to answer another
one moves; strands themselves, which identifiers tie together, are never taken apart.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Collection, Iterable
from typing import NamedTuple

from django.db import connection
from django.db.models import Q

from accounts.models import Mailbox
from mailstore.models import Conversation
from mailstore.stored_strands import people_of_strands
from mailstore.threads import Assigned, Place
from protocols.message.strands import NEAREST, NOBODY, People, Strand, answered, may_answer

_COLUMNS = "id, topic, begins, tie, reach, ends, answers_id, shown_in_id"
_TABLE = "mailstore_conversation"
_SAME = f"SELECT {_COLUMNS} FROM {_TABLE} WHERE mailbox_id = %s AND topic = place.topic AND (begins, tie)"  # noqa: S608
_AFTER = f"{_SAME} >= (place.begins, place.tie) ORDER BY begins, tie LIMIT {NEAREST + 1}"
_BEFORE = f"{_SAME} < (place.begins, place.tie) ORDER BY begins DESC, tie DESC LIMIT {NEAREST}"
_NEIGHBOURS_ON_POSTGRESQL = (
    "SELECT DISTINCT near.* FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS place(topic, begins, tie)"  # noqa: S608
    f" CROSS JOIN LATERAL (({_AFTER}) UNION ALL ({_BEFORE})) AS near"
)
_NEIGHBOURS_ON_SQLITE = (
    "WITH place(topic, begins, tie) AS (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'),"  # noqa: S608
    f" json_extract(value, '$[2]') FROM json_each(%s)) SELECT {_COLUMNS} FROM {_TABLE} WHERE id IN"
    f" (SELECT near.id FROM place JOIN {_TABLE} AS near"
    f" ON near.id IN (SELECT id FROM ({_AFTER}) UNION ALL SELECT id FROM ({_BEFORE})))"
)

_Parameter = int | str | list[int]
_Anchor = tuple[int, int, int]  # a place among the strands of a subject: topic, begins, tie


class _Near(NamedTuple):
    strand: Strand
    pk: int
    answers: int | None
    shown_in: int | None


def settle(mailbox_pk: int, assigned: Assigned) -> set[int]:
    """Join what the strands of a batch, which is stored, belong to by subject; return conversations that changed.

    Runs inside the writer's transaction, in a constant number of queries; mostly in one.
    """
    anchors = _contested(mailbox_pk, assigned)
    if not anchors and not assigned.unsettled:
        return set()
    found = _looked_at_again(mailbox_pk, anchors) if anchors else {}
    changed = {pk: now for pk, (before, now) in found.items() if now != before or pk in assigned.unsettled}
    changed |= dict.fromkeys(assigned.unsettled - found.keys())
    return _show(changed) if changed else set()


def _contested(mailbox_pk: int, assigned: Assigned) -> set[_Anchor]:
    """Places where something changed, of topics that have another strand there."""
    changed = [*assigned.strands, *assigned.former]
    topics = {strand.topic for strand in changed if strand.topic}
    if not topics:
        return set()
    now = {strand.topic for strand in assigned.strands}
    values = "unnest(%s::bigint[]) AS asked(topic)"
    parameter: _Parameter = list(topics)
    if connection.vendor == "sqlite":
        values, parameter = "(SELECT value AS topic FROM json_each(%s)) AS asked", json.dumps(list(topics))
    # Two at most are counted: of some subjects there are thousands.
    counted = "SELECT 1 FROM mailstore_conversation WHERE mailbox_id = %s AND topic = asked.topic LIMIT 2"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT topic, number FROM (SELECT topic, (SELECT count(*) FROM ({counted}) AS two) AS number"  # noqa: S608
            f" FROM {values}) AS counted WHERE number > 1 OR (number = 1 AND %s)",
            [mailbox_pk, parameter, not topics <= now],
        )
        contested = {topic for topic, number in cursor.fetchall() if number > 1 or topic not in now}
    return {(strand.topic, *strand.place) for strand in changed if strand.topic in contested}


def _looked_at_again(mailbox_pk: int, anchors: Collection[_Anchor]) -> dict[int, tuple[int | None, int | None]]:
    """Return what each strand answered, and what it answers now, for all that something near has changed for."""
    topics = _topics(mailbox_pk, anchors)
    asked = [(topic, at, list(may_answer(at, topic.strands))) for topic in topics for at in topic.affected]
    compared = [topic.near[number] for topic, at, earlier in asked if earlier for number in (at, *earlier)]
    people: dict[int, People] = {}
    own: frozenset[str] = frozenset()
    if compared:
        people = people_of_strands({near.pk: near.shown_in or near.pk for near in compared})
        own = frozenset(map(str.lower, Mailbox.objects.filter(pk=mailbox_pk).values_list("address", flat=True)))
    result: dict[int, tuple[int | None, int | None]] = {}
    for topic, at, earlier in asked:
        reply = topic.near[at]
        known = {number: people.get(topic.near[number].pk, NOBODY) for number in (at, *earlier)}
        number = answered(at, topic.strands, known, own)
        result[reply.pk] = (reply.answers, None if number is None else topic.near[number].pk)
    return result


class _Topic(NamedTuple):
    """The strands of a subject near to what changed, in their order; affected: numbers of those to look at again."""

    near: list[_Near]
    strands: list[Strand]
    affected: set[int]


def _topics(mailbox_pk: int, anchors: Collection[_Anchor]) -> list[_Topic]:
    """Whoever is affected by a change is among the next `NEAREST`, and answers one of the `NEAREST` before it."""
    topics: dict[int, _Topic] = {}
    for near in sorted(_neighbours(mailbox_pk, anchors)):
        topic = topics.setdefault(near.strand.topic, _Topic([], [], set()))
        topic.near.append(near)
        topic.strands.append(near.strand)
    for name, *place in anchors:
        if name in topics:
            topic = topics[name]
            first = bisect_left(topic.strands, tuple(place))
            topic.affected.update(range(first, min(first + NEAREST + 1, len(topic.near))))
    return list(topics.values())


def _neighbours(mailbox_pk: int, anchors: Iterable[_Anchor]) -> list[_Near]:
    """Return the strands around places, as many on both sides as the rule may look at."""
    parameters: list[_Parameter]
    if connection.vendor == "postgresql":
        query = _NEIGHBOURS_ON_POSTGRESQL
        parameters = [list(column) for column in zip(*anchors, strict=True)]
    else:
        query = _NEIGHBOURS_ON_SQLITE
        parameters = [json.dumps(list(anchors))]
    parameters += [mailbox_pk, mailbox_pk]
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return [
            _Near(Strand(begins, tie, topic, reach, ends), pk, answers, shown_in)
            for pk, topic, begins, tie, reach, ends, answers, shown_in in cursor.fetchall()
        ]


def _show(answers: dict[int, int | None]) -> set[int]:
    """Note what strands answer, and show each where the one is shown that it answers; return what has changed."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE mailstore_conversation SET answers_id = %s WHERE id = %s",
            [(earlier, pk) for pk, earlier in answers.items()],
        )
    named = {*answers, *filter(None, answers.values())}
    roots = {shown_in or pk for pk, shown_in in Conversation.objects.filter(pk__in=named).values_list("pk", "shown_in")}
    strands = Conversation.objects.filter(Q(pk__in=roots) | Q(shown_in__in=roots))
    rows = {pk: (answer, shown_in) for pk, answer, shown_in in strands.values_list("pk", "answers", "shown_in")}
    moves = []
    for pk, (_, shown_in) in rows.items():
        root = pk
        while (earlier := rows[root][0] if root in rows else None) is not None:
            root = earlier
        there, here = Place.of(pk, root), Place.of(pk, shown_in)
        if there != here:
            moves.append((there, here, pk))
    return _move(moves)


def _move(moves: list[tuple[Place, Place, int]]) -> set[int]:
    is_same = "IS NOT DISTINCT FROM" if connection.vendor == "postgresql" else "IS"
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE mailstore_message SET conversation_id = %s, strand_id = %s"  # noqa: S608
            f" WHERE conversation_id = %s AND strand_id {is_same} %s",
            [(*there, *here) for there, here, _ in moves],
        )
        cursor.executemany(
            "UPDATE mailstore_conversation SET shown_in_id = %s WHERE id = %s",
            [(None if there.strand is None else there.conversation, pk) for there, _, pk in moves],
        )
    return {place.conversation for there, here, _ in moves for place in (there, here)}
