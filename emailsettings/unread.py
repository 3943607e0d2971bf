"""The unread count of one mailbox, for side bars that stay open."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from emailsettings.navigation import mailbox_lines
from organizations.requests import SignedInRequest


@require_GET
def unread(request: SignedInRequest, pk: int) -> HttpResponse:
    """The count alone, drawn anew when the mailbox announces a change; 404 takes it away (static/live.js)."""
    for mailbox in mailbox_lines(request.user, mailbox_pk=pk):
        return render(request, "emailsettings/_unread.html", {"mailbox_pk": pk, "count": mailbox.unread})
    raise Http404("No such mailbox in your mail panel.")
