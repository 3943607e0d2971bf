"""Lock files pin everything that pyproject.toml and package.json ask for, by hash, and name no host."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.tree import pyproject, text_of

PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>\S+)", re.MULTILINE)
LOCKS = ("requirements.txt", "requirements-dev.txt")


def pins(lock: str) -> dict[str, str]:
    return {canonicalize_name(match["name"]): match["version"] for match in PIN.finditer(text_of(Path(lock)))}


def wanted(lock: str) -> list[Requirement]:
    project = pyproject()
    lines = list(project["project"]["dependencies"])
    if lock == "requirements-dev.txt":
        lines += project["dependency-groups"]["dev"]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_pins_what_pyproject_asks_for(lock):
    pinned = pins(lock)
    stale = [
        str(requirement)
        for requirement in wanted(lock)
        if not requirement.specifier.contains(pinned.get(canonicalize_name(requirement.name), "0"), prereleases=True)
        or canonicalize_name(requirement.name) not in pinned
    ]
    assert not stale, f"{lock} is older than pyproject.toml; CONTRIBUTING.md says how to lock again"


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_carries_its_hashes_and_nothing_else(lock):
    text = re.sub(r"\\\n", " ", text_of(Path(lock)))
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert lines
    for line in lines:
        assert PIN.match(line), f"{lock}: {line[:80]} is no pin"
        assert "--hash=sha256:" in line, f"{lock}: {line[:80]} has no hash"
    assert "://" not in text


def test_both_locks_pin_the_same_versions():
    """What is tested is what runs."""
    tested = pins("requirements-dev.txt")
    assert {name: tested.get(name) for name in pins("requirements.txt")} == pins("requirements.txt")


def test_the_npm_lock_has_integrity_and_no_address():
    lock = json.loads(text_of(Path("package-lock.json")))
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    for name, entry in packages.items():
        assert entry["integrity"].startswith("sha512-"), name
        assert "resolved" not in entry, name
    assert lock["packages"][""]["devDependencies"] == json.loads(text_of(Path("package.json")))["devDependencies"]
