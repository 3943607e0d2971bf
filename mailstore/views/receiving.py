"""Asking for mail: sync now, the first download, and how much there will be."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts.models import Mailbox
from mailstore.estimate import estimate_download
from mailstore.schedule import request_sync, resume
from organizations.models import User
from organizations.requests import SignedInRequest


@require_POST
def sync(request: SignedInRequest, mailbox_pk: int) -> HttpResponse:
    """Pull at once. What comes of it is told by live news."""
    mailbox = _known_or_404(request.user, mailbox_pk)
    resume(mailbox.pk)
    request_sync(mailbox.pk)
    return HttpResponse(status=204)


@require_POST
def download(request: SignedInRequest, mailbox_pk: int) -> HttpResponse:
    """Begin the first download and go where one sees it."""
    mailbox = _known_or_404(request.user, mailbox_pk)
    request_sync(mailbox.pk)
    if Mailbox.objects.in_panel_of(request.user, timezone.now()).filter(pk=mailbox.pk).exists():
        return redirect("mailstore:mailbox", mailbox.pk)
    messages.success(request, f"The download of {mailbox.address} begins.")
    return redirect("email-settings")


@require_GET
def estimate(request: SignedInRequest, mailbox_pk: int) -> HttpResponse:
    """How much the first download will bring: a few words for the page that offers it."""
    mailbox = _known_or_404(request.user, mailbox_pk)
    return render(request, "mailstore/_estimate.html", {"estimate": estimate_download(mailbox, timezone.now())})


def _known_or_404(user: User, pk: int) -> Mailbox:
    """A mailbox on which the person has any right, or manages as an email account."""
    return get_object_or_404(Mailbox.objects.visible_to(user, timezone.now()), pk=pk)
