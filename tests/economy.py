"""What costs tests time and proves nothing: what a process of the product does once at its start, and slow disks."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest
from django.conf import settings

Content = TypeVar("Content")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is collected stays to the end: the garbage collector need not look at it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _once_per_process() -> Iterator[None]:
    """Every test client builds the middleware anew: a fifth of a test of pages went into listing static files."""
    from whitenoise.middleware import WhiteNoiseMiddleware

    from mailservers import rulebook
    from providers import catalog

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", _listed_once(WhiteNoiseMiddleware))
        patch.setattr(catalog, "read_catalog", _read_once(catalog.read_catalog, catalog.FOLDER))
        patch.setattr(rulebook, "read_rules", _read_once(rulebook.read_rules, rulebook.FOLDER))
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """No test cuts the power. Dovecot and PostgreSQL are told the same in tests/servers."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, lambda descriptor: None)
        yield


def _listed_once(middleware: Any) -> Callable[[Any], None]:
    list_files = middleware.add_files_from_finders
    known: dict[tuple[object, ...], dict[str, object]] = {}

    def listing(self: Any) -> None:
        where = (settings.STATIC_URL, *settings.STATICFILES_DIRS)
        if where not in known:
            list_files(self)
            known[where] = dict(self.files)
        self.files.update(known[where])

    return listing


def _read_once(read: Callable[[Path], list[Content]], shipped: Path) -> Callable[..., list[Content]]:
    """`read` that remembers the folder the product comes with; any other is read each time."""

    @cache
    def remembered() -> list[Content]:
        return read(shipped)

    def reading(folder: Path = shipped) -> list[Content]:
        return list(remembered()) if folder == shipped else read(folder)

    return reading
