"""Whatever ends a sync, its mailbox's schedule and state say so, in words."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection
from django.utils import timezone

from accounts.models import Mailbox
from mailstore import runs
from mailstore.full_database import DATABASE_FULL, is_full
from mailstore.packs import StorageFull
from mailstore.remapping import EpochUnsteady
from mailstore.run import OutOfTime, Stopping
from mailstore.writing import Claim, ClaimLost
from protocols.errors import MailError

log = logging.getLogger(__name__)


@contextmanager
def settled(mailbox: Mailbox, claim: Claim) -> Iterator[None]:
    """Note how the block failed, where it did. A lost claim ends quietly; only faults of our own are raised."""
    try:
        yield
    except ClaimLost:
        log.info("Mailbox %s was taken over by a newer claim.", mailbox.pk)
    except Stopping:
        runs.go_on_later(mailbox, claim, timezone.now(), why="Its worker was asked to end")
    except OutOfTime:
        runs.go_on_later(mailbox, claim, timezone.now())
    except StorageFull as exc:
        log.error("Mailbox %s: %s", mailbox.pk, exc)  # noqa: TRY400  an operator needs the sentence, not the stack
        runs.storage_full(mailbox, claim, str(exc), timezone.now())
    except EpochUnsteady:
        runs.pause(mailbox, claim, runs.UNSTEADY_EPOCH, timezone.now())
    except MailError as exc:
        log.info("Mailbox %s was not synced: %s", mailbox.pk, type(exc).__name__)
        runs.fail(mailbox, claim, exc, timezone.now())
    except Exception as exc:
        _leave_broken_connection()
        if isinstance(exc, OperationalError) and is_full(exc):
            log.error("Mailbox %s: %s", mailbox.pk, DATABASE_FULL)  # noqa: TRY400  as above
            runs.storage_full(mailbox, claim, DATABASE_FULL, timezone.now())
            return
        words = runs.DATABASE_FAILED if isinstance(exc, OperationalError) else runs.OUR_FAULT
        runs.broke(mailbox, claim, words, timezone.now())
        raise


def _leave_broken_connection() -> None:
    """After a restart of the database the new one takes the ending (fault R5)."""
    if not connection.in_atomic_block and not connection.is_usable():
        connection.close()
