"""Frozen query counts, with an answer that names the queries."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext


class QueryAssertions:
    """`with assert_queries(3): ...`, and `assert_queries.constant(action, grow)` for lists."""

    @contextmanager
    def __call__(self, expected: int) -> Iterator[CaptureQueriesContext]:
        """Fail unless the block runs exactly `expected` queries."""
        with CaptureQueriesContext(connection) as captured:
            yield captured
        if len(captured) != expected:
            shapes = Counter(map(_shape, _statements(captured)))
            listing = "\n".join(f"{times:4} x {shape}" for shape, times in shapes.items())
            pytest.fail(f"{len(captured)} queries instead of {expected}:\n{listing}", pytrace=False)

    def constant(self, action: Callable[[], object], grow: Callable[[], object]) -> None:
        """Fail if `action` needs more queries after `grow` has added rows than before."""
        action()  # what is cached for good is asked now
        before = self._counted(action)
        grow()
        after = self._counted(action)
        if more := after - before:
            listing = "\n".join(f"{before[shape]:4} -> {after[shape]:<4} {shape}" for shape in more)
            pytest.fail(f"The number of queries grows with the rows:\n{listing}", pytrace=False)

    def _counted(self, action: Callable[[], object]) -> Counter[str]:
        with CaptureQueriesContext(connection) as captured:
            action()
        return Counter(map(_shape, _statements(captured)))


def _statements(captured: CaptureQueriesContext) -> list[str]:
    return [query["sql"] for query in captured.captured_queries]


def _shape(sql: str) -> str:
    """The statement without its values, in one line: what repeats in a loop looks the same."""
    sql = re.sub(r'"_django_curs_\w+"', '"cursor"', " ".join(sql.split()))  # PostgreSQL numbers them
    sql = re.sub(r"X?'(?:[^']|'')*'|\b\d+\b", "?", sql)
    sql = re.sub(r"\?::\w+", "?", sql)
    sql = re.sub(r"IN \((?:\?, )+\?\)", "IN (?)", sql)
    sql = re.sub(r"VALUES (?:\((?:\?, )*\?\), )*\((?:\?, )*\?\)", "VALUES (?)", sql)  # of one insertion, however many
    return sql if len(sql) <= 300 else f"{sql[:200]} ... {sql[-95:]}"


@pytest.fixture
def assert_queries(db: None) -> QueryAssertions:
    return QueryAssertions()
