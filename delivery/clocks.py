"""After the clock was put back: moments written before would freeze mail for as long as it jumped (R22).

A row that was queued or claimed in the future tells so. What was to wait keeps the length of its wait from now on; a
moment that a person chose stays. Put forward, the clock makes everything due once, and the next wait is as long as
ever: tries are counted, so nothing is tried in a row.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db.models import F

from delivery.models import LoginRefusal, OutboxMessage, OutboxRecipient
from delivery.states import SentCopy, State

ASTRAY: Final = timedelta(minutes=2)  # by which the clocks of several machines may differ
MOST: Final = 1000  # rows in one go; the next sweep goes on
LONGEST_COPY_WAIT: Final = timedelta(hours=2)


def put_right(now: datetime) -> None:
    """Let nothing wait that only seems to. Nothing is written as long as clocks go forward."""
    ahead = now + ASTRAY
    _shorten_waits(now, ahead)
    OutboxRecipient.objects.filter(state=State.SENDING, claimed_at__gt=ahead).update(claimed_at=now)
    copies = OutboxMessage.objects
    copies.filter(sent_copy=SentCopy.FILING, sent_copy_claimed_at__gt=ahead).update(sent_copy_claimed_at=now)
    too_far = now + LONGEST_COPY_WAIT
    copies.filter(sent_copy=SentCopy.WAITING, sent_copy_not_before__gt=too_far).update(sent_copy_not_before=now)
    LoginRefusal.objects.filter(last_at__gt=ahead).update(last_at=now)


def _shorten_waits(now: datetime, ahead: datetime) -> None:
    """Each wait began when the row was queued: `state_at`. It begins anew now, and the time to retry with it."""
    early = OutboxRecipient.objects.filter(state=State.QUEUED, state_at__gt=ahead)
    for recipient in early.select_related("message")[:MOST]:
        chosen = recipient.message.scheduled_for if recipient.claim == 0 else None
        not_before = chosen or now + max(timedelta(0), recipient.not_before - recipient.state_at)
        unchanged = OutboxRecipient.objects.filter(pk=recipient.pk, state=State.QUEUED, state_at=recipient.state_at)
        unchanged.update(
            state_at=now, not_before=not_before, expires_at=not_before + (F("expires_at") - F("not_before"))
        )
