"""What a check of unsaved values found, remembered for an hour, so that the server saved from them shows it at once."""

from __future__ import annotations

import json
from datetime import datetime

from django.core.cache import cache
from django.utils.crypto import salted_hmac
from django.utils.dateparse import parse_datetime

from mailservers.checking import CheckReport
from organizations.models import User
from protocols.credentials import Credentials
from protocols.endpoint import Endpoint

KEPT_FOR = 3600  # seconds


def remember(
    user: User, endpoint: Endpoint, credentials: Credentials | None, report: CheckReport, now: datetime
) -> None:
    value = {"at": now.isoformat(), "report": report.as_json()}
    cache.set(_key(user, endpoint, credentials), value, KEPT_FOR)


def recall(
    user: User, endpoint: Endpoint, credentials: Credentials | None
) -> tuple[dict[str, object], datetime] | None:
    """The report as JSON and its moment, if the same person checked exactly these values lately."""
    value = cache.get(_key(user, endpoint, credentials))
    at = parse_datetime(value["at"]) if value else None
    return (value["report"], at) if at else None


def _key(user: User, endpoint: Endpoint, credentials: Credentials | None) -> str:
    """A keyed hash over every value, the password too: the cache learns nothing about it."""
    login = [credentials.username, credentials.password.reveal()] if credentials else []
    values = json.dumps([user.pk, endpoint.host.lower(), endpoint.port, endpoint.security, endpoint.timeout, *login])
    return f"check:{salted_hmac('mailservers.recent_checks', values, algorithm='sha256').hexdigest()}"
