"""Kill points of sending.

    python -m tests.delivery.kill_points                    40 stops, a few random moments and pauses
    python -m tests.delivery.kill_points --all              every step of every scenario
    python -m tests.delivery.kill_points --scenario many --stops 0 --seed 7

On SQLite, or on the cluster that DATABASE_URL names. A seed repeats what it chose.
"""

from __future__ import annotations

import argparse
import random
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tests import environment
from tests.mailstore.kill_points.__main__ import own_database, some_of

if TYPE_CHECKING:
    from tests.delivery.kill_points.driver import Share


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="es-kill-", dir="/tmp"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(environment.clean_up)
        stack.enter_context(own_database())
        from tests.delivery.kill_points.bench import running_sinks
        from tests.delivery.kill_points.driver import Driver, named_stops
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
        for scenario, share in zip(chosen, _shares(len(chosen), options, randomness), strict=True):
            print(driver.drive(scenario, sinks, dovecot, share), flush=True)
        tally = driver.tally
        if len(chosen) == len(SCENARIOS):
            for name in sorted(named_stops() - set(tally.passed)):
                tally.fault(f"no scenario passes {name!r}")
    print(f"seed {options.seed}: {len(chosen)} scenarios, {tally}", *tally.faults, sep="\n")
    return bool(tally.faults)


def _shares(runs: int, options: argparse.Namespace, randomness: random.Random) -> Iterator[Share]:
    """Spread what was asked for over all scenarios as evenly as it goes."""
    from django.db import connection

    from tests.delivery.kill_points.driver import Share

    cuts = options.cuts if connection.vendor == "postgresql" else 0
    order = list(range(runs))
    randomness.shuffle(order)
    for place in order:
        stops, at_random, pauses, cut = (
            None if number is None else number // runs + (place < number % runs)
            for number in (None if options.all else options.stops, options.random, options.pauses, cuts)
        )
        yield Share(stops, at_random or 0, pauses or 0, cut or 0)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--stops", type=int, default=40, help="in all; without --all")
    parser.add_argument("--random", type=int, default=4, help="kills at random moments")
    parser.add_argument("--pauses", type=int, default=4, help="pauses past the lease")
    parser.add_argument("--cuts", type=int, default=4, help="broken connections to a PostgreSQL database")
    parser.add_argument("--scenario", default="", help="only those with this in their names")
    parser.add_argument("--scenarios", type=int, help="at most so many, chosen by the seed")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
