"""Which tests run: slow ones with `--all`, and on the second engine only those that touch the database.

Of the latter those that are about servers (marked `once`) run there with `--all`.
"""

from __future__ import annotations

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
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        kept = set(items) - set(left_out)
        items[:] = [item for item in items if item in kept]
    items.sort(key=uses_browser)  # last: Playwright leaves an event loop running, in which asyncio.run() refuses


def wanted(config: pytest.Config, item: pytest.Item) -> bool:
    if item.get_closest_marker("slow") and not (config.option.run_slow or config.option.show_promises):
        return False
    if config.option.database_only:
        told = item.get_closest_marker("once") and not config.option.run_slow
        return uses_database(item) and not uses_browser(item) and not told
    return not (config.option.without_browser and uses_browser(item))


def uses_database(item: pytest.Item) -> bool:
    fixtures = getattr(item, "fixturenames", ())
    return bool(item.get_closest_marker("django_db")) or bool({"db", "transactional_db"} & set(fixtures))


def uses_browser(item: pytest.Item) -> bool:
    return "playwright" in getattr(item, "fixturenames", ()) or bool(item.get_closest_marker("browser"))
