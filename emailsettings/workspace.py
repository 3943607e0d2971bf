"""The settings workspace: mail servers and email accounts on one page, with an overview on top (spec B1)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Count, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.models import Mailbox, State
from delivery.models import OutboxMessage, OutboxRecipient
from delivery.states import State as Sending
from emailsettings.options import allowed_options
from mailservers.models import MailServer
from mailstore import schedule
from mailstore.schedule import Progress
from organizations.operations import Operation
from organizations.requests import SignedInRequest

if TYPE_CHECKING:
    from organizations.models import User

WAITS_FOR_A_WORKER = "its turn"  # the words of `mailstore.schedule` for a sync that was asked for
WORKING = frozenset({State.CONNECTED, State.WAITING, State.SYNCING})

#: What a number of the overview leads to: `?show=` -> the states, and the words above the cards.
SHOWN = {
    "connected": (WORKING, "Only accounts that work are shown."),
    "syncing": (frozenset({State.SYNCING}), "Only accounts that sync right now are shown."),
    "attention": (frozenset({State.NEEDS_ATTENTION}), "Only accounts that need attention are shown."),
    "paused": (frozenset({State.PAUSED}), "Only paused accounts are shown."),
}


@dataclass(frozen=True, slots=True)
class MailboxCard:
    """One email account as its card shows it."""

    mailbox: Mailbox
    progress: Progress
    may_change: bool
    may_delete: bool

    @property
    def state(self) -> State:
        """What comes first: what needs a person, then what happens."""
        return State.NEEDS_ATTENTION if self.mailbox.attention else self.progress.state

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
        if self.progress.state == State.SYNCING and self.progress.rate_per_second:
            left = self.progress.seconds_left
            rate = f"{self.progress.rate_per_second:,.0f} per second"
            return f"{rate}, about {_duration(left)} left" if left else rate
        if self.progress.state == State.CONNECTED and self.progress.arrived:
            return f"{self.progress.arrived:,} new message{'' if self.progress.arrived == 1 else 's'} in the last sync"
        if self.mailbox.mail_server is not None:
            return f"Sends through {self.mailbox.mail_server}"
        return "Sends through its provider" if self.mailbox.smtp_host else "Reads only"


@dataclass(frozen=True, slots=True)
class Overview:
    """The numbers on top."""

    connected: int
    syncing: int
    need_attention: int
    paused: int
    sent: int
    failed: int
    uncertain: int


@require_GET
def home(request: SignedInRequest) -> HttpResponse:
    """People with mail to read land in it, all others where they can connect a mailbox."""
    reads = Mailbox.objects.readable_by(request.user, timezone.now()).exists()
    return redirect("mailstore:mail" if reads else "email-settings")


@require_GET
def email_settings(request: SignedInRequest) -> HttpResponse:
    user, now = request.user, timezone.now()
    cards = _cards(user, now)
    context = {
        **_accounts(request, cards),
        "overview": _overview(user, cards, now),
        "has_options": bool(allowed_options(user)),
        "manages_servers": user.may(Operation.MANAGE_MAIL_SERVERS),
        "servers": MailServer.objects.manageable_by(user).with_mailbox_count().select_related("provider"),
    }
    return render(request, "emailsettings/email_settings.html", context)


@require_GET
def accounts(request: SignedInRequest) -> HttpResponse:
    """The section with the cards alone, after a dialog changed one."""
    return render(request, "emailsettings/_accounts.html", _accounts(request, _cards(request.user, timezone.now())))


@require_GET
def overview(request: SignedInRequest) -> HttpResponse:
    """The numbers alone, for a page that stays open."""
    now = timezone.now()
    numbers = _overview(request.user, _cards(request.user, now), now)
    return render(request, "emailsettings/_overview.html", {"overview": numbers})


@require_GET
def mailbox_card(request: SignedInRequest, pk: int) -> HttpResponse:
    """One card alone, for a page that stays open."""
    now = timezone.now()
    mailbox = get_object_or_404(_mailboxes(request.user, now), pk=pk)
    may_change = Mailbox.objects.manageable_by(request.user, now).filter(pk=pk).exists()
    return render(request, "accounts/_card.html", {"card": _card(mailbox, request.user, now, may_change=may_change)})


def _accounts(request: SignedInRequest, cards: list[MailboxCard]) -> dict[str, object]:
    """The cards that `?show=` leaves."""
    show = request.GET.get("show", "")
    states, words = SHOWN.get(show, (None, ""))
    return {
        "cards": [card for card in cards if states is None or card.state in states],
        "has_accounts": bool(cards),
        "show": show if words else "",
        "show_words": words,
        "manages_accounts": request.user.may(Operation.MANAGE_EMAIL_ACCOUNTS),
    }


def _mailboxes(user: User, now: datetime) -> QuerySet[Mailbox]:
    return Mailbox.objects.visible_to(user, now).select_related("schedule", "mail_server", "owner", "provider")


def _cards(user: User, now: datetime) -> list[MailboxCard]:
    changeable = set(Mailbox.objects.manageable_by(user, now).values_list("pk", flat=True))
    return [_card(mailbox, user, now, may_change=mailbox.pk in changeable) for mailbox in _mailboxes(user, now)]


def _card(mailbox: Mailbox, user: User, now: datetime, *, may_change: bool) -> MailboxCard:
    progress = schedule.progress(getattr(mailbox, "schedule", None), now)
    return MailboxCard(mailbox, progress, may_change, mailbox.may_be_deleted_by(user))


def _overview(user: User, cards: list[MailboxCard], now: datetime) -> Overview:
    messages = OutboxMessage.objects.visible_to(user, now).filter(created_at__gte=now - timedelta(hours=24))
    outcomes = OutboxRecipient.objects.filter(message__in=messages).values_list("state").annotate(Count("pk"))
    recipients = dict(outcomes.order_by())
    states = [card.state for card in cards]
    return Overview(
        connected=sum(state in WORKING for state in states),
        syncing=states.count(State.SYNCING),
        need_attention=states.count(State.NEEDS_ATTENTION),
        paused=states.count(State.PAUSED),
        sent=recipients.get(Sending.SENT, 0),
        failed=recipients.get(Sending.FAILED, 0),
        uncertain=recipients.get(Sending.UNCERTAIN, 0),
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
