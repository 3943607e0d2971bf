"""The request of somebody who is signed in: what every view gets that LoginRequiredMiddleware guards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpRequest, QueryDict

if TYPE_CHECKING:
    from django_htmx.middleware import HtmxDetails

    from organizations.models import User


class SignedInRequest(HttpRequest):
    """For annotations only: behind the middleware `user` is a person, never anonymous."""

    user: User
    htmx: HtmxDetails


def key_in(form: QueryDict, name: str) -> int:
    """The primary key that a form names; 0, which no row has, where it is none."""
    text = form.get(name, "")
    return int(text) if len(text) < 19 and text.isascii() and text.isdigit() else 0
