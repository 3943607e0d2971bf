"""The page that accounts for a mailbox: on the server, stored, skipped and why (spec G6)."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from accounts.dialogs import changeable_or_404
from accounts.models import Mailbox
from accounts.settings_audit import note_reading
from mailstore.reconciliation import ask, reconcile
from organizations.requests import SignedInRequest


@require_http_methods(["GET", "POST"])
def reconciliation(request: SignedInRequest, pk: int) -> HttpResponse:
    """Show the account as it was last taken; POST has it taken anew."""
    mailbox = changeable_or_404(request, pk)
    if request.method == "POST":
        if not mailbox.imap_host:
            raise Http404("This mailbox does not receive.")
        ask(mailbox, by=request.user, now=timezone.now(), request=request)
        messages.success(request, "The comparison begins. This page shows how far it is.")
        return redirect("mailstore:reconciliation", mailbox.pk)
    note_reading(request, mailbox, request.user)
    return render(request, "mailstore/reconciliation.html", _context(request, mailbox))


@require_GET
def reconciliation_live(request: SignedInRequest, pk: int) -> HttpResponse:
    """What changes while a comparison runs."""
    mailbox = changeable_or_404(request, pk)
    return render(request, "mailstore/_reconciliation.html", _context(request, mailbox))


def _context(request: SignedInRequest, mailbox: Mailbox) -> dict[str, object]:
    """Subjects are mail: who may only change the settings gets UIDs and dates."""
    now = timezone.now()
    account = reconcile(mailbox)
    comparison = account.comparison
    return {
        "mailbox": mailbox,
        "tab": "folders",
        "account": account,
        "comparison": comparison,
        "is_under_way": comparison is not None and comparison.is_under_way(now),
        "shows_subjects": Mailbox.objects.readable_by(request.user, now).filter(pk=mailbox.pk).exists(),
    }
