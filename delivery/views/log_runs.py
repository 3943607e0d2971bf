"""Decisions about all mail that the filters leave: asked with a number and a preview, then followed while they run."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from delivery import log_runs
from delivery.deciding import MayNotDecide
from delivery.models import LogRun
from delivery.states import Decision
from delivery.views.log import asked_filters, filter_query
from organizations.caching import private
from organizations.requests import SignedInRequest


@require_http_methods(["GET", "POST"])
@private
def ask(request: SignedInRequest, decision: str) -> HttpResponse:
    """The question, with the number and the newest few; answered with yes it becomes a run."""
    if decision not in Decision.values:
        raise Http404
    form, filters = asked_filters(request)
    now, chosen = timezone.now(), Decision(decision)
    context: dict[str, object] = {"decision": chosen, "words": form.in_words, "query": filter_query(request)}
    context["submission_key"] = request.POST.get("submission_key", "").replace("\0", "")[:64] or uuid.uuid4().hex
    try:
        found = log_runs.preview(request.user, chosen, filters, now)
    except log_runs.CannotRun as exc:
        return _shown(request, context | {"refusal": str(exc)}, status=422 if request.method == "POST" else 200)
    context["preview"] = found
    if request.method == "GET":
        return _shown(request, context)
    if request.POST.get("number") != str(found.total):
        return _shown(request, context | {"changed": True}, status=422)
    key = str(context["submission_key"])
    run = log_runs.start(request.user, chosen, found.keys, form.in_words, now, submission_key=key)
    url = reverse("delivery:log-run", args=[run.pk])
    return HttpResponseClientRedirect(url) if request.htmx else redirect(url)


@require_GET
@private
def log_run(request: SignedInRequest, pk: int) -> HttpResponse:
    """One run, while it goes on and after it; an open page follows it by its fragment."""
    run = _run_or_404(request, pk)
    fragment = request.htmx and not request.htmx.boosted
    template = "delivery/_log_run.html" if fragment else "delivery/log_run.html"
    return render(request, template, {"run": run, "may_stop": log_runs.may_stop(request.user, run)})


@require_POST
def stop_run(request: SignedInRequest, pk: int) -> HttpResponse:
    run = _run_or_404(request, pk)
    if not log_runs.may_stop(request.user, run):
        raise MayNotDecide(f"{request.user} may not stop run {pk}.")
    if log_runs.stop(run, request.user, timezone.now()):
        messages.success(request, "Stopped. What has been done stays done.")
    else:
        messages.warning(request, "It had ended already.")
    return redirect("delivery:log-run", pk)


def _shown(request: SignedInRequest, context: dict[str, object], status: int = 200) -> HttpResponse:
    template = "delivery/_ask_all.html" if request.htmx else "delivery/ask_all.html"
    return render(request, template, context, status=status)


def _run_or_404(request: SignedInRequest, pk: int) -> LogRun:
    runs = LogRun.objects.visible_to(request.user).select_related("author", "organization").defer("keys")
    return get_object_or_404(runs, pk=pk)
