"""How long the organization keeps its outgoing mail."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from delivery.log_keeping import RetentionForm, store
from delivery.models import LogRetention
from organizations.operations import Operation
from organizations.permissions import operation_required
from organizations.requests import SignedInRequest


@require_http_methods(["GET", "POST"])
@operation_required(Operation.MANAGE_EMAIL_ACCOUNTS)
def retention(request: SignedInRequest) -> HttpResponse:
    kept = LogRetention.of(request.user.organization_id)
    form = RetentionForm(request.POST if request.method == "POST" else None, instance=kept)
    if form.is_valid():
        store(form, request.user, request)
        messages.success(request, "Saved. What is older goes within the next hours.")
        return redirect("delivery:log-retention")
    return render(request, "delivery/log_retention.html", {"form": form}, status=422 if form.is_bound else 200)
