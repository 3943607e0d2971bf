"""What every benchmark prints: one table, and with --json one file (docs: "name, median, unit, rounds, ratios")."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Result:
    """One line. ratios: ours divided by the peer's, both in `unit`."""

    name: str
    rounds: list[float]
    unit: str
    ratios: Mapping[str, float] = field(default_factory=dict)

    @property
    def median(self) -> float:
        return median(self.rounds)


def show(results: list[Result], json_file: Path | None) -> None:
    """Print the table; write the JSON where asked for."""
    width = max(len(result.name) for result in results)
    for result in results:
        ratios = "".join(f"   {ratio:6.2f} x {peer}" for peer, ratio in result.ratios.items())
        print(f"{result.name:{width}}  {result.median:10.3f} {result.unit:<4}{ratios}")
    if json_file:
        rows = [
            {
                "name": result.name,
                "median": round(result.median, 4),
                "unit": result.unit,
                "rounds": [round(value, 4) for value in result.rounds],
                "ratios": {peer: round(ratio, 4) for peer, ratio in result.ratios.items()},
            }
            for result in results
        ]
        json_file.write_text(json.dumps(rows, indent=2) + "\n")
