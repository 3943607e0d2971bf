"""Keeps a claim alive while its worker waits for a slow server, beside the renewal that each batch brings."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, connection
from django.utils import timezone

from mailstore.models import LEASE
from mailstore.writing import Claim, ClaimLost

log = logging.getLogger(__name__)

BEAT = LEASE.total_seconds() / 3  # seconds; two may fail before the lease passes


@contextmanager
def heartbeat(claim: Claim, *, every: float = BEAT) -> Iterator[None]:
    """Renew the lease of `claim` from a thread of its own until the block ends, or the claim is lost."""
    over = threading.Event()
    thread = threading.Thread(target=_beat, args=(claim, every, over), name="sync-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _beat(claim: Claim, every: float, over: threading.Event) -> None:
    while not over.wait(every):
        try:
            claim.hold(timezone.now())
        except ClaimLost:
            return
        except DatabaseError as exc:
            log.warning("The lease of mailbox %s was not renewed: %s", claim.mailbox_pk, exc)
        finally:
            connection.close()
