"""The settings page of one mailbox (spec E6): what it receives, and how often."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.dialogs import changeable_or_404
from accounts.receive_form import ReceiveForm
from organizations import audit
from organizations.requests import SignedInRequest


@require_http_methods(["GET", "POST"])
def receive(request: SignedInRequest, pk: int) -> HttpResponse:
    mailbox = changeable_or_404(request, pk)
    form = ReceiveForm(request.POST or None, instance=mailbox)
    if request.method == "POST" and form.is_valid():
        form.save()
        audit.record(
            "mailbox.changed",
            organization=request.user.organization,
            actor=request.user,
            target=mailbox,
            detail={"fields": sorted(form.changed_data)},
            request=request,
        )
        messages.success(request, "Saved. It counts from the next sync on.")
        return redirect("accounts:settings", mailbox.pk)
    context = {"mailbox": mailbox, "form": form}
    return render(request, "accounts/settings.html", context, status=422 if form.is_bound else 200)
