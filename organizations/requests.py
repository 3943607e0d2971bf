"""The request of somebody who is signed in: what every view gets that LoginRequiredMiddleware guards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpRequest

if TYPE_CHECKING:
    from django_htmx.middleware import HtmxDetails

    from organizations.models import User


class SignedInRequest(HttpRequest):
    """For annotations only: behind the middleware `user` is a person, never anonymous."""

    user: User
    htmx: HtmxDetails
