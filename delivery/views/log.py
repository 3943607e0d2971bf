"""The email log: every outgoing message one may see, its story, and what can be decided about it (spec I9)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from delivery import cancelling, deciding, log, log_export, scheduling
from delivery.explaining import story_of
from delivery.log_forms import LogFilterForm
from delivery.models import LogRun, OutboxMessage
from delivery.outbox import CannotBeQueued
from delivery.states import RunState
from organizations.caching import private
from organizations.models import User
from organizations.operations import Operation
from organizations.requests import SignedInRequest

Decision = Callable[[OutboxMessage, User, datetime], int]

DECISIONS: dict[str, tuple[Decision, str]] = {
    "cancel": (cancelling.cancel, "Cancelled. Nothing more is sent."),
    "send-now": (scheduling.send_now, "It is tried now."),
    "try-again": (deciding.try_again, "Queued again."),
    "save-copy": (deciding.file_copy_again, "The copy is being saved again."),
}
TOO_LATE = "Nothing was changed: it had moved on meanwhile. This is how it stands now."


@require_GET
@private
def email_log(request: SignedInRequest) -> HttpResponse:
    """The list. Every filter and the place in it stand in the address, so that it can be kept and passed on."""
    form, filters = asked_filters(request)
    found = log.search(request.user, filters, timezone.now())
    page = log.page(found, after=request.GET.get("after", ""), before=request.GET.get("before", ""))
    query = filter_query(request)
    context = {
        "form": form,
        "page": page,
        "filters": filters,
        "query": query,
        "newer": _place(query, "before", page.newer),
        "older": _place(query, "after", page.older),
        "runs": LogRun.objects.visible_to(request.user).filter(state=RunState.RUNNING).defer("keys")[:5],
        "sees_all": request.user.may(Operation.VIEW_EMAIL_LOGS),
        "keeps": request.user.may(Operation.MANAGE_EMAIL_ACCOUNTS),
    }
    return render(request, "delivery/email_log.html", context)


@require_GET
def export(request: SignedInRequest) -> HttpResponseBase:
    """All that the filters leave, as CSV; that it was taken is an entry of the audit log."""
    form, filters = asked_filters(request)
    return log_export.export(request, request.user, filters, form.in_words)


def asked_filters(request: SignedInRequest) -> tuple[LogFilterForm, log.Filters]:
    """The filters of the address; what makes no sense filters nothing, and the form says so."""
    form = LogFilterForm(request.GET or None, user=request.user)
    return form, form.filters() if form.is_bound else log.Filters()


def filter_query(request: SignedInRequest) -> str:
    """The filters as they stand in the address, without a place in the list and without empty ones."""
    query = request.GET.copy()
    for name in list(query):
        if name in ("after", "before") or not query[name]:
            del query[name]
    return query.urlencode()


def _place(query: str, name: str, place: str) -> str:
    """The address of another page of the list; "" where there is none."""
    return "?" + "&".join(filter(None, (query, f"{name}={place}"))) if place else ""


@require_GET
@private
def log_row(request: SignedInRequest, pk: int) -> HttpResponse:
    """One row of the log, for an open page that follows it."""
    [row] = log.rows([_message_or_404(request.user, pk)])
    return render(request, "delivery/_log_row.html", {"row": row})


@require_GET
@private
def message(request: SignedInRequest, pk: int) -> HttpResponse:
    story = story_of(_message_or_404(request.user, pk), request.user, timezone.now())
    return render(request, "delivery/message.html", {"story": story})


@require_GET
@private
def message_story(request: SignedInRequest, pk: int) -> HttpResponse:
    """The part of the message's page that changes, for an open page that follows it."""
    story = story_of(_message_or_404(request.user, pk), request.user, timezone.now())
    return render(request, "delivery/_story.html", {"story": story})


@require_POST
def decide(request: SignedInRequest, pk: int, decision: str) -> HttpResponse:
    """Carry out one button of the message's page; whoever is too late is told so."""
    chosen = _message_or_404(request.user, pk)
    if decision not in DECISIONS:
        raise Http404
    now = timezone.now()
    if not deciding.may_decide(request.user, chosen, now):
        raise deciding.MayNotDecide(f"{request.user} may not decide about message {pk}.")
    act, done = DECISIONS[decision]
    addresses = None
    if decision == "cancel" and (address := request.POST.get("address", "")):
        addresses, done = [address], f"Cancelled for {address}."
        act = partial(cancelling.cancel, addresses=addresses)
    try:
        changed = act(chosen, request.user, now)
    except CannotBeQueued as exc:
        messages.error(request, str(exc))
    else:
        too_late = cancelling.why_not_cancelled(chosen, addresses) if decision == "cancel" else TOO_LATE
        if changed and decision == "cancel" and cancelling.is_unsure(chosen, addresses):
            messages.warning(request, cancelling.UNSURE)
        else:
            messages.success(request, done) if changed else messages.warning(request, too_late)
    return redirect("delivery:message", pk)


@require_POST
def resend(request: SignedInRequest, pk: int) -> HttpResponse:
    """Send the same mail once more, as a message of its own; a double click makes one."""
    original = _message_or_404(request.user, pk)
    key = request.POST.get("submission_key", "").replace("\0", "")[:64]
    try:
        copy = deciding.resend(original, request.user, timezone.now(), submission_key=key)
    except CannotBeQueued as exc:
        messages.error(request, str(exc))
        return redirect("delivery:message", pk)
    messages.success(request, "Queued once more, as a new message.")
    return redirect("delivery:message", copy.pk)


def _message_or_404(user: User, pk: int) -> OutboxMessage:
    related = ("mailbox__mail_server", "author", "organization", "resend_of")
    visible = OutboxMessage.objects.visible_to(user, timezone.now())
    return get_object_or_404(visible.select_related(*related), pk=pk)
