"""Kills sending at every step, from the pressed button to the filed copy, or pauses it past its lease.

A dry run of each scenario lists the steps. For each one chosen: the state before is brought back, a forked process is
killed there, whoever pressed presses again, and beat finds the rest. Then the rows are held against what the sink has
on its disk: nothing lost, nothing doubled, and only who was stopped between the mark of the final dot and the outcome
may be uncertain.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.db import connections

from tests.delivery.kill_points.bench import Bench, SinkProcess, prepared
from tests.delivery.kill_points.scenarios import Scenario
from tests.delivery.kill_points.steps import WITHIN
from tests.mailstore.kill_points import killing
from tests.mailstore.kill_points.driver import IN_TRANSACTION
from tests.mailstore.kill_points.killing import ErrorLines, Unexpected
from tests.mailstore.kill_points.sampling import Share, Tally, some_points
from tests.mailstore.kill_points.snapshots import Snapshots, break_connections
from tests.servers.dovecot import Dovecot

OPENS: Final = "message out, no dot"  # the mark of the final dot is committed right behind it
MARKED: Final = "final dot marked"
CLOSES: Final = "outcome settled"  # between those two it is the outcome of the message before, written with the mark


@dataclass
class SendingTally(Tally):
    uncertain: int = 0

    def __str__(self) -> str:
        return f"{super().__str__()}, {self.uncertain} recipients uncertain as they should be"


class Driver:
    def __init__(self, snapshots: Snapshots, folder: Path, randomness: random.Random) -> None:
        self._snapshots = snapshots
        self._log = folder / "points"
        self._random = randomness
        self._windows: dict[str, bool] = {}
        self._seconds = 0.0
        self.tally = SendingTally()

    def drive(self, scenario: Scenario, sinks: dict[str, SinkProcess], dovecot: Dovecot, share: Share) -> str:
        """Put one scenario through its share; return a line that says what was done."""
        errors = ErrorLines()
        logging.getLogger().addHandler(errors)
        try:
            with prepared(scenario, sinks, dovecot, self._snapshots) as bench:
                self._windows = self._dry_run(bench)
                points = list(self._windows)
                for point in some_points(points, share.stops, self._random):
                    self._kill_at(bench, point)
                for _ in range(share.at_random):
                    self._kill_after(bench, self._random.uniform(0, self._seconds))
                quiet = [point for point in points if not _holds_locks(point)]
                for point in some_points(quiet, share.pauses, self._random):
                    self._pause(bench, point)
                for point in some_points(points, share.cuts, self._random):
                    self._cut_off(bench, point)
        finally:
            logging.getLogger().removeHandler(errors)
        for line in errors.lines:
            self.tally.fault(f"{scenario.name}: logged as an error: {line}")
        return f"{scenario.name}: {len(points)} steps; so far {self.tally}"

    def _dry_run(self, bench: Bench) -> dict[str, bool]:
        """Go through it without a stop; return its steps in order, and of each whether uncertainty may come of it."""
        bench.restore()
        began = time.monotonic()
        names = killing.passed_points(bench.press, self._log)
        self._seconds = time.monotonic() - began
        self.tally.passed.update(names)
        bench.resume()
        self._note(bench, "uninterrupted", bench.faults(may_be_uncertain=False))
        windows: dict[str, bool] = {}
        seen: Counter[str] = Counter()
        opened = marking = False
        for name in names:
            marking = (marking or name == OPENS) and name != MARKED
            opened = opened or marking
            seen[name] += 1
            windows[f"{name}:{seen[name]}"] = opened
            if name == CLOSES and not marking:
                opened = False
        return windows

    def _kill_at(self, bench: Bench, point: str) -> None:
        bench.restore()
        faults = []
        try:
            killing.kill_at(bench.press, point)
            bench.resume()
            faults += bench.faults(may_be_uncertain=self._windows[point])
        except Unexpected as exc:
            faults.append(str(exc))
        self.tally.killed += 1
        self._note(bench, f"killed at {point}", faults)

    def _kill_after(self, bench: Bench, seconds: float) -> None:
        bench.restore()
        self.tally.killed_at_random += killing.kill_after(bench.press_plainly, seconds)
        bench.resume()
        self._note(bench, f"killed after {seconds:.4f} s", bench.faults(may_be_uncertain=True))

    def _pause(self, bench: Bench, point: str) -> None:
        """Pause it past its lease, let others go on, and see that it changes nothing when it wakes up (R34)."""
        bench.restore()
        faults = []
        try:
            process = killing.pause_at(bench.press, point)
            bench.resume()
            faults += bench.faults(may_be_uncertain=self._windows[point])
            connections.close_all()
            killing.let_go(process)
            faults += bench.faults(may_be_uncertain=self._windows[point])
        except Unexpected as exc:
            faults.append(str(exc))
        self.tally.paused += 1
        self._note(bench, f"paused at {point}", faults)

    def _cut_off(self, bench: Bench, point: str) -> None:
        """Let the database end all conversations while it is at `point`, also within a transaction (R5)."""
        bench.restore()
        faults = []
        try:
            process = killing.pause_at(bench.press, point)
            break_connections()
            killing.let_go(process, may_fail=True)
            bench.resume()
            faults += bench.faults(may_be_uncertain=self._windows[point])
        except Unexpected as exc:
            faults.append(str(exc))
        self.tally.cut_off += 1
        self._note(bench, f"cut off at {point}", faults)

    def _note(self, bench: Bench, what: str, faults: list[str]) -> None:
        self.tally.uncertain += bench.uncertain
        connections.close_all()
        for line in faults:
            self.tally.fault(f"{bench.scenario.name}, {what}: {line}")


def _holds_locks(point: str) -> bool:
    """Whether it lies in a transaction, also of the sync behind the copy: who is paused there stops all others."""
    return WITHIN in point or point.rpartition(":")[0] in IN_TRANSACTION
