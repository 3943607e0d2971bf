"""Clocks that were put back: what they wrote before would keep things waiting for as long as they jumped (R22)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import models

ASTRAY: Final = timedelta(minutes=2)  # by which the clocks of several machines may differ
PRESENT: Final = timedelta(0)  # how far ahead lies what is noted when it happens


def bring_back(rows: models.QuerySet[models.Model], now: datetime, **furthest: timedelta) -> None:
    """Make due what lies further ahead than it is ever set. Nothing is written as long as clocks go forward.

    furthest: of each column how far ahead it may lie; more was written by a clock that has been put back since.
    """
    for column, distance in furthest.items():
        rows.filter(**{f"{column}__gt": now + distance + ASTRAY}).update(**{column: now})
