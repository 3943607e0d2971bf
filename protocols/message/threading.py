"""Conversations: messages that name each other (RFC 5322, 3.6.4), and replies by subject that name nobody.

Two messages belong together when they share an identifier: their own, or one they refer to. That is a union of sets,
so newest first, oldest first and batch by batch all end in the same strands. Which strands are one conversation by
their subject is decided in `strands.py`, from the strands alone.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime

from protocols.message.parse import MessageSummary
from protocols.message.strands import RECIPIENTS_READ, People, Strand, answered, people_of, strand_of, together

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def thread_keys(summary: MessageSummary) -> tuple[str, ...]:
    """Return the keys that tie a message to others: hashes of its own Message-ID and of all that it refers to.

    A message that names neither has no key, and is a conversation of its own.
    """
    identifiers = dict.fromkeys((summary.message_id, *summary.in_reply_to, *summary.references))
    return tuple(map(thread_key, filter(None, identifiers)))


def thread_key(identifier: str) -> str:
    """Return the key of a Message-ID."""
    return hashlib.blake2b(identifier.encode("utf-8", "replace"), digest_size=16).hexdigest()


class Groups:
    """Disjoint sets of message numbers and keys (union by the smaller root, with path halving)."""

    def __init__(self, size: int = 0) -> None:
        self._parent = list(range(size))
        self._by_key: dict[str, int] = {}

    def add(self) -> int:
        """Return the number of one more message, tied to nothing yet."""
        self._parent.append(len(self._parent))
        return len(self._parent) - 1

    def tie(self, number: int, key: str) -> None:
        """Put a message with all others that are tied to `key`."""
        other = self._by_key.setdefault(key, number)
        self.unite(number, other)

    def unite(self, number: int, other: int) -> None:
        """Put two messages together, with all that either is tied to."""
        first, second = self.root(number), self.root(other)
        if first != second:
            self._parent[max(first, second)] = min(first, second)

    def root(self, number: int) -> int:
        """Return the lowest number of the set that a message is in."""
        parent = self._parent
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def roots(self) -> dict[str, int]:
        """Return the root of each key."""
        return {key: self.root(number) for key, number in self._by_key.items()}


def message_strand(summary: MessageSummary, sent_at: datetime) -> Strand:
    """Return what joining by subject needs to know of one message."""
    return strand_of(
        summary.subject,
        sent_at,
        summary.message_id,
        summary.from_.address if summary.from_ else "",
        refers=not {*summary.in_reply_to, *summary.references} <= {summary.message_id},
        is_automatic=summary.is_bulk or summary.auto_submitted not in ("", "no"),
    )


def thread_messages(messages: Iterable[MessageSummary], *, own: Iterable[str] = ()) -> list[list[str]]:
    """Group messages into threads of Message-IDs, oldest thread and oldest message first; each message once.

    Undated messages come first, in the order given. One without Message-ID is named by its place among `messages`,
    counted from 1: "no-message-id:7". Of each message only its date, its keys, its strand and its people are kept.

    own: addresses of the mailbox, if it is one that the messages are from.
    """
    groups = Groups()
    named: list[tuple[datetime, int, str]] = []
    strands: list[Strand] = []
    people: list[People] = []
    for summary in messages:
        number = groups.add()
        for key in thread_keys(summary):
            groups.tie(number, key)
        named.append((summary.date or _EPOCH, number, summary.message_id or f"no-message-id:{number + 1}"))
        strands.append(message_strand(summary, summary.date or _EPOCH))
        recipients = [address.address for address in (*summary.to, *summary.cc)[:RECIPIENTS_READ]]
        people.append(people_of(summary.from_.address if summary.from_ else "", recipients))
    _join_by_subject(groups, strands, people, frozenset(map(str.lower, own)))
    threads: dict[int, dict[str, None]] = {}
    for _, number, name in sorted(named):
        threads.setdefault(groups.root(number), {})[name] = None
    return [list(thread) for thread in threads.values()]


def _join_by_subject(groups: Groups, strands: list[Strand], people: list[People], own: frozenset[str]) -> None:
    """Unite the groups of messages that are one conversation by their subject."""
    members = defaultdict[int, list[int]](list)
    for number in range(len(strands)):
        members[groups.root(number)].append(number)
    by_topic = defaultdict[int, list[tuple[Strand, int]]](list)
    for root, numbers in members.items():
        strand = together(strands[number] for number in numbers)
        if strand.topic:
            by_topic[strand.topic].append((strand, root))
    for same in by_topic.values():
        same.sort()
        between = {at: _people(members[root], strands, people) for at, (_, root) in enumerate(same)}
        listed = [strand for strand, _ in same]
        for at, (_, root) in enumerate(same):
            found = answered(at, listed, between, own)
            if found is not None:
                groups.unite(root, same[found][1])


def _people(numbers: list[int], strands: list[Strand], people: list[People]) -> People:
    oldest = min(numbers, key=strands.__getitem__)
    return People(people[oldest].author, frozenset().union(*(people[number].everybody for number in numbers)))
