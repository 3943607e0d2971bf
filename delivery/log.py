"""The email log: which outgoing messages a person sees, narrowed by filters, newest first (spec I9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count

from delivery.log_filters import Filters
from delivery.log_keys import Search
from delivery.models import OutboxMessage, OutboxRecipient
from delivery.states import State, worst
from organizations.models import User
from organizations.paging import cursor, is_cursor

PAGE = 50
BATCH = 500  # messages that are read at once where all are wanted

__all__ = ["Filters", "Page", "Row", "Search", "batches", "page", "rows", "rows_of"]


@dataclass(frozen=True, slots=True)
class Row:
    """A message as the log lists it."""

    message: OutboxMessage
    counts: Counter[State]

    @property
    def state(self) -> State:
        return worst(self.counts)

    @property
    def total(self) -> int:
        return self.counts.total()

    @property
    def label(self) -> str:
        """The state in words; where recipients differ, how many it is true of."""
        if len(self.counts) < 2:
            return str(self.state.label)
        return f"{self.state.label} for {self.counts[self.state]} of {self.total}"


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the log. older, newer: where the next page begins in either direction; "" where there is none."""

    rows: list[Row]
    older: str = ""
    newer: str = ""


def page(search: Search, *, after: str = "", before: str = "", size: int = PAGE) -> Page:
    """The rows that follow the place `after`, or come before the place `before`; a broken place is the first page.

    As many queries however long the log is.
    """
    if is_cursor(before):
        keys = search.keys(size + 1, before=_key(before))
        if len(keys) > size:
            shown = rows_of(keys[1:])
            return Page(shown, older=_place(shown[-1]), newer=_place(shown[0]))
        return page(search, size=size)  # what is newest is shown as a whole page
    begins = is_cursor(after)
    keys = search.keys(size + 1, after=_key(after) if begins else None)
    shown = rows_of(keys[:size])
    older = _place(shown[-1]) if shown and len(keys) > size else ""
    return Page(shown, older=older, newer=_place(shown[0]) if shown and begins else "")


def batches(search: Search, *, size: int = BATCH) -> Iterator[list[Row]]:
    """All rows, newest first, a batch at a time: memory does not grow with the log."""
    last: int | None = None
    while keys := search.keys(size, after=last):
        last = keys[-1]
        yield rows_of(keys)


def rows_of(keys: Sequence[int]) -> list[Row]:
    """The messages with these keys, in this order; those that are gone meanwhile are left out. Two queries."""
    found = OutboxMessage.objects.defer("subject_words", "recipient_words").in_bulk(keys)
    return rows([found[key] for key in keys if key in found])


def rows(messages: Sequence[OutboxMessage]) -> list[Row]:
    """Join messages with the states of their recipients; one query."""
    counts: dict[int, Counter[State]] = {message.pk: Counter() for message in messages}
    grouped = OutboxRecipient.objects.filter(message__in=counts).values_list("message_id", "state")
    for pk, state, number in grouped.annotate(number=Count("pk")).order_by():
        counts[pk][State(state)] += number
    return [Row(message, counts[message.pk]) for message in messages]


def search(user: User, filters: Filters, now: datetime) -> Search:
    """What `user` sees of the log, narrowed by `filters`."""
    return Search(user, filters, now)


def _place(row: Row) -> str:
    return cursor(row.message.created_at, row.message.pk)


def _key(place: str) -> int:
    return int(place.rpartition("-")[2])
