"""Scheduled mail: what waits for its moment, another moment for it, and the way back into the composer (spec I5)."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from delivery import cancelling, log, scheduling
from delivery.models import OutboxMessage
from delivery.outbox import CannotBeQueued
from delivery.schedule_form import NewTimeForm
from delivery.taking_back import reopened
from organizations.caching import private
from organizations.requests import SignedInRequest

SHOWN = 200  # more than anybody schedules by hand; programs have the API's list


@require_GET
@private
def scheduled(request: SignedInRequest) -> HttpResponse:
    """The next one first."""
    found = list(scheduling.waiting(request.user, timezone.now())[: SHOWN + 1])
    context = {"rows": log.rows(found[:SHOWN]), "more": len(found) > SHOWN, "shown": SHOWN}
    return render(request, "delivery/scheduled.html", context)


@require_GET
@private
def row(request: SignedInRequest, pk: int) -> HttpResponse:
    """One line of the list, for an open page that follows it; gone once it does not wait any more."""
    [line] = log.rows([_waiting_or_404(request, pk)])
    return render(request, "delivery/_scheduled_row.html", {"row": line})


@require_http_methods(["GET", "POST"])
@private
def reschedule(request: SignedInRequest, pk: int) -> HttpResponse:
    """The dialog that gives it another time."""
    message = _waiting_or_404(request, pk)
    if request.method == "GET":
        form = NewTimeForm(initial={"send_on": timezone.localtime(message.scheduled_for).replace(tzinfo=None)})
        return render(request, "delivery/_reschedule.html", {"form": form, "message": message})
    form = NewTimeForm(request.POST)
    if form.is_valid() and form.schedule is not None:
        try:
            moved = scheduling.reschedule(message, request.user, form.schedule.moment, timezone.now())
        except CannotBeQueued as exc:
            form.add_error("send_on" if exc.field == "scheduled_for" else None, str(exc))
        else:
            return _told(request, message, moved, form.schedule.note)
    return render(request, "delivery/_reschedule.html", {"form": form, "message": message}, status=422)


@require_POST
def take_back(request: SignedInRequest, pk: int) -> HttpResponse:
    """Cancel it, and open it again where its author did that."""
    message = _waiting_or_404(request, pk)
    if not cancelling.cancel(message, request.user, timezone.now()):
        messages.warning(request, cancelling.why_not_cancelled(message))
        return redirect("delivery:message", pk)
    if message.author_id == request.user.pk and reopened(message) is not None:
        return redirect("delivery:reopen", pk)
    messages.success(request, "Cancelled. Nothing of it is sent.")
    return redirect("delivery:scheduled")


def _told(request: SignedInRequest, message: OutboxMessage, moved: int, note: str) -> HttpResponse:
    if moved:
        messages.success(request, f"It has another time now. {note}".strip())
    else:
        messages.warning(request, cancelling.why_not_cancelled(message))
    response = redirect("delivery:scheduled")
    return HttpResponseClientRedirect(response.url) if request.htmx else response


def _waiting_or_404(request: SignedInRequest, pk: int) -> OutboxMessage:
    related = ("mailbox__mail_server", "author", "organization")
    waiting = scheduling.waiting(request.user, timezone.now()).select_related(*related)
    return get_object_or_404(waiting, pk=pk)
