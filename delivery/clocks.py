"""After the clock was put back: moments written before would freeze mail for as long as it jumped (R22).

A row that was queued or claimed in the future tells so, and so does a lease or a pause that ends later than any can.
What was to wait keeps the length of its wait from now on; a moment that a person chose stays. Put forward, the clock
makes everything due once, and the next wait is as long as ever: tries are counted, so nothing is tried in a row.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db.models import F

from delivery.models import Attempt, AutomaticMail, LoginRefusal, LogRun, OutboxMessage, OutboxRecipient
from delivery.models.log import RUN_LEASE
from delivery.models.routes import SLOT_LEASE, Route, Slot
from delivery.resolving import STEPS
from delivery.retrying import NEXT_DAY
from delivery.states import RunState, SentCopy, State
from mailservers.circuits import PROBE_LEASE, PROBES, Circuit
from organizations.clocks import ASTRAY, PRESENT, bring_back

MOST: Final = 1000  # rows in one go; the next sweep goes on
LONGEST_COPY_WAIT: Final = timedelta(hours=2)


def put_right(now: datetime) -> None:
    """Let nothing wait that only seems to. Nothing is written as long as clocks go forward."""
    ahead = now + ASTRAY
    _shorten_waits(now, ahead)
    OutboxRecipient.objects.filter(state=State.SENDING, claimed_at__gt=ahead).update(claimed_at=now)
    copies = OutboxMessage.objects
    copies.filter(sent_copy=SentCopy.FILING, sent_copy_claimed_at__gt=ahead).update(sent_copy_claimed_at=now)
    bring_back(copies.filter(sent_copy=SentCopy.WAITING), now, sent_copy_not_before=LONGEST_COPY_WAIT)
    bring_back(OutboxRecipient.objects.filter(state=State.UNCERTAIN), now, look_at=STEPS[-1], state_at=PRESENT)
    bring_back(LoginRefusal.objects.all(), now, last_at=PRESENT)
    bring_back(Route.objects.all(), now, nudged_at=PRESENT, held_until=NEXT_DAY)
    bring_back(Slot.objects.all(), now, leased_until=SLOT_LEASE)
    bring_back(Circuit.objects.all(), now, opened_at=PRESENT, probe_at=PROBES[-1], probing_until=PROBE_LEASE)
    bring_back(LogRun.objects.filter(state=RunState.RUNNING), now, leased_until=RUN_LEASE)
    bring_back(AutomaticMail.objects.all(), now, at=PRESENT)


def bring_back_attempts(route: Route, now: datetime) -> None:
    """Count what left by this login in the future as if it had left now: the limits of its server are kept.

    Asked where a limit seems to be reached; the log of millions is not searched for that in each sweep.
    """
    bring_back(Attempt.objects.filter(route=route), now, started_at=PRESENT)


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
