"""The declared table `emailsettings/permissions.txt`: who gets what at every route (spec F6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).parents[2] / "emailsettings" / "permissions.txt"

#: Those who ask, in the order of the columns. The file's head says who they are.
ACTORS = (
    "anonymous", "stranger", "access", "send", "setup", "owner", "administrator", "elsewhere", "former", "token",
)  # fmt: skip
LOGIN, DOES_NOT_APPLY = "login", "-"


@dataclass(frozen=True, slots=True)
class Row:
    """One route and method. `cells` says per actor the status expected, "login" or "-"."""

    route: str
    method: str
    arguments: dict[str, str]
    cells: dict[str, str]

    def __str__(self) -> str:
        return f"{self.method} {self.route} {' '.join(self.arguments.values())}".strip()


def in_batches(rows: Sequence[Row], most: int = 8) -> list[tuple[Row, ...]]:
    """Rows that are asked for in one world: building it takes longer than asking for one of them."""
    return [tuple(rows[start : start + most]) for start in range(0, len(rows), most)]


def named(batch: Sequence[Row]) -> str:
    """A batch in the name of a test."""
    return f"{batch[0]} to {batch[-1]}"


@cache
def rows() -> tuple[Row, ...]:
    """Read the table. Raises ValueError, naming the line, where it is not well formed."""
    return tuple(
        _row(number, line.split())
        for number, line in enumerate(FILE.read_text().splitlines(), 1)
        if line.strip() and not line.startswith("#")
    )


def _row(number: int, words: list[str]) -> Row:
    route, method, *rest = words
    arguments, cells = rest[: -len(ACTORS)], rest[-len(ACTORS) :]
    if len(cells) != len(ACTORS) or not all(cell.isdigit() or cell in (LOGIN, DOES_NOT_APPLY) for cell in cells):
        raise ValueError(f"{FILE.name}, line {number}: {len(ACTORS)} cells wanted after the route and what it is about")
    values = dict(argument.split("=", 1) for argument in arguments)
    return Row(route, method, values, dict(zip(ACTORS, cells, strict=True)))
