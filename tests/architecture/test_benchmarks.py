"""Benchmarks run seldom, so that they still fit the code is looked at here."""

from __future__ import annotations

import importlib

import pytest

from tests.environment import ROOT


@pytest.mark.parametrize("module", sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py")))
def test_a_benchmark_can_be_loaded(module):
    importlib.import_module(f"benchmarks.{module}")
