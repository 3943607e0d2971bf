"""What every request goes through: its true address, the reader's time zone, and a way back once a session ended."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.exceptions import ValidationError
from django.core.validators import validate_ipv46_address
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.utils import timezone
from django.utils.http import urlencode
from django_htmx.middleware import HtmxDetails

from organizations import proxies


def _is_address(text: str) -> bool:
    """As the audit log stores it: no port, no zone."""
    try:
        validate_ipv46_address(text)
    except ValidationError:
        return False
    return "%" not in text


class ClientAddressMiddleware:
    """REMOTE_ADDR is the person's address also behind proxies, as far as those are ours (EMAILSETTINGS_PROXIES).

    Otherwise everybody would come from the proxy: one stranger's wrong passwords would slow down all sign-ins, and the
    audit log could not tell from where. Each proxy appends whom it talked to, so what stands further left is hearsay.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if wrong := proxies.misfit(request):
            proxies.note(wrong)
        told = [each.strip() for each in request.headers.get("X-Forwarded-For", "").split(",")]
        if 0 < settings.PROXIES <= len(told):
            nearest = told[-settings.PROXIES]
            if _is_address(nearest):  # else the proxy's own, which is at least true
                request.META["REMOTE_ADDR"] = nearest
        return self.get_response(request)


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
