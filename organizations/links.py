"""Absolute addresses for mail. Who asks for a page chooses the Host header, so in production it decides nothing."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest


def origin(request: HttpRequest) -> str:
    """Scheme and host where people reach the pages: as it is configured, and as typed only without HTTPS."""
    return str(settings.PUBLIC_URL) if settings.HTTPS else request.build_absolute_uri("/").rstrip("/")
