"""Kills syncs, and what else is done with a mailbox, at every named stop and at random moments, or pauses them.

A dry run of each scenario lists the stops that it passes. For each one chosen: the state before the sync is brought
back, a forked process is killed there, the lease passes, a worker goes on; then store, server and an uninterrupted run
are compared (V1 to V3), and one more sync has to change nothing (V6).
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from django.db import connections

from tests.mailstore.kill_points import killing, state
from tests.mailstore.kill_points.bench import Bench, prepared
from tests.mailstore.kill_points.killing import ErrorLines, Unexpected
from tests.mailstore.kill_points.sampling import Share, Tally, some_points
from tests.mailstore.kill_points.scenarios import Scenario
from tests.mailstore.kill_points.snapshots import Snapshots, break_connections
from tests.servers.dovecot import Dovecot

#: Stops inside a transaction. Who is paused there holds locks that outlast the lease, so nobody can overtake it.
IN_TRANSACTION: Final = frozenset({
    "folders written", "new name written", "removals written", "flags written", "epoch written", "rows written",
    "batch written", "comparison written", "rows removed",
})  # fmt: skip


class Driver:
    def __init__(self, snapshots: Snapshots, folder: Path, randomness: random.Random) -> None:
        self._snapshots = snapshots
        self._log = folder / "points"
        self._random = randomness
        self.tally = Tally()

    def drive(self, scenario: Scenario, server: str, dovecot: Dovecot, share: Share) -> str:
        """Put one scenario through its share; return a line that says what was done."""
        errors = ErrorLines()
        logging.getLogger().addHandler(errors)
        try:
            with prepared(scenario, dovecot, self._snapshots) as bench:
                points = self._dry_run(bench, server)
                for point in some_points(points, share.stops, self._random):
                    self._kill_at(bench, server, point)
                for _ in range(share.at_random):
                    self._kill_after(bench, server, self._random.uniform(0, bench.seconds))
                quiet = [point for point in points if point.rpartition(":")[0] not in IN_TRANSACTION]
                for point in some_points(quiet, share.pauses, self._random):
                    self._pause(bench, server, point)
                for point in some_points(points, share.cuts, self._random):
                    self._cut_off(bench, server, point)
        finally:
            logging.getLogger().removeHandler(errors)
        for line in errors.lines:
            self.tally.fault(f"{scenario.name} on {server}: logged as an error: {line}")
        return f"{scenario.name}, {server}: {len(points)} stops; so far {self.tally}"

    def _dry_run(self, bench: Bench, server: str) -> list[str]:
        """Sync without a stop: what it leaves is what every other run has to end with."""
        began = time.monotonic()
        names = killing.passed_points(bench.begin, self._log)
        bench.seconds = time.monotonic() - began
        self.tally.passed.update(names)
        bench.settle()
        expected = state.stored_state()
        self._note(bench, server, "uninterrupted", bench.faults())
        bench.expected = expected
        return list(_occurrences(names))

    def _kill_at(self, bench: Bench, server: str, point: str) -> None:
        bench.restore()
        try:
            killing.kill_at(bench.begin, point)
            faults = ["somebody can claim it before the lease has passed"] if bench.is_free() else []
            bench.resume()
            faults += bench.faults()
        except Unexpected as exc:
            faults = [str(exc)]
        self.tally.killed += 1
        self._note(bench, server, f"killed at {point}", faults)

    def _kill_after(self, bench: Bench, server: str, seconds: float) -> None:
        bench.restore()
        self.tally.killed_at_random += killing.kill_after(bench.begin, seconds)
        bench.resume()
        self._note(bench, server, f"killed after {seconds:.4f} s", bench.faults())

    def _pause(self, bench: Bench, server: str, point: str) -> None:
        """Pause a sync, let another one overtake it, and see that it changes nothing when it goes on (R34)."""
        bench.restore()
        try:
            process = killing.pause_at(bench.begin, point)
            bench.resume()
            faults = bench.faults()
            connections.close_all()
            killing.let_go(process)
        except Unexpected as exc:
            faults = [str(exc)]
        self.tally.paused += 1
        self._note(bench, server, f"paused at {point}", faults + bench.faults())

    def _cut_off(self, bench: Bench, server: str, point: str) -> None:
        """Let the database end all conversations while the sync is at `point`, also within a transaction (R5)."""
        bench.restore()
        try:
            process = killing.pause_at(bench.begin, point)
            break_connections()
            killing.let_go(process, may_fail=True)
            given_up = bench.scenario.work.gives_back and not point.startswith("claim taken")
            faults = ["the claim was not given back"] if given_up and bench.is_held() else []
            bench.resume()
            faults += bench.faults()
        except Unexpected as exc:
            faults = [str(exc)]
        self.tally.cut_off += 1
        self._note(bench, server, f"cut off at {point}", faults)

    def _note(self, bench: Bench, server: str, what: str, faults: list[str]) -> None:
        connections.close_all()
        for line in faults:
            self.tally.fault(f"{bench.scenario.name} on {server}, {what}: {line}")


def _occurrences(names: list[str]) -> Iterator[str]:
    seen: Counter[str] = Counter()
    for name in names:
        seen[name] += 1
        yield f"{name}:{seen[name]}"
