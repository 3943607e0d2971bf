"""The dialogs of the settings page: add, edit and delete an email account (spec E4, E12).

Each also opens by its plain address, as a page of its own.
"""

from __future__ import annotations

import json

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from accounts.checks import checks_of
from accounts.mailbox_form import MailboxForm
from accounts.models import Mailbox
from accounts.saving import delete_mailbox, save_mailbox
from accounts.settings_audit import note_reading, noting_check
from mailservers.models import MailServer
from mailservers.streaming import stream_check
from organizations.operations import Operation
from organizations.permissions import operation_required
from organizations.requests import SignedInRequest
from organizations.sealing import Unopenable


@require_http_methods(["GET", "POST"])
@operation_required(Operation.MANAGE_EMAIL_ACCOUNTS)
def create(request: SignedInRequest) -> HttpResponse:
    form = MailboxForm(request.POST or None, user=request.user)
    if request.method == "POST" and form.is_valid() and save_mailbox(form, request.user, request):
        return _done(request, f"{form.instance.address} was added.")
    return _dialog(request, form, None)


@require_http_methods(["GET", "POST"])
def edit(request: SignedInRequest, pk: int) -> HttpResponse:
    mailbox = changeable_or_404(request, pk)
    form = MailboxForm(request.POST or None, instance=mailbox, user=request.user)
    if request.method == "POST" and form.is_valid() and save_mailbox(form, request.user, request):
        return _done(request, f"{mailbox.address} was saved.")
    note_reading(request, mailbox, request.user)
    return _dialog(request, form, mailbox)


@require_http_methods(["GET", "POST"])
def delete(request: SignedInRequest, pk: int) -> HttpResponse:
    """Ask, with what goes; then delete it here. Nothing on the mail server is touched."""
    mailbox = get_object_or_404(Mailbox.objects.visible_to(request.user, timezone.now()), pk=pk)
    if not mailbox.may_be_deleted_by(request.user):
        raise PermissionDenied
    if request.method == "GET":
        return _shown(request, "accounts/_delete.html", {"mailbox": mailbox, "losses": _losses(mailbox)})
    delete_mailbox(mailbox, request.user, request)
    if (request.htmx.current_url_abs_path or "").startswith(f"/mailboxes/{pk}/settings"):  # a page of what is gone
        messages.success(request, f"{mailbox.address} was deleted.")
        return HttpResponse(headers={"HX-Redirect": reverse("email-settings")})
    return _done(request, f"{mailbox.address} was deleted.")


@require_POST
def check(request: SignedInRequest, pk: int | None = None) -> HttpResponse | StreamingHttpResponse:
    """Test the typed values before they are saved: reading, and sending through its server."""
    mailbox = changeable_or_404(request, pk) if pk is not None else None
    if mailbox is None and not request.user.may(Operation.MANAGE_EMAIL_ACCOUNTS):
        raise PermissionDenied
    form = MailboxForm(request.POST, instance=mailbox, user=request.user)
    if not form.is_valid():
        return _dialog(request, form, mailbox)
    try:
        parts = checks_of(form.save(commit=False), form.secret())
    except Unopenable:  # the account's own was asked for by the form
        form.add_error(None, "The stored password of the mail server can no longer be opened. Type it again there.")
        return _dialog(request, form, mailbox)
    if not parts:
        form.add_error("imap_host", "There is nothing to test: type an IMAP host, or choose a mail server.")
        return _dialog(request, form, mailbox)
    return stream_check(request, parts, noting_check(request, mailbox, request.user))


def changeable_or_404(request: SignedInRequest, pk: int) -> Mailbox:
    """The mailbox, if the user may change its settings; 404 if the user cannot see it, 403 if only that is missing."""
    now = timezone.now()
    mailbox = get_object_or_404(Mailbox.objects.visible_to(request.user, now), pk=pk)
    if not Mailbox.objects.manageable_by(request.user, now).filter(pk=pk).exists():
        raise PermissionDenied
    return mailbox


def _losses(mailbox: Mailbox) -> list[tuple[int, str]]:
    """What goes with a mailbox, each as (number, singular); nothing where it is zero."""
    counts = [
        (mailbox.messages.count(), "stored message"),
        (mailbox.conversations.filter(shown_in=None).count(), "conversation"),
        (mailbox.grants.count(), "right of somebody else"),
    ]
    return [(number, what) for number, what in counts if number]


def _dialog(request: SignedInRequest, form: MailboxForm, mailbox: Mailbox | None) -> HttpResponse:
    context: dict[str, object] = {
        "form": form,
        "mailbox": mailbox,
        "has_servers": MailServer.objects.of(request.user.organization).exists(),
        "manages_servers": request.user.may(Operation.MANAGE_MAIL_SERVERS),
    }
    return _shown(request, "accounts/_dialog.html", context, status=422 if form.is_bound else 200)


def _shown(request: SignedInRequest, fragment: str, context: dict[str, object], *, status: int = 200) -> HttpResponse:
    """The fragment for the dialog, or a page around it where its address was opened plainly."""
    in_page = not request.htmx or "in_page" in request.POST
    context = {**context, "in_page": in_page, "frame": "#account-frame" if in_page else "#dialog-body"}
    if request.htmx:
        return render(request, fragment, context, status=status)
    return render(request, "accounts/page.html", {**context, "fragment": fragment}, status=status)


def _done(request: SignedInRequest, sentence: str) -> HttpResponse:
    """Close the dialog, say so, and let the page draw its accounts anew."""
    if not request.htmx:
        return redirect("email-settings")
    if "in_page" in request.POST:
        return HttpResponse(headers={"HX-Redirect": reverse("email-settings")})
    news = {
        "dialog:close": {},
        "accounts:changed": {},
        "mailservers:changed": {},
        "toast": {"text": sentence, "kind": "good"},
    }
    return HttpResponse(status=204, headers={"HX-Trigger": json.dumps(news)})
