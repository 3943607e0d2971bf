"""Which conversation a message belongs to (RFC 5322, 3.6.4), decided batch by batch as messages come in.

Two messages are of one strand when they share a Message-ID: their own, or one that they refer to. Mail comes newest
first, so an answer is often stored before what it answers; the Message-IDs it refers to wait as `ThreadKey` rows. A
message that ties two strands together merges them into the older row. Which strands are one conversation by their
subject is found in `joining.py`, once the messages are stored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from django.db import connection

from mailstore import bulk
from mailstore.models import Conversation, Listing, Message, ThreadKey
from mailstore.reading import Tied
from mailstore.stored_strands import strands_from_messages
from mailstore.texts import storable
from protocols.message.strands import Strand, together
from protocols.message.threading import Groups

_COLUMNS = ("id", "mailbox_id", "subject", "topic", "begins", "tie", "reach", "ends")


class Place(NamedTuple):
    """The conversation that shows a message, and its strand where that is another row."""

    conversation: int
    strand: int | None = None

    @classmethod
    def of(cls, strand: int, shown_in: int | None) -> Self:
        return cls(strand) if shown_in is None or shown_in == strand else cls(shown_in, strand)


@dataclass(slots=True)
class Assigned:
    """What became of a batch.

    places:    of each message, in the order given.
    merged:    conversations that took in others, or gave something away.
    strands:   new and changed strands as they are now; former: as those that changed or went were before.
    unsettled: keys of strands that are, or were, part of another conversation, and changed.
    """

    places: list[Place]
    merged: set[int] = field(default_factory=set)
    strands: list[Strand] = field(default_factory=list)
    former: list[Strand] = field(default_factory=list)
    unsettled: set[int] = field(default_factory=set)


class _Row(NamedTuple):
    pk: int
    strand: Strand
    subject: str
    answers: int | None
    shown_in: int | None


def assign(mailbox_pk: int, messages: Sequence[Tied]) -> Assigned:
    """Find or make the strand of each message. Runs inside the writer's transaction, in a constant number of queries;
    the caller holds the mailbox's schedule row, so that nobody else threads it meanwhile.
    """
    groups = Groups(len(messages))
    for number, message in enumerate(messages):
        for key in message.keys:
            groups.tie(number, key)
    roots = groups.roots()
    known = _known(mailbox_pk, roots)
    first: dict[int, int] = {}
    for key, pk in known.items():  # what the batch does not tie together, the strand does that both belong to
        groups.unite(first.setdefault(pk, roots[key]), roots[key])
    found: dict[int, set[int]] = {}
    for key, pk in known.items():
        found.setdefault(groups.root(roots[key]), set()).add(pk)
    members: dict[int, list[Tied]] = {}
    for number, message in enumerate(messages):
        members.setdefault(groups.root(number), []).append(message)
    assigned = Assigned([])
    rows = _rows(set(known.values()))
    chosen = {root: Place.of(min(pks), rows[min(pks)].shown_in) for root, pks in found.items()}
    chosen |= _merge({root: [rows[pk] for pk in sorted(pks)] for root, pks in found.items() if len(pks) > 1}, assigned)
    _update(mailbox_pk, [([rows[pk] for pk in sorted(pks)], members[root]) for root, pks in found.items()], assigned)
    chosen |= _create(mailbox_pk, {root: group for root, group in members.items() if root not in chosen}, assigned)
    fresh = [
        (mailbox_pk, key, place.conversation if place.strand is None else place.strand)
        for key, place in ((key, chosen[groups.root(root)]) for key, root in roots.items() if key not in known)
    ]
    bulk.insert_rows(ThreadKey, ("mailbox_id", "key", "conversation_id"), fresh)
    assigned.places = [chosen[groups.root(number)] for number in range(len(messages))]
    return assigned


def _known(mailbox_pk: int, keys: Collection[str]) -> dict[str, int]:
    """Return the strand of each key that has one."""
    if not keys:
        return {}
    among, parameters = bulk.is_among(keys)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT key, conversation_id FROM mailstore_threadkey WHERE mailbox_id = %s AND key {among}",  # noqa: S608
            [mailbox_pk, *parameters],
        )
        return dict(cursor.fetchall())


def _rows(keys: Collection[int]) -> dict[int, _Row]:
    if not keys:
        return {}
    among, parameters = bulk.is_among(keys)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, begins, tie, topic, reach, ends, subject, answers_id, shown_in_id"  # noqa: S608
            f" FROM mailstore_conversation WHERE id {among}",
            parameters,
        )
        found = cursor.fetchall()
    before = strands_from_messages([row[0] for row in found if row[1] is None])
    return {
        pk: _Row(
            pk,
            before[pk] if begins is None else Strand(begins, tie, topic or 0, reach, ends),
            subject,
            answers,
            shown_in,
        )
        for pk, begins, tie, topic, reach, ends, subject, answers, shown_in in found
    }


def _create(mailbox_pk: int, groups: dict[int, list[Tied]], assigned: Assigned) -> dict[int, Place]:
    """Make a row per group, named after its oldest message; return group -> place."""
    keys = bulk.reserve_keys(Conversation, len(groups))
    rows = []
    for key, group in zip(keys, groups.values(), strict=True):
        strand, subject = _oldest((message.strand, message.subject) for message in group)
        rows.append(_values(key, mailbox_pk, strand, subject))
        assigned.strands.append(strand)
    bulk.insert_rows(Conversation, _COLUMNS, rows)
    return {root: Place(key) for root, key in zip(groups, keys, strict=True)}


def _update(mailbox_pk: int, changes: Iterable[tuple[list[_Row], list[Tied]]], assigned: Assigned) -> None:
    """Note what the messages of a batch and the strands they tie together make of known strands, the first of each."""
    changed = []
    for rows, messages in changes:
        row = rows[0]
        parts = [*((each.strand, each.subject) for each in rows), *((each.strand, each.subject) for each in messages)]
        strand, subject = _oldest(parts)
        if strand == row.strand and len(rows) == 1:
            continue
        changed.append(_values(row.pk, mailbox_pk, strand, subject))
        assigned.strands.append(strand)
        assigned.former += [each.strand for each in rows]
        if row.answers is not None:
            assigned.unsettled.add(row.pk)
    _write(changed)


def _write(changed: list[bulk.Row]) -> None:
    """Write known rows again, of which nothing but the key and the mailbox stays."""
    if not changed:
        return
    names = _COLUMNS[2:]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # a statement for each would take several times as long
            changes = ", ".join(f"{name} = new.{name}" for name in names)
            lists = ", ".join(["%s::bigint[]", "%s::text[]", *["%s::bigint[]"] * 5])
            cursor.execute(
                f"UPDATE mailstore_conversation AS old SET {changes}"  # noqa: S608
                f" FROM unnest({lists}) AS new(id, {', '.join(names)}) WHERE old.id = new.id",
                [list(column) for column in zip(*((row[0], *row[2:]) for row in changed), strict=True)],
            )
            return
        changes = ", ".join(f"{name} = %s" for name in names)
        cursor.executemany(
            f"UPDATE mailstore_conversation SET {changes} WHERE id = %s",  # noqa: S608
            [(*row[2:], row[0]) for row in changed],
        )


def _oldest(parts: Iterable[tuple[Strand, str]]) -> tuple[Strand, str]:
    """Return the strand that several are together, and the subject of its oldest message."""
    listed = list(parts)
    if len(listed) == 1:
        return listed[0]
    return together(strand for strand, _ in listed), min(listed)[1]


def _values(pk: int, mailbox_pk: int, strand: Strand, subject: str) -> bulk.Row:
    begins, tie, topic, reach, ends = strand
    return pk, mailbox_pk, storable(subject, 500), topic or None, begins, tie, reach, ends


def _merge(merges: dict[int, list[_Row]], assigned: Assigned) -> dict[int, Place]:
    """Move all that later rows hold to the first one of each group; return where its messages are shown.

    Rare: most late messages tie nothing together.
    """
    if not merges:
        return {}
    losers = [row.pk for rows in merges.values() for row in rows[1:]]
    showing = set(Conversation.objects.filter(shown_in__in=losers).values_list("shown_in", flat=True))
    places = {}
    for root, (winner, *lost) in merges.items():
        keys = [row.pk for row in lost]
        shown_in = None if winner.shown_in in keys else winner.shown_in
        places[root] = place = Place.of(winner.pk, shown_in)
        ThreadKey.objects.filter(conversation__in=keys).update(conversation=winner.pk)
        if any(row.shown_in or row.pk in showing for row in (winner, *lost)):
            _move_joined(winner, keys, place)
            assigned.unsettled.add(winner.pk)
        Message.objects.filter(conversation__in=keys).update(conversation=place.conversation, strand=place.strand)
        assigned.merged |= {place.conversation, *(row.shown_in for row in lost if row.shown_in)} - set(keys)
    gone = Listing.objects.filter(conversation__in=losers)
    gone._raw_delete(gone.db)
    rows = Conversation.objects.filter(pk__in=losers)
    rows._raw_delete(rows.db)
    return places


def _move_joined(winner: _Row, lost: Sequence[int], place: Place) -> None:
    """Move what subjects had joined to `lost`, and what of `lost` they had joined to others.

    Whether that still belongs there is looked at once the messages of the batch are stored.
    """
    conversations, messages = Conversation.objects, Message.objects
    messages.filter(strand__in=lost).update(conversation=place.conversation, strand=place.strand)
    if winner.shown_in in lost:
        messages.filter(strand=winner.pk).update(conversation=winner.pk, strand=None)
    messages.filter(conversation__in=lost, strand__isnull=False).update(conversation=place.conversation)
    conversations.filter(shown_in__in=lost).exclude(pk=winner.pk).update(shown_in=place.conversation)
    conversations.filter(answers__in=lost).exclude(pk=winner.pk).update(answers=winner.pk)
    conversations.filter(pk=winner.pk, shown_in__in=lost).update(shown_in=None)
    conversations.filter(pk=winner.pk, answers__in=lost).update(answers=None)
