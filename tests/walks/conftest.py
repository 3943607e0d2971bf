"""Walks: people use the running product in a real browser, from one test to the next.

The tests of a walk share one product and one browser, and go in the order in which they stand in their file: each is
the next thing a person does. What comes after a broken step is not tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.selection import uses_browser
from tests.servers.browser import PATIENCE, BrowserWatch
from tests.servers.processes import private_folder

HERE = Path(__file__).parent
PHONE = {"width": 390, "height": 844}
TALL = {"width": 1280, "height": 2400}  # axe cannot judge the line that the edge of a scrolling list cuts through
BROKEN = pytest.StashKey[str]()


@pytest.fixture(scope="module")
def state_folder() -> Iterator[Path]:
    """The product's own, for one walk."""
    with private_folder("es-run-") as folder:
        yield folder


@pytest.fixture(scope="module")
def walk_watch() -> BrowserWatch:
    return BrowserWatch()


@pytest.fixture(scope="module")
def browser_of_the_walk(
    browser: Browser, browser_context_args: dict[str, Any], walk_watch: BrowserWatch
) -> Iterator[BrowserContext]:
    """One person's browser, signed in for as long as the walk lasts."""
    context = browser.new_context(**browser_context_args)
    walk_watch.watch(context)
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


@pytest.fixture(scope="module")
def tab(browser_of_the_walk: BrowserContext) -> Page:
    """The tab in which the walk goes on."""
    return browser_of_the_walk.new_page()


@pytest.fixture(autouse=True)
def _no_complaint(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each step is answerable for what the browser complained about during it: errors, and requests to strangers."""
    yield
    if "walk_watch" not in request.fixturenames:
        return
    watch: BrowserWatch = request.getfixturevalue("walk_watch")
    verdict = watch.verdict()
    watch.complaints.clear()
    watch.expected.clear()
    if verdict:
        pytest.fail(verdict, pytrace=False)


@pytest.fixture
def look_at(assert_accessible: Callable[[Page], None]) -> Callable[[Page], None]:
    """`look_at(page)`: axe finds nothing in light and dark, and on a phone nothing stands out to the side."""

    def look(page: Page) -> None:
        usual = page.viewport_size
        page.set_viewport_size(TALL)
        assert_accessible(page)
        page.set_viewport_size(PHONE)
        width = page.evaluate("document.documentElement.scrollWidth")
        page.set_viewport_size(usual)
        assert width <= PHONE["width"], f"{page.url} scrolls sideways on a phone: it is {width} px wide"

    return look


# --- One step after the other -----------------------------------------------------------------------------------


def is_step(item: pytest.Item) -> bool:
    return item.path.parent == HERE and "tab" in getattr(item, "fixturenames", ())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the steps of each walk in order again, after pytest-randomly, and walks before whatever else takes a browser.

    They are the longest pieces of work, so the other worker finds enough to do meanwhile. Whatever else production is
    asked comes after its walk: there its parts are stopped.
    """
    steps = sorted(filter(is_step, items), key=lambda step: (step.path, step.reportinfo()[1] or 0))
    others = [item for item in items if not is_step(item)]
    others.sort(key=lambda item: "production" in getattr(item, "fixturenames", ()))
    place = next((number for number, item in enumerate(others) if uses_browser(item)), len(others))
    items[:] = [*others[:place], *steps, *others[place:]]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report.failed and is_step(item) and item.parent is not None:
        item.parent.stash.setdefault(BROKEN, item.name)
    return report


def pytest_runtest_setup(item: pytest.Item) -> None:
    if is_step(item) and item.parent is not None and (broken := item.parent.stash.get(BROKEN, "")):
        pytest.fail(f"the walk ended at {broken}", pytrace=False)
