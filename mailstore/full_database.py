"""Telling a database whose disk is full from one that is broken (fault R23): the cure is room, not a repair."""

from __future__ import annotations

from django.db import OperationalError

from mailstore.packs import GOES_ON

DATABASE_FULL = f"The disk of the database takes no more: it is full. It {GOES_ON} room."

_SQLITE = "database or disk is full"
_POSTGRESQL = "53100"  # SQLSTATE disk_full


def is_full(exc: OperationalError) -> bool:
    """Tell whether `exc` says that the database found no room for what it was to write."""
    return _SQLITE in str(exc) or getattr(exc.__cause__, "sqlstate", None) == _POSTGRESQL
