"""One's own API tokens: make one, see when each was used, revoke (spec L1)."""

from __future__ import annotations

from datetime import datetime

from django.contrib import messages
from django.db.models import Prefetch
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import TokenMailbox
from accounts.token_form import TokenForm
from organizations.models import ApiToken
from organizations.requests import SignedInRequest
from organizations.scopes import Scope
from organizations.tokens import revoke, revoke_all


@never_cache
@require_http_methods(["GET", "POST"])
def tokens(request: SignedInRequest) -> HttpResponse:
    """The list and the form. A new token is in the answer to the form alone: nothing keeps it."""
    now = timezone.now()
    form = TokenForm(request.POST if request.method == "POST" else None, user=request.user)
    context: dict[str, object] = {"form": form}
    if request.method == "POST" and form.is_valid() and (made := form.issue(now, request)) is not None:
        context = {"form": TokenForm(user=request.user), "token": made[0], "text": made[1]}
    lines = _lines(request, now)
    context |= {"tokens": lines, "now": now, "several_work": sum(bool(line["works"]) for line in lines) > 1}
    return render(request, "accounts/tokens.html", context, status=422 if form.errors else 200)


@require_POST
def revoke_token(request: SignedInRequest, pk: int) -> HttpResponse:
    token = get_object_or_404(ApiToken.objects.of(request.user), pk=pk)
    if revoke(token, request.user, timezone.now(), request):
        messages.success(request, f"“{token}” does not work any more.")
    return redirect("accounts:tokens")


@require_POST
def revoke_all_tokens(request: SignedInRequest) -> HttpResponse:
    if number := revoke_all(request.user, timezone.now(), request):
        messages.success(request, f"{number} token{'s' * (number != 1)} revoked.")
    return redirect("accounts:tokens")


def _lines(request: SignedInRequest, now: datetime) -> list[dict[str, object]]:
    """Those that work first; two queries."""
    bindings = Prefetch("bindings", TokenMailbox.objects.select_related("mailbox"))
    labels = {scope.value: scope.label for scope in Scope}
    lines = [
        {
            "token": token,
            "works": token.revoked_at is None and (token.expires_at is None or token.expires_at > now),
            "scopes": [labels.get(scope, scope) for scope in token.scopes],
            "mailboxes": [binding.mailbox.address for binding in token.bindings.all()],
        }
        for token in ApiToken.objects.of(request.user).prefetch_related(bindings)[:200]
    ]
    return sorted(lines, key=lambda line: not line["works"])
