"""How large a message may be: as the submission server said last, and as the catalog knows (RFC 1870; spec I8)."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from django.db import DatabaseError

from mailservers.models import SizeLimit
from protocols.endpoint import Endpoint
from providers.models import Provider

log = logging.getLogger(__name__)

Place = tuple[str, int]  # host in small letters, port


def place(endpoint: Endpoint) -> Place:
    return endpoint.host.lower(), endpoint.port


def note_size_limit(endpoint: Endpoint, octets: int, now: datetime) -> None:
    """Keep what the server offered, 0 for nothing. Written only where it changed; a failing database stops nobody."""
    host, port = place(endpoint)
    try:
        known = SizeLimit.objects.filter(host=host, port=port)
        if octets == (known.values_list("octets", flat=True).first() or 0):
            return
        if octets:
            SizeLimit.objects.update_or_create(host=host, port=port, defaults={"octets": octets, "seen_at": now})
        else:
            known.delete()
    except DatabaseError as exc:
        log.warning("What %s says about sizes is not kept: %s", endpoint, exc)


def size_limits(places: Iterable[Place]) -> dict[Place, int]:
    """What is remembered of these servers, in one query."""
    wanted = set(places)
    rows = SizeLimit.objects.filter(host__in={host for host, _ in wanted}).values_list("host", "port", "octets")
    return {(host, port): octets for host, port, octets in rows if (host, port) in wanted}


def largest_message(told: int, provider: Provider | None) -> int:
    """The smaller of what the server told and what the catalog knows, each 0 where it is silent; 0: nobody knows."""
    known = provider.limits.get("message_size") if provider is not None else None
    return min(filter(None, (told, known)), default=0)
