"""When a message is tried again (spec I3). Pure: the moment, the number of tries and the chance are given in."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from protocols.diagnosis import Retry

STEPS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=60))
GREYLISTED_STEPS = (timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=30), timedelta(minutes=60))
GREYLISTED = "greylisted"  # the code of the rule: the same sender has to come back, usually after five minutes
SLOWED_STEPS = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 20, 40, 60))
SLOWED_AFTER = 3  # messages in a row
JITTER = 0.2  # each wait is this much shorter or longer, so that a broken server does not meet all messages at once
ONCE_LATER = timedelta(minutes=10)
NEXT_DAY = timedelta(hours=24)
LATE = timedelta(minutes=1)  # by which a try that was due at the end may begin
LOOK_AGAIN = timedelta(minutes=10)  # for what waits on a person: asks nobody, so it may be often


def next_try(
    retry: Retry,
    tries: int,
    *,
    now: datetime,
    expires_at: datetime,
    chance: float,
    rule: str = "",
    reply: str = "",
    earliest: datetime | None = None,
) -> datetime | None:
    """Return when to try again, None when it has failed for good.

    tries:      how many tries there were before the one that just ended.
    expires_at: no try begins after it. A wait of a day, or for a way out, that would go beyond it ends there.
    chance:     a number from 0 to 1 that places the try within its jitter.
    rule:       the code of the doctor's rule; greylisting has steps of its own.
    reply:      the server's words, which may say how long to wait.
    earliest:   when its way out is open again; None: it is.
    """
    if retry is Retry.STOP or (retry is Retry.ONCE_LATER and tries > 0):
        return None
    if retry is Retry.NEXT_DAY:
        wait = NEXT_DAY
    elif retry is Retry.ONCE_LATER:
        wait = ONCE_LATER
    else:
        steps = GREYLISTED_STEPS if rule == GREYLISTED else STEPS
        jittered = steps[min(tries, len(steps) - 1)] * (1 + JITTER * (2 * chance - 1))
        wait = max(jittered, asked_wait(reply) * (1 + JITTER * chance))
    moment = max(now + wait, earliest or now)
    if moment <= expires_at:
        return moment
    has_last_try = retry is Retry.NEXT_DAY or now + wait <= expires_at
    return expires_at if has_last_try and expires_at - now > STEPS[0] else None


def pause_after(slowed: int) -> timedelta | None:
    """How long nothing leaves by a login whose server has put off `slowed` messages in a row; None: go on."""
    if slowed < SLOWED_AFTER:
        return None
    return SLOWED_STEPS[min(slowed - SLOWED_AFTER, len(SLOWED_STEPS) - 1)]


_ASKED = re.compile(r"\b(?:in|after|for|within)\s+(\d{1,5})\s*(s|secs?|seconds?|m|mins?|minutes?)\b", re.IGNORECASE)


def asked_wait(reply: str) -> timedelta:
    """The wait that the server's words ask for, up to an hour: "greylisted, try again in 300 seconds". Zero: none."""
    match = _ASKED.search(reply)
    if match is None:
        return timedelta(0)
    unit = "minutes" if match[2].lower().startswith("m") else "seconds"
    return min(timedelta(**{unit: int(match[1])}), STEPS[-1])
