"""Running one step of a connection under a stopwatch, so that a person can watch it happen (spec D1)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from protocols.errors import MailError
from protocols.steps import Observer, Step, StepName, StepStatus


class Stopwatch:
    """What a running step will report: the seconds so far, and `detail`, which the step fills in."""

    def __init__(self) -> None:
        self._began = monotonic()
        self.detail = ""

    @property
    def ms(self) -> int:
        return round((monotonic() - self._began) * 1000)


@contextmanager
def watched(name: StepName, observe: Observer) -> Iterator[Stopwatch]:
    """Report the block as one step, OK with the stopwatch's detail or FAILED with the server's words.

    A MailError that does not yet say where it happened learns it here.
    """
    watch = Stopwatch()
    try:
        yield watch
    except MailError as exc:
        exc.step = exc.step or name
        observe(Step(name, StepStatus.FAILED, watch.ms, exc.reply or str(exc)))
        raise
    observe(Step(name, StepStatus.OK, watch.ms, watch.detail))
