"""Which tests run: slow ones with `--all`, and on the second engine only those that touch the database.

Of the latter those that are about servers (marked `once`) run there with `--all`, and of a long matrix of pages (marked
`sampled`) a few cases, others each time. Long tests begin first, so that no worker is left with one in the end.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import groupby

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("emailsettings")
    group.addoption("--all", action="store_true", dest="run_slow", help="also run tests marked slow")
    group.addoption(
        "--database-only", action="store_true", help="run only tests that use the database, and none in a browser"
    )
    group.addoption("--without-browser", action="store_true", help="leave out tests that need a browser")


@pytest.hookimpl(trylast=True)  # after pytest-randomly has shuffled
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if uses_browser(item):
            item.add_marker("browser")
    left_out = [item for item in items if not wanted(config, item)]
    if config.option.database_only and not config.option.run_slow:
        left_out += beyond_the_sample(items, seed=config.getoption("randomly_seed", 0))
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        kept = set(items) - set(left_out)
        items[:] = [item for item in items if item in kept]
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    items.sort(key=uses_browser)  # last: Playwright leaves an event loop running, in which asyncio.run() refuses


def wanted(config: pytest.Config, item: pytest.Item) -> bool:
    if item.get_closest_marker("slow") and not (config.option.run_slow or config.option.show_promises):
        return False
    if config.option.database_only:
        told = item.get_closest_marker("once") and not config.option.run_slow
        return uses_database(item) and not uses_browser(item) and not told
    return not (config.option.without_browser and uses_browser(item))


def beyond_the_sample(items: list[pytest.Item], *, seed: int) -> Iterator[pytest.Item]:
    """The cases that are left out of tests marked `sampled`. Every worker leaves out the same."""
    matrices = [item for item in items if item.get_closest_marker("sampled")]
    matrices.sort(key=lambda item: item.nodeid)
    for name, matrix in groupby(matrices, key=lambda item: item.nodeid.partition("[")[0]):
        cases = list(matrix)
        [size] = cases[0].get_closest_marker("sampled").args
        kept = set(random.Random(f"{seed} {name}").sample(range(len(cases)), min(size, len(cases))))
        yield from (case for number, case in enumerate(cases) if number not in kept)


def uses_database(item: pytest.Item) -> bool:
    fixtures = getattr(item, "fixturenames", ())
    return bool(item.get_closest_marker("django_db")) or bool({"db", "transactional_db"} & set(fixtures))


def uses_browser(item: pytest.Item) -> bool:
    return "playwright" in getattr(item, "fixturenames", ()) or bool(item.get_closest_marker("browser"))
