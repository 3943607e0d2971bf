"""What the dialogs about people answer."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, resolve_url

from organizations.requests import SignedInRequest


def done(request: SignedInRequest, sentence: str, to: str, *args: object) -> HttpResponse:
    """Go to the page `to`, also out of a dialog, and say there what was done."""
    messages.success(request, sentence)
    return _go(request, to, *args)


def not_done(request: SignedInRequest, sentence: str, to: str, *args: object) -> HttpResponse:
    """Nothing was changed, because of what others did meanwhile; the page shows how things stand."""
    messages.error(request, sentence)
    return _go(request, to, *args)


def _go(request: SignedInRequest, to: str, *args: object) -> HttpResponse:
    if request.htmx:
        return HttpResponse(status=204, headers={"HX-Redirect": resolve_url(to, *args)})
    return redirect(to, *args)
