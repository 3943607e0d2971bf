"""System checks that refuse a dangerous production; `manage.py prepare` and `manage.py check --deploy` run them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Warned

EXAMPLE_HOSTS = {"localhost", "127.0.0.1", "[::1]"}


@register(Tags.security, deploy=True)
def refuse_dangerous_production(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """What must not be in production, each with its cure."""
    found: list[CheckMessage] = []
    if settings.DEBUG:
        found.append(_error("E001", "DEBUG is on: error pages would show settings and mail.", "Unset DEBUG."))
    if settings.SANDBOX:
        found.append(
            _error("E002", "The sandbox is on: its mailboxes have a public password.", "Set EMAILSETTINGS_SANDBOX=0.")
        )
    if "*" in settings.ALLOWED_HOSTS or set(settings.ALLOWED_HOSTS) <= EXAMPLE_HOSTS:
        found.append(
            _error(
                "E003",
                "ALLOWED_HOSTS does not name the host that people type.",
                "Set it to that name, for example ALLOWED_HOSTS=mail.example.com.",
            )
        )
    if not settings.HTTPS:
        found.append(
            _error(
                "E004",
                "Pages are served without HTTPS: passwords and mail would travel readable.",
                "Put a proxy with a certificate in front and set EMAILSETTINGS_HTTPS=true. In a network where nobody "
                "else listens: SILENCED_SYSTEM_CHECKS=emailsettings.E004",
            )
        )
    if settings.PROXIES < 0:
        found.append(_error("E005", "EMAILSETTINGS_PROXIES is below 0.", "Set it to the number of proxies in front."))
    if settings.HTTPS and settings.PROXIES == 0:
        found.append(
            Warned(
                "HTTPS comes from a proxy, and none is declared: everybody would seem to have the proxy's address.",
                hint="Set EMAILSETTINGS_PROXIES to the number of proxies that append to X-Forwarded-For.",
                id="emailsettings.W001",
            )
        )
    return found


def _error(number: str, text: str, cure: str) -> CheckMessage:
    return Error(text, hint=cure, id=f"emailsettings.{number}")
