"""The email log: which outgoing messages a person sees, narrowed by filters, newest first (spec I9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from delivery.models import OutboxMessage, OutboxRecipient
from delivery.states import State, worst
from organizations.models import User
from organizations.paging import newest_first

PAGE = 50


@dataclass(frozen=True, slots=True)
class Filters:
    """What narrows the log; an empty value does not.

    state: any recipient in it, so that partly failed mail is found under "failed".
    text:  in the subject, in To and Cc, or in an envelope address.
    since: first moment that still counts; `until` the first that does not.
    """

    state: str = ""
    mailbox_pk: int | None = None
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def __bool__(self) -> bool:
        return any((self.state, self.mailbox_pk, self.text, self.since, self.until))


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
    """One page of the log. next: cursor of the following page, "" on the last one."""

    rows: list[Row]
    next: str


def search(user: User, filters: Filters, now: datetime) -> QuerySet[OutboxMessage]:
    found = OutboxMessage.objects.visible_to(user, now)
    recipients = OutboxRecipient.objects.filter(message=OuterRef("pk"))
    if filters.state:
        found = found.filter(Exists(recipients.filter(state=filters.state)))
    if filters.mailbox_pk is not None:
        found = found.filter(mailbox_id=filters.mailbox_pk)
    if filters.text:
        in_address = Exists(recipients.filter(address__icontains=filters.text))
        found = found.filter(Q(subject__icontains=filters.text) | Q(to_header__icontains=filters.text) | in_address)
    if filters.since is not None:
        found = found.filter(created_at__gte=filters.since)
    if filters.until is not None:
        found = found.filter(created_at__lt=filters.until)
    return found


def page(found: QuerySet[OutboxMessage], after: str = "", size: int = PAGE) -> Page:
    """Return one page, newest first, with two queries however long the log is. A broken cursor is the first page."""
    messages = newest_first(found.defer("raw"), "created_at", after, size=size)
    return Page(rows(messages.rows), messages.next)


def rows(messages: Sequence[OutboxMessage]) -> list[Row]:
    """Join messages with the states of their recipients; one query."""
    counts: dict[int, Counter[State]] = {message.pk: Counter() for message in messages}
    grouped = OutboxRecipient.objects.filter(message__in=counts).values_list("message_id", "state")
    for pk, state, number in grouped.annotate(number=Count("pk")).order_by():
        counts[pk][State(state)] += number
    return [Row(message, counts[message.pk]) for message in messages]
