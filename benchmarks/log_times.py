"""The work behind `benchmarks/log`: fill a database, ask for each page in turn, compare.

`python -m benchmarks.log_times ROUNDS SEED ROWS` measures on the database of DATABASE_URL and prints one JSON object:
page -> {"ms": [...], "processor": [...], "queries": N}.
"""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TypedDict

from benchmarks.apart import measured_apart
from benchmarks.report import Figure, options, ratio, report

LIMIT = "an empty page"
ENGINES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


class Times(TypedDict):
    ms: list[float]
    processor: list[float]
    queries: int


def main() -> None:
    from tests.servers.postgres import running_cluster  # sets the environment of tests, not meant for what is measured

    parser = options(__doc__ or "", rounds=11)
    parser.add_argument("--rows", type=int, default=5_000_000, help="messages in the log (default 5,000,000)")
    parser.add_argument("--engine", choices=[*ENGINES], help="one alone; both where it is not said")
    parser.add_argument("--keep", type=Path, help="where the database of SQLite stays")
    given = parser.parse_args()
    size = [str(number) for number in (given.rounds, given.seed, given.rows)]
    print(f"{given.rows:,} messages, seed {given.seed}, {given.rounds} rounds")
    figures: list[Figure] = []
    with ExitStack() as stack:
        folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(exist_ok=True)
        for engine in [given.engine] if given.engine else ENGINES:
            if engine == "sqlite":
                database = f"sqlite:///{folder}/log-{given.rows}-{given.seed}.sqlite3"
            else:
                database = stack.enter_context(running_cluster()).create_database("log")
            figures += _figures(ENGINES[engine], measured_apart("benchmarks.log_times", database, folder, size))
    report(figures, given.json)


def _figures(engine: str, times: dict[str, Times]) -> list[Figure]:
    """Queueing is measured by itself: the page beside it says nothing about it, and its queries are not counted."""
    limit, figures = times[LIMIT]["ms"], []
    for page, measured in times.items():
        is_page = bool(measured["queries"])
        peers = {LIMIT: ratio(measured["ms"], limit)} if is_page and page != LIMIT else {}
        name = f"{engine}: {page}, {measured['queries']} queries" if is_page else f"{engine}: {page}"
        figures.append(Figure(name, measured["ms"], "ms", peers))
        figures.append(Figure(f"{engine}: {page}, processor", measured["processor"], "ms"))
    return figures


if __name__ == "__main__":
    import django

    django.setup()
    from benchmarks.log_world import measure

    print(json.dumps(measure(*map(int, sys.argv[1:]))))
