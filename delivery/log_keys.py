"""Which messages of the log come next: keys alone, newest first, whatever narrows it and however long it is (spec I9).

What narrows the log is known in two ways: as a list of keys that an index holds in order, and as a condition that one
row meets or does not. One list leads, the others are asked as conditions of each row that it names. A list of at most
`SHORT` keys is read to its end, so the shortest leads; among longer ones rows that fit are met early, and the walk ends
with the page.

"Newest" is the order in which they were queued, that of the keys, since every index ends with the key. No planner is
left to guess: on SQLite `CROSS JOIN` and a plus before a column settle what leads; to PostgreSQL both mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from django.db import connection

from accounts.models import Mailbox
from delivery import log_lists, log_words
from delivery.log_filters import Filters
from delivery.log_lists import MESSAGES, RECIPIENTS, Condition, List, Value
from delivery.states import State
from organizations.models import User
from organizations.operations import Operation

FEW: Final = 20  # lists that are walked side by side
NEAR: Final = 1_000  # rows around a moment: that much may the order of keys and that of moments differ


@dataclass(frozen=True, slots=True)
class Scope:
    """What a person may see: all of the organization, or what is in one of `lists`."""

    organization_pk: int
    lists: tuple[Condition, ...]  # none: all

    @classmethod
    def of(cls, user: User, now: datetime) -> Scope:
        """As `OutboxMessageQuerySet.visible_to` has it. Asks for the mailboxes once."""
        within: Condition | None = None
        if user.token is not None and user.token.only_mailboxes:
            within = _one_of("m.mailbox_id", Mailbox.objects.in_organization_of(user).values_list("pk", flat=True))
        if user.may(Operation.VIEW_EMAIL_LOGS):
            return cls(user.organization_id, (within,) if within else ())
        own = Condition("m.author_id = %s", (user.pk,))
        readable = _one_of("m.mailbox_id", Mailbox.objects.readable_by(user, now).values_list("pk", flat=True))
        return cls(user.organization_id, (own & within if within else own, readable))

    @property
    def condition(self) -> Condition:
        of_organization = Condition("+m.organization_id = %s", (self.organization_pk,))
        if not self.lists:
            return of_organization
        pieces = " OR ".join(f"({_hidden(one.sql)})" for one in self.lists)
        return of_organization & Condition(pieces, tuple(value for one in self.lists for value in one.values))


@dataclass(frozen=True, slots=True)
class Range:
    """The keys between which a page lies; both ends are outside."""

    above: int | None = None
    below: int | None = None

    def within(self, key: str) -> Condition:
        ends = [(f"{key} > %s", self.above), (f"{key} < %s", self.below)]
        wanted = [(sql, value) for sql, value in ends if value is not None]
        return Condition(" AND ".join(sql for sql, _ in wanted) or "1 = 1", tuple(value for _, value in wanted))


class Search:
    """What one person asks the log for. `keys` answers; nothing is read before."""

    def __init__(self, user: User, filters: Filters, now: datetime) -> None:
        self.filters = filters
        self.scope = Scope.of(user, now)
        self.words = log_words.asked(filters.text)
        self.recipient = log_words.phrase(filters.recipient)

    def keys(self, size: int, *, after: int | None = None, before: int | None = None) -> list[int]:
        """Up to `size` keys, newest first: those that follow the key `after`, or those right above `before`."""
        if (self.filters.text and not self.words) or (self.filters.recipient and not self.recipient):
            return []  # signs alone, such as "%%", name no word
        bounds = self._bounds(Range(above=before, below=after))
        if bounds is None:
            return []
        found = _read(self._lead(bounds), self._conditions(), bounds, size, oldest_first=before is not None)
        return sorted(found, reverse=True)

    def _bounds(self, asked: Range) -> Range | None:
        """The range with what is known of the moments asked for; None where there is nothing."""
        above, below = asked.above, asked.below
        if self.filters.since is not None:
            first = self._around("created_at >= %s", self.filters.since, "", "MIN")
            if first is None:
                return None
            above = max(first - 1, above or 0)
        if self.filters.until is not None:
            last = self._around("created_at < %s", self.filters.until, " DESC", "MAX")
            if last is None:
                return None
            below = last + 1 if below is None else min(last + 1, below)
        return Range(above, below)

    def _around(self, beyond: str, moment: datetime, order: str, end: str) -> int | None:
        """The outermost key of the first rows beyond a moment; the rows themselves are asked for their moment too."""
        sql = (
            f"SELECT {end}(near.id) FROM (SELECT id FROM {MESSAGES} WHERE organization_id = %s AND {beyond}"  # noqa: S608
            f" ORDER BY created_at{order}, id{order} LIMIT {NEAR}) near"
        )
        with connection.cursor() as cursor:
            cursor.execute(sql, [self.scope.organization_pk, _stored(moment)])
            [key] = cursor.fetchone()
        return None if key is None else int(key)

    def _lead(self, bounds: Range) -> list[List]:
        """The shortest list; where none is short, the lists of the person's mail, or the most particular one."""
        particular = [replace(one, length=_length(one, bounds)) for one in self._particular()]
        whose = [replace(List(one), length=_length(List(one), bounds)) for one in self.scope.lists]
        short = [[one] for one in particular if one.is_short]
        if whose and sum(one.length for one in whose) <= log_lists.SHORT:
            short.append(whose)
        if short:
            return min(short, key=lambda lists: sum(one.length for one in lists))
        if particular:
            return particular[:1]
        alone = [List(one) for condition in self.scope.lists for one in _apart(condition)]
        if 0 < len(alone) <= FEW:
            return alone
        return [List(Condition("m.organization_id = %s", (self.scope.organization_pk,)))]

    def _particular(self) -> list[List]:
        """A list for each filter that has one; those that usually name fewest come first."""
        filters, lists = self.filters, []
        if self.words or self.recipient:
            lists.append(log_words.leading(self.words, self.recipient))
        if filters.mailbox_pk is not None:
            lists.append(List(Condition("m.mailbox_id = %s", (filters.mailbox_pk,))))
        if filters.author_pk is not None:
            lists.append(List(Condition("m.author_id = %s", (filters.author_pk,))))
        if filters.state and filters.state != State.SENT:  # most are sent: of those there is no list
            condition = Condition("s.state = %s AND NOT (s.state = 'sent')", (filters.state,))
            lists.append(List(condition, f"{RECIPIENTS} s", "s.message_id"))
        if filters.origin:
            both = (self.scope.organization_pk, filters.origin)
            lists.append(List(Condition("m.organization_id = %s AND m.origin = %s", both)))
        return lists

    def _conditions(self) -> list[Condition]:
        """What every row has to meet, whichever list named it."""
        filters, wanted = self.filters, [self.scope.condition]
        if filters.state:
            of_row = f"SELECT 1 FROM {RECIPIENTS} r WHERE r.message_id = m.id AND +r.state = %s"  # noqa: S608
            wanted.append(Condition(f"EXISTS ({_plain_for_text(of_row)})", (filters.state,)))
        if filters.mailbox_pk is not None:
            wanted.append(Condition("+m.mailbox_id = %s", (filters.mailbox_pk,)))
        if filters.author_pk is not None:
            wanted.append(Condition("+m.author_id = %s", (filters.author_pk,)))
        if filters.origin:
            wanted.append(Condition(_plain_for_text("+m.origin = %s"), (filters.origin,)))
        if filters.since is not None:
            wanted.append(Condition("m.created_at >= %s", (_stored(filters.since),)))
        if filters.until is not None:
            wanted.append(Condition("m.created_at < %s", (_stored(filters.until),)))
        return [*wanted, *log_words.conditions(self.words, self.recipient)]


