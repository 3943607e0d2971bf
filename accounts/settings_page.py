"""The settings page of one mailbox, tab by tab (spec E6): Receive, Send, Folders and Log.

Signature, Access and Advanced have modules of their own. Each tab is a page with an address.
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from accounts.dialogs import changeable_or_404
from accounts.folders_form import FoldersForm
from accounts.mailbox_log import audit_lines, running_sync, sync_lines
from accounts.models import Mailbox
from accounts.receive_form import ReceiveForm
from accounts.rights import Right
from accounts.send_form import SendForm
from accounts.settings_audit import note_reading
from organizations import audit
from organizations.requests import SignedInRequest

SAVED = "Saved."


@require_http_methods(["GET", "POST"])
def receive(request: SignedInRequest, pk: int) -> HttpResponse:
    mailbox = changeable_or_404(request, pk)
    form = ReceiveForm(posted(request), instance=mailbox, user=request.user)
    if form.is_bound and form.is_valid():
        form.save()
        record_change(request, mailbox, form.changed_data)
        if form.asks_for_folders:
            messages.success(request, "Saved. Now choose the folders.")
            return redirect("accounts:settings-folders", mailbox.pk)
        messages.success(request, form.change_of_period or "Saved. It counts from the next sync on.")
        return redirect("accounts:settings", mailbox.pk)
    return settings_tab(request, mailbox, "receive", {"form": form}, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
def folders(request: SignedInRequest, pk: int) -> HttpResponse:
    mailbox = changeable_or_404(request, pk)
    form = FoldersForm(posted(request), mailbox=mailbox)
    if form.is_bound and form.is_valid():
        record_change(request, mailbox, form.save())
        messages.success(request, "Saved. It counts from the next sync on.")
        return redirect("accounts:settings-folders", mailbox.pk)
    return settings_tab(request, mailbox, "folders", {"form": form}, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
def send(request: SignedInRequest, pk: int) -> HttpResponse:
    mailbox = changeable_or_404(request, pk)
    may_send = Mailbox.objects.allowing(Right.SEND, request.user, timezone.now()).filter(pk=pk).exists()
    form = SendForm(posted(request), instance=mailbox, user=request.user, may_send=may_send)
    if form.is_bound and form.is_valid():
        form.save()
        record_change(request, mailbox, [name for name in form.changed_data if name != "is_my_default"])
        messages.success(request, SAVED)
        return redirect("accounts:settings-send", mailbox.pk)
    return settings_tab(request, mailbox, "send", {"form": form}, status=422 if form.is_bound else 200)


@require_GET
def log(request: SignedInRequest, pk: int) -> HttpResponse:
    """What happened: the newest syncs, who changed what, and the way to the outgoing messages."""
    mailbox = changeable_or_404(request, pk)
    schedule = getattr(mailbox, "schedule", None)
    next_at = schedule.due_at if schedule is not None and mailbox.downloads and mailbox.paused_at is None else None
    now = timezone.now()
    running = running_sync(mailbox, now)
    if next_at is not None and (running or next_at <= now):
        next_at = None
    context = {"syncs": sync_lines(mailbox), "changes": audit_lines(mailbox), "next_at": next_at, "running": running}
    return settings_tab(request, mailbox, "log", context)


def posted(request: SignedInRequest) -> QueryDict | None:
    """What a form is bound to: what was posted, be it nothing; None where the page is only opened."""
    return request.POST if request.method == "POST" else None


def settings_tab(
    request: SignedInRequest, mailbox: Mailbox, tab: str, context: dict[str, object], *, status: int = 200
) -> HttpResponse:
    """Draw one tab of the page with its frame."""
    note_reading(request, mailbox, request.user)
    context = {**context, "mailbox": mailbox, "tab": tab}
    return render(request, f"accounts/settings_{tab}.html", context, status=status)


def record_change(request: SignedInRequest, mailbox: Mailbox, names: list[str]) -> None:
    """Tell the audit log which settings were changed; nothing where nothing was."""
    if names:
        audit.record(
            "mailbox.changed",
            organization=request.user.organization,
            actor=request.user,
            target=mailbox,
            detail={"fields": sorted(names)},
            request=request,
        )
