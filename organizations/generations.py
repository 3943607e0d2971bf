"""Which version of the program the database was prepared for (fault R29).

A deployment migrates while parts of the version before still run, and a rollback starts them again. They may read a row
wrongly that the newer version has written, so they stand aside: the rows stay due, and newer parts take them.
"""

from __future__ import annotations

import logging
import time
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final

from celery import Task
from django.apps import apps
from django.db import Error as DatabaseProblem
from django.db.migrations.recorder import MigrationRecorder

log = logging.getLogger(__name__)

OURS: Final = ("organizations", "notifications", "providers", "mailservers", "accounts", "mailstore", "delivery")
LOOK_EVERY: Final = 15.0  # seconds
ADVICE: Final = "This part stands aside; start it again with the newer version."

_looked_at, _answer = -LOOK_EVERY, ""


def newer_migration() -> str:
    """Return "app name" of a migration that was applied and that this program does not know; "" where there is none.

    Asks the database at most once in `LOOK_EVERY` seconds, and logs what it finds as often.
    """
    global _looked_at, _answer
    if time.monotonic() - _looked_at >= LOOK_EVERY:
        _answer = look()
        _looked_at = time.monotonic()
        if _answer:
            log.error("The database was prepared by a newer version: %s is unknown here. %s", _answer, ADVICE)
    return _answer


def look() -> str:
    """As `newer_migration`, asked now: one query."""
    applied = MigrationRecorder.Migration.objects.filter(app__in=OURS).order_by("-id").values_list("app", "name")
    known = _known()
    return next((f"{app} {name}" for app, name in applied if (app, name) not in known), "")


@cache
def _known() -> frozenset[tuple[str, str]]:
    installed = (app for app in OURS if apps.is_installed(app))
    return frozenset((app, name) for app in installed for name in _migrations(app))


def _migrations(app: str) -> list[str]:
    return [module.name for module in iter_modules(import_module(f"{app}.migrations").__path__)]


class GuardedTask(Task):  # type: ignore[misc]  # Celery ships no types
    """Does nothing in a worker that is older than the database, and lets that worker take no more of its queue."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # as Celery has it
        request = self.request
        if request.called_directly:
            return super().__call__(*args, **kwargs)
        if not request.is_eager and (newer := _newer_as_far_as_known()):
            queue = (request.delivery_info or {}).get("routing_key", "")
            log.error("The queue “%s” is left to others, for want of %s.", queue, newer)
            self.app.control.cancel_consumer(queue, destination=[request.hostname])
            return None
        return self.run(*args, **kwargs)


def _newer_as_far_as_known() -> str:
    """A database that does not answer is met by the task itself, which knows what to do about it."""
    try:
        return newer_migration()
    except DatabaseProblem:
        return ""
