"""Whether EMAILSETTINGS_PROXIES fits what really arrives; where it does not, operator and administrators are told.

A proxy that is not declared hides everybody behind one address: wrong passwords of one slow down all, and the audit
log cannot tell from where. One that is declared and does not append lets people choose the address they come from.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from typing import Final

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

KEY: Final = "proxies-misfit"
SHOWN_FOR: Final = 24 * 60 * 60  # seconds after it was last seen
NOT_AGAIN_WITHIN: Final = 60 * 60  # seconds: a line of the log for each request would help nobody

UNDECLARED: Final = (
    "Requests come through a proxy that is not declared, so that everybody seems to have its address: sign-ins are "
    "slowed down together, and the audit log shows the proxy. Set EMAILSETTINGS_PROXIES to the number of proxies."
)
TOO_FEW: Final = (
    "Requests arrive with fewer addresses in X-Forwarded-For than EMAILSETTINGS_PROXIES declares proxies. Either a "
    "proxy does not append to that header, or one can be bypassed. Correct the number, or the proxy."
)

_noted: dict[str, float] = {}


def misfit(request: HttpRequest) -> str:
    """What is wrong with the setting as far as `request` shows it: a sentence, or "".

    Only neighbours are believed: anybody on the Internet can send these headers to somebody who has no proxy.
    """
    if not _is_neighbour(request.META.get("REMOTE_ADDR", "")):
        return ""
    forwarded = request.headers.get("X-Forwarded-For", "")
    if settings.PROXIES == 0:
        return UNDECLARED if forwarded or "Forwarded" in request.headers else ""
    return TOO_FEW if len(forwarded.split(",")) < settings.PROXIES or not forwarded else ""


def note(misfit: str) -> None:
    """Log it, and keep it for the pages of administrators; once an hour at most."""
    now = time.monotonic()
    if now - _noted.get(misfit, -NOT_AGAIN_WITHIN) < NOT_AGAIN_WITHIN:
        return
    _noted[misfit] = now
    log.warning("%s", misfit)
    try:
        cache.set(KEY, misfit, SHOWN_FOR)
    except (RedisError, OSError) as exc:
        log.warning("This cannot be shown to administrators: %s", type(exc).__name__)


def noted() -> str:
    """What was wrong within the last day; "" where nothing was, or the cache does not answer."""
    try:
        return str(cache.get(KEY, ""))
    except (RedisError, OSError):
        return ""


def _is_neighbour(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return found.is_private or found.is_loopback or found.is_link_local
