"""`/healthz` and `/readyz`: for whoever starts the parts and spreads requests over them (spec L5).

Both answer before everything else looks at the request: a prober knows neither the host name nor HTTPS. They tell
nothing but words of their own, since anybody may ask.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus

from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from emailsettings.celery import app
from mailstore.models import Watcher
from organizations import generations

log = logging.getLogger(__name__)

BROKER_PATIENCE = 2.0  # seconds


class HealthMiddleware:
    """Stands first."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method in ("GET", "HEAD") and request.path_info in PROBES:
            response = PROBES[request.path_info]()
            response.headers["Cache-Control"] = "no-store"
            return response
        return self.get_response(request)


def healthz() -> HttpResponse:
    """This process answers. Asks nothing else: a broken database is no reason to start it anew."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz() -> HttpResponse:
    """Whether pages can be served: {"ready": bool, "parts": {part: "ok" or what is wrong}}; 503 when not.

    Without the watcher pages are served too: it is named, and new mail comes with the schedule.
    """
    parts = {name: _outcome(name, check) for name, check in CHECKS.items()}
    ready = all(parts[name] == "ok" for name in NEEDED)
    status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
    return JsonResponse({"ready": ready, "parts": parts}, status=status)


def _outcome(name: str, check: Callable[[], str]) -> str:
    try:
        return check()
    except Exception:
        log.warning("Not ready: %s", name, exc_info=True)
        return "does not answer"


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    executor = MigrationExecutor(connection)
    behind = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if behind:
        return "needs manage.py prepare"
    return "was prepared by a newer version" if generations.look() else "ok"


def _cache() -> str:
    cache.get("readyz")
    return "ok"


def _broker() -> str:
    with app.connection_for_write(connect_timeout=BROKER_PATIENCE) as broker:
        broker.ensure_connection(max_retries=1, timeout=BROKER_PATIENCE)
    return "ok"


def _watcher() -> str:
    watcher = Watcher.objects.first()
    if watcher is None:
        return "does not run"
    return "ok" if watcher.is_alive(timezone.now()) else "does not answer"


CHECKS = {"database": _database, "cache": _cache, "broker": _broker, "watcher": _watcher}
NEEDED = ("database", "cache", "broker")
PROBES = {"/healthz": healthz, "/readyz": readyz}
