"""Keyset paging of lists, newest first or by name: however long a list is, a page costs the same.

A cursor names the last row that was shown by its moment and its key, so that mail that comes meanwhile moves nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, TypeVar
from urllib.parse import quote, unquote

from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Lower

PAGE_SIZE: Final = 40

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR = re.compile(r"(\d{1,18})-(\d{1,18})", re.ASCII)
_NAME_CURSOR = re.compile(r"(\d{1,18})-((?:[\w.~-]|%(?!00)[0-9A-F]{2}){0,1800})", re.ASCII)

Row = TypeVar("Row", bound=Model)
Named = TypeVar("Named", bound=Model)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, and the cursor that the next page begins after; "" on the last page."""

    rows: list[Row]
    next: str = ""


def cursor(at: datetime, pk: int) -> str:
    """Name a place in a list: microseconds since 1970, and the key among rows of the same moment."""
    return f"{(at - _EPOCH) // timedelta(microseconds=1)}-{pk}"


def newest_first(rows: QuerySet[Row], moment: str, after: str = "", *, size: int = PAGE_SIZE) -> Page[Row]:
    """Return up to `size` rows that follow the cursor `after`, ordered by the field `moment`, then by key.

    A cursor that is none, as in an address that somebody cut short, begins at the top.
    """
    return cut(list(following(rows, moment, after)[: size + 1]), moment, size)


def following(rows: QuerySet[Row], moment: str, after: str) -> QuerySet[Row]:
    """All rows that follow the cursor `after`, newest first."""
    if place := _place(after):
        at, pk = place
        rows = rows.filter(Q(**{f"{moment}__lt": at}) | Q(pk__lt=pk), **{f"{moment}__lte": at})
    return rows.order_by(f"-{moment}", "-pk")


def cut(found: list[Row], moment: str, size: int) -> Page[Row]:
    """A page of `size` of the rows `found`; one more than that tells that others follow."""
    more = len(found) > size
    return Page(found[:size], cursor(getattr(found[size - 1], moment), found[size - 1].pk) if more else "")


def in_key_order(rows: QuerySet[Row], after: str = "", *, size: int = PAGE_SIZE) -> Page[Row]:
    """Return up to `size` rows in the order of their keys, for lists that have no moment."""
    if place := _place(after):
        rows = rows.filter(pk__gt=place[1])
    found = list(rows.order_by("pk")[: size + 1])
    more = len(found) > size
    return Page(found[:size], f"0-{found[size - 1].pk}" if more else "")


def is_cursor(text: str) -> bool:
    """Whether `text` names a place in a list. It opens nothing: lists are narrowed by rights before."""
    return _place(text) is not None


def _place(text: str) -> tuple[datetime, int] | None:
    match = _CURSOR.fullmatch(text)
    if match is None:
        return None
    try:
        return _EPOCH + timedelta(microseconds=int(match[1])), int(match[2])
    except OverflowError:
        return None


def by_name(rows: QuerySet[Named], after: str = "", *, size: int = PAGE_SIZE) -> Page[Named]:
    """Return up to `size` rows that follow the cursor `after`, ordered by `name` without case, then by key."""
    sorted_rows = rows.annotate(sort_name=Lower("name")).order_by("sort_name", "pk")
    if place := _NAME_CURSOR.fullmatch(after):
        name, pk = unquote(place[2]), int(place[1])
        sorted_rows = sorted_rows.filter(Q(sort_name__gt=name) | Q(sort_name=name, pk__gt=pk))
    found = list(sorted_rows[: size + 1])
    if len(found) <= size:
        return Page(found)
    last = found[size - 1]
    return Page(found[:size], f"{last.pk}-{quote(last.sort_name, safe='')}")  # type: ignore[attr-defined]
