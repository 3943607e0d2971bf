"""Taking back what was just sent (spec I5)."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from delivery import cancelling, undo_bar
from delivery.models import OutboxMessage
from organizations.caching import private
from organizations.requests import SignedInRequest


@require_GET
@private
def bar(request: SignedInRequest) -> HttpResponse:
    """The bar as it stands now, for an open page that follows what was sent."""
    return render(request, "delivery/_undo_bar.html", {"lines": undo_bar.shown_on(request)})


@require_POST
def undo(request: SignedInRequest, pk: int) -> HttpResponse:
    """Take it back and open it again; a second press, or another window, opens it too."""
    message = get_object_or_404(OutboxMessage.objects.filter(author=request.user), pk=pk)
    cancelling.cancel(message, request.user, timezone.now())
    if cancelling.was_taken_back(message):
        return redirect("delivery:reopen", pk)
    messages.warning(request, cancelling.why_not_cancelled(message))
    return redirect("delivery:message", pk)
