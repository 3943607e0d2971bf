"""Debian's Chromium through Playwright, under watch: a console error or a foreign request fails the test.

`page` and `context` are pytest-playwright's; this module says which browser they drive and what it must not do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Playwright,
    Request,
    expect,
    sync_playwright,
)

from tests.servers.processes import find_program, unavailable

ROOT = Path(__file__).resolve().parent.parent.parent
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"

#: Headless Chromium that talks to nobody but the pages under test.
FLAGS = [
    "--no-sandbox",  # its own sandbox refuses to work for root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
#: Judge again what changed meanwhile, such as a list that came in live: axe finds elements by their place in the page.
RUN_AXE = """async (options) => {
    for (let tries = 1; ; tries++) {
        let changed = false;
        const observer = new MutationObserver((changes) => {
            changed ||= changes.some((each) => [...each.addedNodes, ...each.removedNodes].some((node) => node.tagName));
        });
        observer.observe(document, {childList: true, subtree: true});
        const result = await axe.run(document, options);
        observer.disconnect();
        if (!changed || tries === 10) return result;
    }
}"""
#: Forms answer 422 with what to correct; and htmx calls it an error when a page is left while it waits for an answer.
NO_COMPLAINT = ("status of 422", "htmx:sendAbort", "htmx:afterRequest")
PATIENCE = 60_000  # milliseconds, for whatever should be there at once: a busy machine takes its time
AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
#: What another colour scheme can change: the elements, their names and their places are the same in both.
RULES_OF_COLOUR = ["color-contrast", "link-in-text-block"]


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """Playwright keeps an event loop in this thread for the rest of the run, so Django is told that this is fine."""
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as running:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        expect.set_options(timeout=PATIENCE)
        yield running


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    chromium = find_program("chromium") or find_program("chromium-browser") or find_program("google-chrome")
    if chromium is None:
        unavailable("Chromium is not installed; on Debian: apt-get install chromium")
    return {**browser_type_launch_args, "executable_path": chromium, "args": FLAGS}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return {
        **browser_context_args,
        "viewport": {"width": 1280, "height": 800},
        "locale": "en-GB",
        "timezone_id": "UTC",
        "reduced_motion": "reduce",
    }


class BrowserWatch:
    """Collects what a page must not do; calling it announces complaints that are the point of a test."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.expected: list[str] = []

    def __call__(self, *patterns: str) -> None:
        self.expected += patterns

    def watch(self, context: BrowserContext) -> None:
        context.on("console", self._console)
        context.on("weberror", lambda error: self.complaints.append(f"uncaught: {error.error}"))
        context.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(each in message.text for each in NO_COMPLAINT):
            place = message.location.get("url", "")
            self.complaints.append(f"console {message.type}: {message.text} ({place})")

    def _request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("http", "https", "ws", "wss"):
            return
        self.requests.append(request.url)
        if address.hostname not in ("127.0.0.1", "localhost"):
            self.complaints.append(f"foreign request: {request.url}")

    def verdict(self) -> str:
        surprises = [text for text in self.complaints if not any(re.search(each, text) for each in self.expected)]
        missing = [each for each in self.expected if not any(re.search(each, text) for text in self.complaints)]
        return "\n".join(
            [f"The browser complained: {text}" for text in surprises]
            + [f"Expected a complaint matching {each!r}; none came." for each in missing]
        )


@pytest.fixture
def browser_watch() -> BrowserWatch:
    """Ask for it to announce complaints: `browser_watch("status of 500")` takes regular expressions."""
    return BrowserWatch()


@pytest.fixture
def new_context(
    request: pytest.FixtureRequest,
    new_context: Callable[..., BrowserContext],
    browser_watch: BrowserWatch,
    finish_requests: Callable[[], None],
) -> Iterator[Callable[..., BrowserContext]]:
    """Each call is one more person's browser, under the same watch. `context` and `page` come from here too.

    Live news need ASGI, which Django's test server is not: there are none, unless a test brings URLs or answers.
    """
    is_product = request.node.get_closest_marker("urls") is None
    made: list[BrowserContext] = []

    def make(**options: Any) -> BrowserContext:
        context = new_context(**options)
        browser_watch.watch(context)
        context.set_default_timeout(PATIENCE)
        if is_product:
            context.route("**/events*", lambda route: route.fulfill(status=204))
        made.append(context)
        return context

    yield make
    verdict = browser_watch.verdict()
    for context in made:
        context.close()
    finish_requests()  # before the database is emptied
    if verdict:
        pytest.fail(verdict, pytrace=False)


def message_box(page: Page) -> Locator:
    """Where a mail is written. A plain box stands there until the editor has come, so ask for the editor's."""
    return page.locator("[data-editor]").get_by_role("textbox", name="Message")


# --- Accessibility ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def axe_source() -> str:
    if not AXE.exists():
        unavailable("axe-core is not installed; run: npm ci --ignore-scripts")
    return AXE.read_text(encoding="utf-8")


@pytest.fixture
def assert_accessible(axe_source: str) -> Callable[[Page], None]:
    """`assert_accessible(page)`: axe finds nothing, and nothing it is unsure of, in light and in dark.

    The script goes in through the debugging protocol, which the page's content security policy does not govern. Frames
    are left out: what they show is other people's mail, and no script runs in them.
    """

    def check(page: Page) -> None:
        problems: dict[str, None] = {}
        for scheme, rules in (("light", AXE_RULES), ("dark", RULES_OF_COLOUR)):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            problems.update(dict.fromkeys(f"{scheme}: {problem}" for problem in _axe(page, axe_source, rules)))
        page.emulate_media(color_scheme=None, reduced_motion="reduce")
        if problems:
            pytest.fail(f"axe on {page.url}:\n" + "\n".join(problems), pytrace=False)

    return check


def _axe(page: Page, source: str, rules: list[str]) -> list[str]:
    if page.evaluate("!window.axe"):
        page.evaluate(f"() => {{ {source} }}")
    options = {
        "runOnly": rules,
        "iframes": False,
        "rules": {"frame-tested": {"enabled": False}},
        "resultTypes": ["violations", "incomplete"],
    }
    result = page.evaluate(RUN_AXE, options)
    return [
        f"{kind} {finding['id']}: {finding['help']}\n    {node['html'][:200]}\n    {node.get('failureSummary', '')}"
        for kind in ("violations", "incomplete")
        for finding in result[kind]
        for node in finding["nodes"]
    ]
