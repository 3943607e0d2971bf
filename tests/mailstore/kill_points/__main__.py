"""Kill points of the sync.

    python -m tests.mailstore.kill_points                    60 stops, a few random moments and pauses
    python -m tests.mailstore.kill_points --all              every stop of every scenario on every server
    python -m tests.mailstore.kill_points --scenario renamed --stops 0 --seed 7

On SQLite, or on the cluster that DATABASE_URL names. A seed repeats what it chose.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import mailstore
from tests import environment
from tests.mailstore.kill_points.sampling import named_stops, options_of, shares, some_of

if TYPE_CHECKING:
    from tests.mailstore.kill_points.driver import Driver
    from tests.mailstore.kill_points.scenarios import Scenario
    from tests.servers.dovecot import Dovecot

#: A server without what makes a sync short: states with the list, counted changes, news on opening a folder.
PLAIN = "imap_capability = IMAP4rev1 ID ENABLE LITERAL+ UIDPLUS UNSELECT CHILDREN NAMESPACE"


def main(arguments: Sequence[str] | None = None) -> int:
    options = options_of(arguments, __doc__, stops=60, at_random=8, pauses=6, cuts=6)
    seed = options.seed
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="es-kill-", dir="/tmp"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(environment.clean_up)
        stack.enter_context(own_database())
        from tests.mailstore.kill_points.driver import Driver
        from tests.mailstore.kill_points.scenarios import SCENARIOS
        from tests.mailstore.kill_points.snapshots import snapshots
        from tests.servers.dovecot import running_dovecot

        kept = snapshots(folder)
        kept.save("empty")
        servers = {
            "Dovecot": stack.enter_context(running_dovecot()),
            "plain Dovecot": stack.enter_context(running_dovecot(more=PLAIN)),
        }
        chosen = some_of(SCENARIOS, options, random.Random(seed))
        driver = Driver(kept, folder, random.Random(seed))
        print(f"seed {seed}, {len(chosen)} scenarios", flush=True)
        _drive(driver, chosen, servers, options)
        tally = driver.tally
        if len(chosen) == len(SCENARIOS):
            for name in sorted(named_stops(mailstore) - set(tally.passed)):
                tally.fault(f"no scenario passes {name!r}")
    print(f"seed {seed}: {len(chosen)} scenarios, {tally}", *tally.faults, sep="\n")
    return bool(tally.faults)


def _drive(driver: Driver, scenarios: list[Scenario], servers: dict[str, Dovecot], options: argparse.Namespace) -> None:
    randomness = random.Random(options.seed)
    runs = [(each, server) for each in scenarios for server in servers if each.server in ("", server)]
    if not options.all:  # each scenario on one of the servers
        runs = [(each, each.server or randomness.choice(list(servers))) for each in scenarios]
    for (scenario, server), share in zip(runs, shares(len(runs), options, randomness), strict=True):
        print(driver.drive(scenario, server, servers[server], share), flush=True)


@contextmanager
def own_database() -> Iterator[None]:
    """A database of our own with empty tables, that nobody else uses."""
    import django

    django.setup()
    logging.getLogger().setLevel(logging.ERROR)
    from django.conf import settings
    from django.db import connections

    from tests.databases import make_database

    default = settings.DATABASES["default"]
    default["CONN_MAX_AGE"] = 0
    if default["ENGINE"].endswith("sqlite3"):
        make_database(default["NAME"])
        connections.close_all()
        yield
        return
    from tests.mailstore.kill_points.snapshots import maintenance

    name = f"kill_points_{os.getpid()}"
    make_database(name)
    connections.close_all()
    try:
        yield
    finally:
        connections.close_all()
        with maintenance() as cluster:
            for database in (name, f"{name}_empty", f"{name}_beginning"):
                cluster.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')


if __name__ == "__main__":
    sys.exit(main())
