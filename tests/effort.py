"""How much processor time work takes, on a machine that is busy with something else too.

Other work makes processor time longer as well, up to several times. So the best of a few tries counts, and where growth
is what matters, a part is compared with the whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Text = TypeVar("Text", str, bytes)
Outcome = TypeVar("Outcome")

TRIES = 3


def grows_in_step(work: Callable[[Text], object], text: Text) -> bool:
    """Whether `work` on the whole text takes about four times what it takes on a quarter, and not sixteen times."""
    quick = whole = float("inf")
    for _ in range(TRIES):
        quick = min(quick, _seconds(lambda: work(text[: len(text) // 4])))
        whole = min(whole, _seconds(lambda: work(text)))
        if whole < max(0.1, 8 * quick):
            return True
    return False


def done_within(seconds: float, work: Callable[[], Outcome]) -> Outcome:
    """What `work` returns, which it can in `seconds` of processor time: for limits far above what it takes."""
    took = []
    for _ in range(TRIES):
        start = time.process_time()
        outcome = work()
        took.append(time.process_time() - start)
        if took[-1] < seconds:
            return outcome
    raise AssertionError(f"{min(took):.2f} s of processor time, where {seconds} are enough")


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
