"""When a message is tried again (spec I3). Pure: the moment, the number of tries and the chance are given in."""

from __future__ import annotations

from datetime import datetime, timedelta

from protocols.diagnosis import Retry

STEPS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=60))
JITTER = 0.2  # each wait is this much shorter or longer, so that a broken server does not meet all messages at once
ONCE_LATER = timedelta(minutes=10)
NEXT_DAY = timedelta(hours=24)
LOOK_AGAIN = timedelta(minutes=10)  # for what waits on a person: asks nobody, so it may be often


def next_try(retry: Retry, tries: int, *, now: datetime, expires_at: datetime, chance: float) -> datetime | None:
    """Return when to try again, None when it has failed for good.

    tries:      how many tries there were before the one that just ended.
    expires_at: no try begins after it.
    chance:     a number from 0 to 1 that places the try within its jitter.
    """
    if retry is Retry.STOP or (retry is Retry.ONCE_LATER and tries > 0):
        return None
    if retry is Retry.NEXT_DAY:
        wait = NEXT_DAY
    elif retry is Retry.ONCE_LATER:
        wait = ONCE_LATER
    else:
        wait = STEPS[min(tries, len(STEPS) - 1)] * (1 + JITTER * (2 * chance - 1))
    moment = now + wait
    return moment if moment <= expires_at else None
