"""The work behind `benchmarks/pages`: fill a database, ask for each page in turn, compare.

`python -m benchmarks.page_times ROUNDS SEED MAILBOXES MESSAGES` measures on the database of DATABASE_URL and prints one
JSON object: page -> {"ms": [...], "processor": [...], "queries": [with a small store, the full one]}. "processor" is
what this process and that of the database used, in milliseconds.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TypedDict

from benchmarks.apart import measured_apart
from benchmarks.report import Figure, options, ratio, report

IN_MEMORY = Path("/dev/shm")
LIMIT = "an empty page"


class Times(TypedDict):
    ms: list[float]
    processor: list[float]
    queries: list[int]


def main() -> None:
    from tests.servers.postgres import running_cluster  # sets the environment of tests, not meant for what is measured

    parser = options(__doc__ or "", rounds=21)
    parser.add_argument("--mailboxes", type=int, default=1_000)
    parser.add_argument("--messages", type=int, default=200_000)
    given = parser.parse_args()
    size = [str(number) for number in (given.rounds, given.seed, given.mailboxes, given.messages)]
    print(f"{given.mailboxes:,} mailboxes, {given.messages:,} messages, seed {given.seed}, {given.rounds} rounds")
    figures: list[Figure] = []
    with (
        running_cluster() as cluster,
        tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder,
    ):
        databases = {"SQLite": f"sqlite:///{folder}/pages.sqlite3", "PostgreSQL": cluster.create_database("pages")}
        for engine, database in databases.items():
            figures += _figures(engine, measured_apart("benchmarks.page_times", database, Path(folder), size))
    report(figures, given.json)


def _figures(engine: str, times: dict[str, Times]) -> list[Figure]:
    limit = times[LIMIT]["ms"]
    figures = []
    for page, measured in times.items():
        small, full = measured["queries"]
        assert small == full, f"{page} on {engine}: {small} queries with a small store, {full} with the full one"
        peers = {} if page == LIMIT else {LIMIT: ratio(measured["ms"], limit)}
        figures.append(Figure(f"{engine}: {page}, {full} queries", measured["ms"], "ms", peers))
        figures.append(Figure(f"{engine}: {page}, processor", measured["processor"], "ms"))
    return figures


if __name__ == "__main__":
    import django

    django.setup()
    from benchmarks.page_world import measure

    print(json.dumps(measure(*map(int, sys.argv[1:]))))
