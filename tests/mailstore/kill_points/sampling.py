"""What both drivers of kill points share: what is asked for, spread over the scenarios, and what came of it."""

from __future__ import annotations

import argparse
import ast
import random
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Protocol, TypeVar


class Named(Protocol):
    @property
    def name(self) -> str: ...


Scenario = TypeVar("Scenario", bound=Named)


def options_of(
    arguments: Sequence[str] | None, description: str, *, stops: int, at_random: int, pauses: int, cuts: int
) -> argparse.Namespace:
    """The command line. stops, at_random, pauses, cuts: how many where it does not say."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--stops", type=int, default=stops, help="in all; without --all")
    parser.add_argument("--random", type=int, default=at_random, help="kills at random moments")
    parser.add_argument("--pauses", type=int, default=pauses, help="pauses past the lease")
    parser.add_argument("--cuts", type=int, default=cuts, help="broken connections to a PostgreSQL database")
    parser.add_argument("--scenario", default="", help="only those with this in their names")
    parser.add_argument("--scenarios", type=int, help="at most so many, chosen by the seed")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    return parser.parse_args(arguments)


def some_of(scenarios: Sequence[Scenario], options: argparse.Namespace, randomness: random.Random) -> list[Scenario]:
    """Those that were asked for by name and number, in their order."""
    named = [scenario for scenario in scenarios if options.scenario in scenario.name]
    if options.scenarios is None or options.scenarios >= len(named):
        return named
    places = randomness.sample(range(len(named)), options.scenarios)
    return [named[place] for place in sorted(places)]


def shares(runs: int, options: argparse.Namespace, randomness: random.Random) -> Iterator[Share]:
    """Spread what was asked for over all runs as evenly as it goes."""
    from django.db import connection

    cuts = options.cuts if connection.vendor == "postgresql" else 0
    order = list(range(runs))
    randomness.shuffle(order)
    for place in order:
        stops, at_random, pauses, cut = (
            None if number is None else number // runs + (place < number % runs)
            for number in (None if options.all else options.stops, options.random, options.pauses, cuts)
        )
        yield Share(stops, at_random or 0, pauses or 0, cut or 0)


def some_points(points: list[str], number: int | None, randomness: random.Random) -> list[str]:
    """All points, or some of them: each name is as likely as any other, however often it is passed."""
    if number is None or number >= len(points):
        return points
    by_name: dict[str, list[str]] = {}
    for point in points:
        by_name.setdefault(point.rpartition(":")[0], []).append(point)
    chosen: list[str] = []
    while len(chosen) < number:
        point = randomness.choice(by_name[randomness.choice(list(by_name))])
        if point not in chosen:
            chosen.append(point)
    return chosen


@dataclass
class Tally:
    """What was done and what went wrong."""

    killed: int = 0
    killed_at_random: int = 0
    paused: int = 0
    cut_off: int = 0
    passed: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def fault(self, line: str) -> None:
        """Note what went wrong, and say it at once: a long run may not come to its end."""
        self.faults.append(line)
        print(f"FAULT {line}", flush=True)

    def __str__(self) -> str:
        return (
            f"killed at {self.killed} stops and {self.killed_at_random} random moments, {self.paused} pauses,"
            f" {self.cut_off} times without database, {len(self.faults)} faults"
        )


@dataclass(frozen=True)
class Share:
    """How many of its stops a scenario is killed at (None: all), how often at random moments, how often paused, and how
    often the database goes away.
    """

    stops: int | None
    at_random: int
    pauses: int
    cuts: int


def named_stops(package: ModuleType) -> set[str]:
    """Every stop that the code of a package names."""
    calls = [node for file in Path(package.__path__[0]).rglob("*.py") for node in ast.walk(ast.parse(file.read_text()))]
    return {str(name.value) for node in calls for name in _stop(node)}


def _stop(node: ast.AST) -> Iterator[ast.Constant]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "faultpoint":
        [name] = node.args
        assert isinstance(name, ast.Constant)
        yield name
