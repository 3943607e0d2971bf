"""V7: an ERROR line that a test did not announce fails it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest

#: Loggers that speak for the product. Libraries that we drive into errors on purpose are not among them.
OURS = (
    "accounts", "automation", "delivery", "emailsettings", "mailservers", "mailstore", "notifications", "organizations",
    "protocols", "providers", "sandbox", "systemmail", "webhooks",
    "asyncio", "celery", "django.db", "django.request", "django.template",
)  # fmt: skip


class ErrorWatch(logging.Handler):
    """Collects ERROR lines; calling it announces patterns that must each appear at least once."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []
        self.patterns: list[str] = []

    def __call__(self, *patterns: str) -> None:
        self.patterns += patterns

    def emit(self, record: logging.LogRecord) -> None:
        if any(record.name == name or record.name.startswith(f"{name}.") for name in OURS):
            self.lines.append(f"{record.name}: {self.format(record)}")

    def verdict(self) -> str:
        """What is wrong, in words; empty when every line was announced and every announcement came true."""
        surprises = [line for line in self.lines if not any(re.search(pattern, line) for pattern in self.patterns)]
        missing = [pattern for pattern in self.patterns if not any(re.search(pattern, line) for line in self.lines)]
        return "\n".join(
            [f"Unexpected ERROR log line: {line}" for line in surprises]
            + [f"Expected an ERROR log line matching {pattern!r}; none came." for pattern in missing]
        )


@pytest.fixture(autouse=True)
def expected_errors() -> Iterator[ErrorWatch]:
    """Runs for every test. Ask for it to announce: `expected_errors("disk is full")` takes regular expressions."""
    watch = ErrorWatch()
    logging.getLogger().addHandler(watch)
    try:
        yield watch
    finally:
        logging.getLogger().removeHandler(watch)
    if verdict := watch.verdict():
        pytest.fail(verdict, pytrace=False)
