"""Deciding about a message of which nobody knows whether it was sent (spec I3)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from delivery import deciding
from delivery.deciding import About
from delivery.models import OutboxMessage
from delivery.outbox import CannotBeQueued
from organizations.models import User
from organizations.requests import SignedInRequest

Decision = Callable[[OutboxMessage, User, datetime, About], int]

DECISIONS: dict[str, tuple[Decision, str]] = {
    "check-again": (deciding.check_again, "It is being looked for. What is found appears here by itself."),
    "mark-sent": (deciding.mark_sent, "Marked as sent."),
    "send-again": (deciding.send_again, "Queued again, under the same Message-ID."),
}
NOBODY = "Nothing was changed: tick the recipients that it is about."
TOO_LATE = "Nothing was changed: it had moved on meanwhile, by somebody else or by itself. This is how it stands now."


@require_POST
def settle(request: SignedInRequest, pk: int, decision: str) -> HttpResponse:
    """Carry out one of the three ways out, for the ticked recipients; who comes second is told so."""
    now = timezone.now()
    visible = OutboxMessage.objects.visible_to(request.user, now)
    message = get_object_or_404(visible.select_related("mailbox__mail_server", "organization", "author"), pk=pk)
    if decision not in DECISIONS:
        raise Http404
    if not deciding.may_settle(request.user, message, now):
        raise deciding.MayNotDecide(f"{request.user} may not decide about message {pk}.")
    act, done = DECISIONS[decision]
    about = _about(request)
    try:
        changed = act(message, request.user, now, about)
    except CannotBeQueued as exc:
        messages.error(request, str(exc))
    else:
        if changed:
            messages.success(request, done)
        else:
            messages.warning(request, NOBODY if about.addresses == frozenset() else TOO_LATE)
    return redirect("delivery:message", pk)


def _about(request: SignedInRequest) -> About:
    """The ticked recipients, where there were several to tick, and the attempt that the page told of."""
    seen = request.POST.get("version", "")
    ticked = frozenset(request.POST.getlist("recipient")) if "chooses" in request.POST else None
    known = seen.isascii() and seen.isdigit() and len(seen) < 19
    return About(addresses=ticked, seen=int(seen) if known else None)
