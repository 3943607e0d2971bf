"""Keeping within the connections that a login may have open, over all workers: a row for each, alive while it beats."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, close_old_connections, connection
from django.utils import timezone

from delivery.models.routes import SLOT_LEASE, Route, Slot

log = logging.getLogger(__name__)

BEAT = SLOT_LEASE.total_seconds() / 3  # seconds; two may fail before the lease passes


@contextmanager
def slot_of(route: Route) -> Iterator[int | None]:
    """Hold one of the connections that the login may have open; its key, or None while all are in use.

    A slot whose worker was killed is free again after a minute and a half, without waiting for its messages' leases.
    """
    slot = Slot.objects.take(route, route.limits.connections, timezone.now())
    if slot is None:
        yield None
        return
    over = threading.Event()
    thread = threading.Thread(target=_beat, args=(slot.pk, over), name="slot-heartbeat", daemon=True)
    thread.start()
    try:
        yield slot.pk
    finally:
        over.set()
        thread.join()
        _give_back(slot.pk)


def _give_back(pk: int) -> None:
    """Whatever broke the conversation with the database may have ended this one too; else the lease ends it."""
    try:
        Slot.objects.filter(pk=pk).delete()
    except DatabaseError:
        close_old_connections()
        Slot.objects.filter(pk=pk).delete()


def _beat(pk: int, over: threading.Event) -> None:
    while not over.wait(BEAT):
        try:
            if not Slot.objects.renew(pk, timezone.now()):
                log.warning("Slot %s was given up meanwhile; its connection is one too many until it is closed.", pk)
                return
        except DatabaseError as exc:
            log.warning("Slot %s was not renewed: %s", pk, exc)
        finally:
            connection.close()
