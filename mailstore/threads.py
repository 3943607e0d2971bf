"""Which conversation a message belongs to (RFC 5322, 3.6.4), decided batch by batch as messages come in.

Two messages are of one conversation when they share a Message-ID: their own, or one that they refer to. Mail comes
newest first, so an answer is often stored before what it answers; the Message-IDs it refers to wait as `ThreadKey`
rows. A message that ties two conversations together merges them into the older one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection
from django.db.models import Max

from mailstore import bulk
from mailstore.models import Conversation, Message, ThreadKey
from mailstore.reading import Tied
from mailstore.texts import storable
from protocols.message.threading import Groups


@dataclass(slots=True)
class Assigned:
    """conversations: a key per message, in the order given; merged: conversations that took in others."""

    conversations: list[int]
    merged: set[int] = field(default_factory=set)


def assign(mailbox_pk: int, messages: Sequence[Tied]) -> Assigned:
    """Find or make the conversation of each message. Runs inside the writer's transaction, in a constant number of
    queries; the caller holds the mailbox's schedule row, so that nobody else threads it meanwhile.
    """
    groups = Groups(len(messages))
    for number, message in enumerate(messages):
        for key in message.keys:
            groups.tie(number, key)
    roots = groups.roots()
    known = _known(mailbox_pk, roots)
    found: dict[int, set[int]] = {}
    for key, conversation in known.items():
        found.setdefault(roots[key], set()).add(conversation)
    members: dict[int, list[Tied]] = {}
    for number, message in enumerate(messages):
        members.setdefault(groups.root(number), []).append(message)
    chosen = {root: min(conversations) for root, conversations in found.items()}
    merges = {min(conversations): conversations - {min(conversations)} for conversations in found.values()}
    merges = {winner: losers for winner, losers in merges.items() if losers}
    _merge(merges)
    _update_last_at({chosen[root]: max(m.received_at for m in members[root]) for root in chosen})
    chosen |= _create(mailbox_pk, {root: group for root, group in members.items() if root not in chosen})
    fresh = [(mailbox_pk, key, chosen[root]) for key, root in roots.items() if key not in known]
    bulk.insert_rows(ThreadKey, ("mailbox_id", "key", "conversation_id"), fresh)
    return Assigned([chosen[groups.root(number)] for number in range(len(messages))], set(merges))


def _known(mailbox_pk: int, keys: Collection[str]) -> dict[str, int]:
    """Return the conversation of each key that has one."""
    if not keys:
        return {}
    among, parameters = bulk.is_among(keys)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT key, conversation_id FROM mailstore_threadkey WHERE mailbox_id = %s AND key {among}",  # noqa: S608
            [mailbox_pk, *parameters],
        )
        return dict(cursor.fetchall())


def _create(mailbox_pk: int, groups: dict[int, list[Tied]]) -> dict[int, int]:
    """Make a conversation per group, named after its oldest message; return group -> key."""
    keys = bulk.reserve_keys(Conversation, len(groups))
    rows = []
    for key, group in zip(keys, groups.values(), strict=True):
        oldest = min(group, key=lambda message: message.received_at) if len(group) > 1 else group[0]
        newest_at = max(message.received_at for message in group)
        rows.append((key, mailbox_pk, storable(oldest.subject, 500), bulk.moment(newest_at)))
    bulk.insert_rows(Conversation, ("id", "mailbox_id", "subject", "last_at"), rows)
    return dict(zip(groups, keys, strict=True))


def _merge(merges: dict[int, set[int]]) -> None:
    """Move all that the losers hold to the winners. Rare: most late messages tie nothing together."""
    for winner, losers in merges.items():
        ThreadKey.objects.filter(conversation__in=losers).update(conversation=winner)
        Message.objects.filter(conversation__in=losers).update(conversation=winner)
        together = Conversation.objects.filter(pk__in=losers | {winner})
        Conversation.objects.filter(pk=winner).update(last_at=together.aggregate(Max("last_at"))["last_at__max"])
        Conversation.objects.filter(pk__in=losers).delete()  # their listings go with them


def _update_last_at(newest: dict[int, datetime]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE mailstore_conversation SET last_at = %s WHERE id = %s AND last_at < %s",
            [(bulk.moment(at), pk, bulk.moment(at)) for pk, at in newest.items()],
        )
