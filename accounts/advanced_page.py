"""The Advanced tab: interval, servers with their live test, pause, and what removes things (spec E10, E12)."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from accounts import pausing
from accounts.advanced_form import IntervalForm, MailboxServersForm
from accounts.checks import checks_of
from accounts.dialogs import changeable_or_404
from accounts.models import Mailbox
from accounts.pausing import CannotResume
from accounts.settings_audit import noting_check
from accounts.settings_page import posted, record_change, settings_tab
from mailservers.streaming import stream_check
from organizations.requests import SignedInRequest
from organizations.sealing import Unopenable


@require_http_methods(["GET", "POST"])
def advanced(request: SignedInRequest, pk: int) -> HttpResponse:
    """Posting changes the interval; the next sync is due by it at once."""
    mailbox = changeable_or_404(request, pk)
    form = IntervalForm(posted(request), instance=mailbox)
    if form.is_bound and form.is_valid():
        form.save()
        record_change(request, mailbox, form.changed_data)
        messages.success(request, "Saved. The next sync is due by it.")
        return redirect("accounts:settings-advanced", mailbox.pk)
    servers_form = MailboxServersForm(instance=mailbox, user=request.user)
    return _page(request, mailbox, form, servers_form, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
def servers(request: SignedInRequest, pk: int) -> HttpResponse:
    """Save the values of the servers, untested if need be: a server may be down today."""
    mailbox = changeable_or_404(request, pk)
    if request.method == "GET":
        return redirect("accounts:settings-advanced", pk)
    form = MailboxServersForm(request.POST, instance=mailbox, user=request.user)
    if form.is_valid():
        form.save()
        record_change(request, mailbox, form.changed_data)
        messages.success(request, "The servers were saved.")
        return redirect("accounts:settings-advanced", mailbox.pk)
    return _page(request, mailbox, IntervalForm(instance=_stored(mailbox)), form, status=422)


@require_POST
def check(request: SignedInRequest, pk: int) -> HttpResponse | StreamingHttpResponse:
    """Test the typed values before they are saved: reading, and sending as mail leaves now."""
    mailbox = changeable_or_404(request, pk)
    form = MailboxServersForm(request.POST, instance=mailbox, user=request.user)
    if form.is_valid():
        try:
            if parts := checks_of(form.save(commit=False), form.secret()):
                return stream_check(request, parts, noting_check(request, mailbox, request.user))
            form.add_error("imap_host", "There is nothing to test: type an IMAP or an SMTP host.")
        except Unopenable:  # the account's own was asked for by the form
            form.add_error(None, "The stored password of the mail server can no longer be opened. Type it again there.")
    context = {"mailbox": mailbox, "servers": form}
    return render(request, "accounts/_settings_servers.html", context, status=422)


@require_POST
def pause(request: SignedInRequest, pk: int) -> HttpResponse:
    """Download nothing until somebody resumes it. A sync that runs already comes to its end."""
    mailbox = changeable_or_404(request, pk)
    pausing.pause(mailbox, by=request.user, now=timezone.now(), request=request)
    messages.success(request, f"{mailbox.address} is paused.")
    return redirect("accounts:settings-advanced", pk)


@require_POST
def resume(request: SignedInRequest, pk: int) -> HttpResponse:
    """End a pause. One for refused credentials ends with new ones, or the account would be locked."""
    mailbox = changeable_or_404(request, pk)
    try:
        if pausing.resume(mailbox, by=request.user, request=request):
            messages.success(request, f"{mailbox.address} goes on.")
    except CannotResume:
        messages.error(request, "The server refused the password. Type the right one under Servers; that resumes it.")
    return redirect("accounts:settings-advanced", pk)


def _page(
    request: SignedInRequest, mailbox: Mailbox, interval: IntervalForm, form: MailboxServersForm, *, status: int
) -> HttpResponse:
    context = {"interval": interval, "servers": form, "may_delete": mailbox.may_be_deleted_by(request.user)}
    return settings_tab(request, _stored(mailbox), "advanced", context, status=status)


def _stored(mailbox: Mailbox) -> Mailbox:
    """The row as it is: a form that did not validate has put what was typed into its own copy."""
    return Mailbox.objects.select_related("organization", "provider", "mail_server").get(pk=mailbox.pk)
