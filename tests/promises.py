"""Promises and their proofs: `@pytest.mark.proves("B3")` ties a test to a row of docs/promises.tsv.

`./test --promises` prints the table. An ID that nobody promised is an error in the test.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest

TABLE = Path(__file__).resolve().parent.parent / "docs" / "promises.tsv"


@dataclass
class Promise:
    """One row. `state` is "kept" (it must have a proof) or "planned" (it may)."""

    id: str
    state: str
    title: str
    proofs: list[str] = field(default_factory=list)


def read_promises(table: Path = TABLE) -> dict[str, Promise]:
    with table.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {row["id"]: Promise(row["id"], row["state"], row["title"]) for row in rows}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("emailsettings").addoption(
        "--promises", action="store_true", dest="show_promises", help="print promises and their proofs; run nothing"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.option.show_promises:
        config.option.collectonly = True


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    promises = read_promises()
    unknown: dict[str, list[str]] = defaultdict(list)
    for item in items:
        test = item.nodeid.partition("[")[0]
        for marker in item.iter_markers("proves"):
            for promise_id in marker.args:
                if promise_id not in promises:
                    unknown[promise_id].append(test)
                elif test not in promises[promise_id].proofs:
                    promises[promise_id].proofs.append(test)
    if unknown:
        listing = "; ".join(f"{promise_id} ({tests[0]})" for promise_id, tests in unknown.items())
        raise pytest.UsageError(f"No such promise in docs/promises.tsv: {listing}")
    if config.option.show_promises:
        config.stash[SEEN] = promises
        items.clear()


SEEN = pytest.StashKey[dict[str, Promise]]()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Nothing was run because nothing was to be run: that is no failure."""
    if session.config.option.show_promises and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    promises = config.stash.get(SEEN, None)
    if promises is None:
        return
    write = terminalreporter.write_line
    for promise in promises.values():
        if promise.proofs:
            write(f"{promise.id:<4} {promise.title}")
            for proof in promise.proofs:
                write(f"       {proof}")
    unproved = [promise for promise in promises.values() if promise.state == "kept" and not promise.proofs]
    write("")
    for promise in unproved:
        write(f"{promise.id:<4} {promise.title}\n       NO PROOF")
    proved = sum(1 for promise in promises.values() if promise.proofs)
    write("")
    write(f"{proved} of {len(promises)} promises have a proof; {len(unproved)} that should be kept today have none.")
