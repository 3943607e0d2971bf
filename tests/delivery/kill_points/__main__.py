"""Kill points of sending.

    python -m tests.delivery.kill_points                    40 stops, a few random moments and pauses
    python -m tests.delivery.kill_points --all              every step of every scenario
    python -m tests.delivery.kill_points --scenario many --stops 0 --seed 7

On SQLite, or on the cluster that DATABASE_URL names. A seed repeats what it chose.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import delivery
from tests import environment
from tests.mailstore.kill_points.__main__ import own_database
from tests.mailstore.kill_points.sampling import named_stops, options_of, shares, some_of


def main(arguments: Sequence[str] | None = None) -> int:
    options = options_of(arguments, __doc__, stops=40, at_random=4, pauses=4, cuts=4)
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="es-kill-", dir="/tmp"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(environment.clean_up)
        stack.enter_context(own_database())
        from tests.delivery.kill_points.bench import running_sinks
        from tests.delivery.kill_points.driver import Driver
        from tests.delivery.kill_points.scenarios import SCENARIOS
        from tests.mailstore.kill_points.snapshots import snapshots
        from tests.servers.dovecot import running_dovecot

        kept = snapshots(folder)
        kept.save("empty")
        dovecot = stack.enter_context(running_dovecot())
        sinks = stack.enter_context(running_sinks(folder))
        randomness = random.Random(options.seed)
        chosen = some_of(SCENARIOS, options, randomness)
        driver = Driver(kept, folder, randomness)
        print(f"seed {options.seed}, {len(chosen)} scenarios", flush=True)
        for scenario, share in zip(chosen, shares(len(chosen), options, randomness), strict=True):
            print(driver.drive(scenario, sinks, dovecot, share), flush=True)
        tally = driver.tally
        if len(chosen) == len(SCENARIOS):
            for name in sorted(named_stops(delivery) - set(tally.passed)):
                tally.fault(f"no scenario passes {name!r}")
    print(f"seed {options.seed}: {len(chosen)} scenarios, {tally}", *tally.faults, sep="\n")
    return bool(tally.faults)


if __name__ == "__main__":
    sys.exit(main())
