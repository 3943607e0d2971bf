"""Many rows at once, the fast way of each engine: COPY on PostgreSQL, executemany on SQLite.

Keys are reserved first, so that rows which point at each other can be made in memory and written table by table.
Everything here expects to run inside a transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from django.db import connection, models

Row = tuple[Any, ...]

_WITHOUT_ZONE = -len("+00:00")


def reserve_keys(model: type[models.Model], count: int) -> range | list[int]:
    """Return `count` primary keys that no other writer will get."""
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)", [table, count]
            )
            return [key for (key,) in cursor.fetchall()]
        # One writer at a time: nobody else inserts before this transaction ends. AUTOINCREMENT never reuses a key.
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
        found = cursor.fetchone()
        first = (found[0] if found else 0) + 1
        return range(first, first + count)


def insert_rows(model: type[models.Model], columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Insert `rows`, whose values are in the form that `moment`, `storable` and `json.dumps` give them."""
    table = connection.ops.quote_name(model._meta.db_table)
    names = ", ".join(map(connection.ops.quote_name, columns))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            return
        marks = ", ".join(["%s"] * len(columns))
        cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)  # noqa: S608


def is_among(values: Iterable[int] | Iterable[str]) -> tuple[str, list[Any]]:
    """Return what stands behind a column to ask for any of `values`, and its one parameter, however many there are.

    On PostgreSQL an array and not a subquery: while it has no statistics of a table that fills, it takes the table for
    small, and a subquery would be run for each row of it.
    """
    listed = list(values)
    if connection.vendor == "postgresql":
        kind = "text" if listed and isinstance(listed[0], str) else "bigint"
        return f"= ANY(%s::{kind}[])", [listed]
    return "IN (SELECT value FROM json_each(%s))", [json.dumps(listed)]


def moment(at: datetime | None) -> datetime | str | None:
    """Return an aware moment as the engine stores it; None for a moment that no calendar of ours reaches."""
    if at is None:
        return None
    try:
        utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    except OverflowError:
        return None
    return utc if _keeps_moments() else str(utc)[:_WITHOUT_ZONE]


@cache
def _keeps_moments() -> bool:
    """Asked for each moment of each row, where looking up the connection of this thread took half of the time."""
    return connection.vendor == "postgresql"
