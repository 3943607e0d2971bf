"""Fixtures of the mail store's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.db.migrations.recorder import MigrationRecorder


@pytest.fixture
def newer_version(transactional_db: None) -> Iterator[Callable[[], MigrationRecorder.Migration]]:
    """Migrates the database as a version of the program would that is not here; deleting the row takes it back."""
    name = "9999_from_the_future"
    yield lambda: MigrationRecorder.Migration.objects.create(app="mailstore", name=name)
    MigrationRecorder.Migration.objects.filter(name=name).delete()
