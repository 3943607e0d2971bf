"""The cards of the settings page: what each email account does, found by state or by name, a page at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import Case, Count, Q, QuerySet, Value, When
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from accounts import sharing_people
from accounts.models import Mailbox, State
from mailstore import schedule
from mailstore.schedule import Progress

if TYPE_CHECKING:
    from organizations.models import User

WAITS_FOR_A_WORKER = "its turn"  # the words of `mailstore.schedule` for a sync that was asked for
WORKING = frozenset({State.CONNECTED, State.WAITING, State.SYNCING})

PAGE_SIZE = 24  # a card takes 1 ms to draw
_DRAWN = ("schedule", "mail_server", "owner", "provider")  # what a card tells of other rows

#: What a number of the overview leads to: `?show=` -> the states, and the words above the cards.
SHOWN = {
    "connected": (WORKING, "Only accounts that work are shown."),
    "syncing": (frozenset({State.SYNCING}), "Only accounts that sync right now are shown."),
    "attention": (frozenset({State.NEEDS_ATTENTION}), "Only accounts that need attention are shown."),
    "paused": (frozenset({State.PAUSED}), "Only paused accounts are shown."),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """Which cards are asked for. show: a key of `SHOWN`, or ""; text: part of an address or a name."""

    show: str
    text: str

    @classmethod
    def of(cls, request: HttpRequest) -> Asked:
        show = request.GET.get("show", "")
        return cls(show if show in SHOWN else "", request.GET.get("q", "").replace("\0", "").strip()[:200])

    @property
    def words(self) -> str:
        """What stands above the cards where they are not all."""
        return SHOWN[self.show][1] if self.show else ""

    @property
    def query(self) -> str:
        """What stands in the address of this page."""
        return urlencode({name: value for name, value in (("show", self.show), ("q", self.text)) if value})


@dataclass(frozen=True, slots=True)
class CardPage:
    """Some cards, and the address of the next ones; "" on the last page."""

    cards: list[MailboxCard]
    older_url: str = ""


@dataclass(frozen=True, slots=True)
class MailboxCard:
    """One email account as its card shows it.

    shared_with: people besides its owner who can use it now; 0 also where the user may not know.
    """

    mailbox: Mailbox
    progress: Progress
    may_change: bool
    may_delete: bool
    shared_with: int = 0

    @property
    def state(self) -> State:
        return _state(self.mailbox, self.progress)

    @property
    def is_busy(self) -> bool:
        """Syncing, or about to: the icon turns."""
        return self.progress.state == State.SYNCING or self.progress.waiting_for == WAITS_FOR_A_WORKER

    @property
    def trouble(self) -> dict[str, str]:
        """What is wrong and how it is cured, in the words of the most likely cause."""
        attention = self.mailbox.attention or {}
        cause: dict[str, str] = next(iter(attention.get("causes") or ()), {})
        title = attention.get("title") or "This account needs attention."
        return {"title": title, "cause": cause.get("cause", ""), "cure": cause.get("cure", "")}

    @property
    def is_refused(self) -> bool:
        """The server refused the login once; after one more try the account would be paused."""
        return self.state == State.WAITING and self.mailbox.login_refusals > 0

    @property
    def cannot_send(self) -> str:
        """Why nothing can be sent, where somebody may want to know; else empty."""
        if not self.mailbox.sends:
            return "Sending is switched off"
        return "" if self.mailbox.can_send else "Cannot send: no mail server is chosen"

    @property
    def footer(self) -> str:
        """What happens now, what the last sync brought, or how mail leaves."""
        # The header has room for one tag.
        shared = "Shared. " if self.mailbox.is_default and self.mailbox.owner_id is None else ""
        return shared + self._news

    @property
    def _news(self) -> str:
        if self.progress.state == State.SYNCING and self.progress.pace:
            return self.progress.pace
        if self.progress.state == State.CONNECTED and self.progress.arrived:
            return f"{self.progress.arrived:,} new message{'' if self.progress.arrived == 1 else 's'} in the last sync"
        if self.mailbox.mail_server is not None:
            return f"Sends through {self.mailbox.mail_server}"
        return "Sends through its provider" if self.mailbox.smtp_host else "Reads only"


def count_states(user: User, now: datetime) -> Counter[State]:
    """How many of the accounts that the user sees are in which state. One query, whose answer is a few numbers."""
    rows = Mailbox.objects.visible_to(user, now).order_by().annotate(state=_state_in_sql(now))
    return Counter({State(state): number for state, number in rows.values_list("state").annotate(Count("pk"))})


def page_of_cards(user: User, asked: Asked, after: str, now: datetime) -> CardPage:
    """The cards that follow the account with the key `after`; an `after` that is none begins at the top.

    Paged by the order of the list, so that nothing is left out or told twice when accounts come and go meanwhile.
    """
    found = Mailbox.objects.visible_to(user, now)
    if asked.show:
        found = found.alias(state=_state_in_sql(now)).filter(state__in=SHOWN[asked.show][0])
    if asked.text:
        found = found.filter(Q(address__icontains=asked.text) | Q(display_name__icontains=asked.text))
    last = Mailbox.objects.visible_to(user, now).filter(pk=after).first() if _is_key(after) else None
    rows = list(_following(found, last).select_related(*_DRAWN)[: PAGE_SIZE + 1])
    cards = cards_of(user, rows[:PAGE_SIZE], now)
    if len(rows) <= PAGE_SIZE:
        return CardPage(cards)
    place = urlencode({"after": rows[PAGE_SIZE - 1].pk})
    return CardPage(cards, f"{reverse('email-settings')}?{place}{'&' if asked.query else ''}{asked.query}")


def card_of(user: User, mailbox_pk: int, now: datetime) -> MailboxCard | None:
    """One card; None for an account that the user does not see."""
    row = Mailbox.objects.visible_to(user, now).select_related(*_DRAWN).filter(pk=mailbox_pk).first()
    return cards_of(user, [row], now)[0] if row is not None else None


def cards_of(user: User, rows: Sequence[Mailbox], now: datetime) -> list[MailboxCard]:
    """The cards of accounts that the user sees; two queries tell which may be changed, and how many share those."""
    keys = [mailbox.pk for mailbox in rows]
    changeable = set(Mailbox.objects.manageable_by(user, now).filter(pk__in=keys).values_list("pk", flat=True))
    shared = sharing_people.counts([mailbox for mailbox in rows if mailbox.pk in changeable], now)
    return [
        MailboxCard(
            mailbox=mailbox,
            progress=_progress(mailbox, now),
            may_change=mailbox.pk in changeable,
            may_delete=mailbox.may_be_deleted_by(user),
            shared_with=shared.get(mailbox.pk, 0),
        )
        for mailbox in rows
    ]


def _following(rows: QuerySet[Mailbox], last: Mailbox | None) -> QuerySet[Mailbox]:
    """What comes after `last` in the order of the list: the default one, then by name, then by key."""
    if last is None:
        return rows
    below = Q(display_name__gt=last.display_name) | Q(display_name=last.display_name, pk__gt=last.pk)
    same = rows.filter(below, is_default=last.is_default)
    return same | rows.filter(is_default=False) if last.is_default else same


def _is_key(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _progress(mailbox: Mailbox, now: datetime) -> Progress:
    return schedule.progress(getattr(mailbox, "schedule", None), now)


def _state(mailbox: Mailbox, progress: Progress) -> State:
    """What comes first: what needs a person, then what happens."""
    return State.NEEDS_ATTENTION if mailbox.attention else progress.state


def _state_in_sql(now: datetime) -> Case:
    """What `_state` says of a mailbox and its `schedule.progress`, as the database sees it."""
    return Case(
        When(attention__isnull=False, then=Value(State.NEEDS_ATTENTION)),
        When(schedule=None, then=Value(State.CONNECTED)),
        When(schedule__leased_until__gt=now, then=Value(State.SYNCING)),
        When(paused_at__isnull=False, then=Value(State.PAUSED)),
        When(schedule__waiting_for__gt="", then=Value(State.WAITING)),
        When(schedule__finished_at=None, then=Value(State.WAITING)),
        When(schedule__requested_at__isnull=False, schedule__due_at__lte=now, then=Value(State.WAITING)),
        default=Value(State.CONNECTED),
    )
