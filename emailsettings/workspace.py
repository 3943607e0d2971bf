"""The settings workspace: mail servers and email accounts on one page, with an overview on top (spec B1)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Count
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.models import Mailbox, State
from delivery.models import OutboxMessage, OutboxRecipient
from delivery.states import State as Sending
from emailsettings.account_cards import PAGE_SIZE, WORKING, Asked, card_of, count_states, page_of_cards
from emailsettings.options import allowed_options
from mailservers.models import MailServer
from organizations.operations import Operation
from organizations.requests import SignedInRequest

if TYPE_CHECKING:
    from organizations.models import User


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
    bounced: int


@require_GET
def home(request: SignedInRequest) -> HttpResponse:
    """People with mail to read land in it, all others where they can connect a mailbox."""
    reads = Mailbox.objects.readable_by(request.user, timezone.now()).exists()
    return redirect("mailstore:mail" if reads else "email-settings")


@require_GET
def email_settings(request: SignedInRequest) -> HttpResponse:
    user, now = request.user, timezone.now()
    states = count_states(user, now)
    context = _accounts(request, states, now)
    if request.htmx and "after" in request.GET:
        return render(request, "emailsettings/_account_cards.html", context)
    context |= {
        "overview": _overview(user, states, now),
        "has_options": bool(allowed_options(user)),
        "manages_servers": user.may(Operation.MANAGE_MAIL_SERVERS),
        "servers": MailServer.objects.manageable_by(user).for_cards(),
    }
    return render(request, "emailsettings/email_settings.html", context)


@require_GET
def accounts(request: SignedInRequest) -> HttpResponse:
    """The section with the cards alone, after a dialog changed one."""
    now = timezone.now()
    return render(request, "emailsettings/_accounts.html", _accounts(request, count_states(request.user, now), now))


@require_GET
def overview(request: SignedInRequest) -> HttpResponse:
    """The numbers alone, for a page that stays open."""
    now = timezone.now()
    numbers = _overview(request.user, count_states(request.user, now), now)
    return render(request, "emailsettings/_overview.html", {"overview": numbers})


@require_GET
def mailbox_card(request: SignedInRequest, pk: int) -> HttpResponse:
    """One card alone, for a page that stays open."""
    card = card_of(request.user, pk, timezone.now())
    if card is None:
        raise Http404("No such email account.")
    return render(request, "accounts/_card.html", {"card": card})


def _accounts(request: SignedInRequest, states: Counter[State], now: datetime) -> dict[str, object]:
    """A page of the cards that `?show=` and `?q=` leave, after the card that `?after=` names."""
    asked = Asked.of(request)
    return {
        "page": page_of_cards(request.user, asked, request.GET.get("after", ""), now),
        "asked": asked,
        "has_accounts": states.total() > 0,
        "is_searchable": states.total() > PAGE_SIZE or bool(asked.text),
        "manages_accounts": request.user.may(Operation.MANAGE_EMAIL_ACCOUNTS),
    }


def _overview(user: User, states: Counter[State], now: datetime) -> Overview:
    messages = OutboxMessage.objects.visible_to(user, now).filter(created_at__gte=now - timedelta(hours=24))
    outcomes = OutboxRecipient.objects.filter(message__in=messages).values_list("state").annotate(Count("pk"))
    recipients = dict(outcomes.order_by())
    return Overview(
        connected=sum(states[state] for state in WORKING),
        syncing=states[State.SYNCING],
        need_attention=states[State.NEEDS_ATTENTION],
        paused=states[State.PAUSED],
        sent=recipients.get(Sending.SENT, 0),
        failed=recipients.get(Sending.FAILED, 0),
        uncertain=recipients.get(Sending.UNCERTAIN, 0),
        bounced=recipients.get(Sending.BOUNCED, 0),
    )