def _read(
    lists: Sequence[List], conditions: Sequence[Condition], bounds: Range, size: int, *, oldest_first: bool
) -> list[int]:
    """The next keys that are in one of `lists` and meet all conditions."""
    met = conditions[0]
    for condition in conditions[1:]:
        met &= condition
    pieces: list[str] = []
    values: list[Value] = []
    for one in lists:
        piece = _walk(one, met, bounds, size, oldest_first=oldest_first)
        pieces.append(f"SELECT * FROM ({piece.sql}) part")  # noqa: S608
        values += piece.values
    order = "" if oldest_first else " DESC"
    sql = f"SELECT found FROM ({' UNION '.join(pieces)}) joined ORDER BY found{order} LIMIT %s"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [*values, size])
        return [key for [key] in cursor.fetchall()]


def _walk(one: List, met: Condition, bounds: Range, size: int, *, oldest_first: bool) -> Condition:
    """One list: a short one is read whole and then sorted, a long one is read in its order until the page is full."""
    where = one.condition & bounds.within(one.key) & met
    if one.is_of_messages:
        what, source = "m.id", one.source
    else:
        what, source = f"DISTINCT {one.key}", f"{one.source} CROSS JOIN {MESSAGES} m"
        where = Condition(f"m.id = {one.key}") & where
    order = f"{'+' if one.is_short and one.is_of_messages else ''}{one.key}{'' if oldest_first else ' DESC'}"
    sql = f"SELECT {what} AS found FROM {source} WHERE {where.sql} ORDER BY {order} LIMIT %s"  # noqa: S608
    return Condition(sql, (*where.values, size))


def _length(one: List, bounds: Range) -> int:
    where = one.condition & bounds.within(one.key)
    sql = f"SELECT COUNT(*) FROM (SELECT 1 FROM {one.source} WHERE {where.sql} LIMIT {log_lists.SHORT + 1}) counted"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, where.values)
        [number] = cursor.fetchone()
    return int(number)


def _stored(moment: datetime) -> Value:
    """A moment as the column holds it."""
    return connection.ops.adapt_datetimefield_value(moment) or moment


def _one_of(column: str, keys: Iterable[int]) -> Condition:
    listed = list(keys)
    if not listed:
        return Condition("1 = 0")
    return Condition(f"{column} IN ({', '.join(['%s'] * len(listed))})", tuple(listed))


def _apart(condition: Condition) -> list[Condition]:
    """A condition that names several mailboxes as one for each, so that each list is walked in order."""
    column, separator, _ = condition.sql.partition(" IN (")
    if not separator or " AND " in condition.sql:
        return [condition]
    return [Condition(f"{column} = %s", (value,)) for value in condition.values]


def _hidden(sql: str) -> str:
    """The same condition, which SQLite takes no index for."""
    return sql.replace("m.author_id", "+m.author_id").replace("m.mailbox_id", "+m.mailbox_id")


def _plain_for_text(sql: str) -> str:
    """PostgreSQL knows no plus before a text, and needs none."""
    return sql.replace("+", "") if connection.vendor == "postgresql" else sql
