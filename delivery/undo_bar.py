"""The bar that offers Undo on every page for the seconds after Send (spec I5).

A cookie says that there may be something to undo, so that all other pages ask nothing. It says no more: what there is
to undo, and until when, is in the rows.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from delivery.taking_back import FOLLOWED, Undoable, undoable

COOKIE: Final = "undo"


def show(response: HttpResponse, until: datetime) -> None:
    """Let the pages of this browser look for what can be undone, until shortly after `until`."""
    lasting = until - timezone.now() + FOLLOWED
    response.set_cookie(COOKIE, "1", max_age=max(1, round(lasting.total_seconds())), httponly=True, samesite="Lax")


def shown_on(request: HttpRequest) -> list[Undoable]:
    """What the page has to offer; without the cookie nothing, and no query."""
    if COOKIE not in request.COOKIES or not request.user.is_authenticated:
        return []
    return undoable(request.user, timezone.now())
