"""Strands and their people, read back from the messages that are stored of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import NamedTuple

from django.db.models.functions import Coalesce

from mailstore.models import Message, ThreadKey
from protocols.message.strands import RECIPIENTS_READ, People, Strand, people_of, strand_of, together
from protocols.message.threading import thread_key


class _Letter(NamedTuple):
    """What is read of a message. strand: its key, wherever the message is shown."""

    strand: int
    sent_at: datetime
    subject: str
    message_id: str
    author: str
    to: list[list[str]]

    def own_strand(self) -> Strand:
        return strand_of(self.subject, self.sent_at, self.message_id, self.author, refers=False)


def people_of_strands(places: dict[int, int]) -> dict[int, People]:
    """Return the people of strands, given as key -> conversation that shows it; in one query."""
    authors: dict[int, tuple[Strand, str]] = {}
    everybody = defaultdict[int, set[str]](set)
    for letter in _letters(set(places.values())):
        if letter.strand not in places:
            continue
        author, people = people_of(letter.author, [address for _, address in letter.to[:RECIPIENTS_READ]])
        everybody[letter.strand] |= people
        first = (letter.own_strand(), author)
        authors[letter.strand] = min(authors.get(letter.strand, first), first)
    return {pk: People(author, frozenset(everybody[pk])) for pk, (_, author) in authors.items()}


def strands_from_messages(keys: Collection[int]) -> dict[int, Strand]:
    """Return strands of which nothing was noted when they were stored. Nothing is joined to those yet.

    Whether a machine wrote a message was not stored; whether it names another one is seen from the keys that wait.
    """
    if not keys:
        return {}
    letters = defaultdict[int, list[_Letter]](list)
    for letter in _letters(keys):
        letters[letter.strand].append(letter)
    waiting = defaultdict[int, set[str]](set)
    for pk, key in ThreadKey.objects.filter(conversation__in=keys).values_list("conversation", "key"):
        waiting[pk].add(key)
    return {pk: _strand(letters[pk], waiting[pk]) for pk in keys}


def _strand(letters: list[_Letter], keys: set[str]) -> Strand:
    if not letters:  # a row that no message names any more
        return Strand(0, 0, 0, 0, 0)
    oldest = min(letters, key=_Letter.own_strand)
    refers = bool(keys - {thread_key(letter.message_id) for letter in letters if letter.message_id})
    first = strand_of(oldest.subject, oldest.sent_at, oldest.message_id, oldest.author, refers=refers)
    return together([first, *(letter.own_strand() for letter in letters if letter is not oldest)])


def _letters(conversations: Collection[int]) -> Iterator[_Letter]:
    rows = Message.objects.filter(conversation__in=conversations).values_list(
        Coalesce("strand", "conversation"),
        Coalesce("date", "received_at"),
        "subject",
        "message_id",
        "from_address",
        "to",
    )
    return (_Letter(*row) for row in rows.iterator())  # a conversation may have tens of thousands
