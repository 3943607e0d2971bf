"""How long to wait after a failure: longer each time, and never all at the same moment."""

from __future__ import annotations

import random
from datetime import timedelta

FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)


def backed_off(failures: int) -> timedelta:
    """1, 2, 4 ... minutes, at most an hour."""
    return min(FIRST_WAIT * (1 << min(failures - 1, 10)), LONGEST_WAIT)


def jittered(wait: timedelta, *, spread: float = 0.25) -> timedelta:
    """`wait` and up to `spread` of it more, so that what failed together does not come back together."""
    return wait + spread * random.random() * wait  # noqa: S311
