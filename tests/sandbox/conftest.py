"""One sandbox for the tests that only add to it; a copy of the seeded state for those that stop or break it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.__main__ import open_store
from tests.sandbox.running import Running, running


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder after its first start. Copy it; do not change it."""
    state = tmp_path_factory.mktemp("sandbox-seeded")
    open_store(state).close()
    return state


@pytest.fixture
def state(seeded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(seeded, tmp_path / "state"))


@pytest.fixture(scope="session")
def sandbox(seeded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    state = shutil.copytree(seeded, tmp_path_factory.mktemp("sandbox") / "state")
    with running(Path(state), "--later-after", "1") as server:
        yield server
