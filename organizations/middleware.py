"""What every request goes through: the reader's own time zone, and a way back for pages whose session has ended."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.utils import timezone
from django.utils.http import urlencode
from django_htmx.middleware import HtmxDetails


class PersonalTimeZoneMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            try:
                timezone.activate(ZoneInfo(request.user.time_zone))
            except (ZoneInfoNotFoundError, ValueError):
                timezone.deactivate()
        else:
            timezone.deactivate()
        return self.get_response(request)


class SignInAgainMiddleware:
    """Send the whole page to sign-in when one of its parts finds the session ended.

    htmx would follow the redirect and put the sign-in page where a card or a dialog belongs.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        sign_in = resolve_url(settings.LOGIN_URL)
        if "HX-Request" in request.headers and response.headers.get("Location", "").partition("?")[0] == sign_in:
            page = HtmxDetails(request).current_url_abs_path
            query = urlencode({REDIRECT_FIELD_NAME: page}) if page else ""
            return HttpResponse(status=204, headers={"HX-Redirect": f"{sign_in}?{query}" if query else sign_in})
        return response
