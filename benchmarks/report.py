"""What every benchmark shares: its options, one table, one JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing.

    values: one per round, in `unit` ("s": less is better; "1/s": more is better; "MB": less is better).
    ratios: ours divided by a peer's figure of the same run, by the peer's name.
    """

    name: str
    values: Sequence[float]
    unit: str
    ratios: dict[str, float] = field(default_factory=dict)

    @property
    def median(self) -> float:
        return median(self.values)

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "median": round(self.median, 4),
            "unit": self.unit,
            "rounds": len(self.values),
            "ratios": {peer: round(ratio, 3) for peer, ratio in self.ratios.items()},
        }


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios pair by pair, so that a machine whose speed drifts compares like with like."""
    return median(our / their for our, their in zip(ours, theirs, strict=True))


def options(description: str, *, rounds: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"how often each is measured (default {rounds})")
    parser.add_argument("--seed", type=int, default=1, help="of generated data (default 1)")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    return parser


def report(figures: Sequence[Figure], json_file: Path | None) -> None:
    width = max(len(figure.name) for figure in figures)
    print(f"{'':{width}} {'median':>10} {'min':>10} {'max':>10}  unit  ratios (ours / theirs)")
    for figure in figures:
        ratios = "  ".join(f"{peer} {value:.2f}" for peer, value in figure.ratios.items())
        low, high = min(figure.values), max(figure.values)
        print(f"{figure.name:{width}} {figure.median:10.3f} {low:10.3f} {high:10.3f}  {figure.unit:4}  {ratios}")
    if json_file is not None:
        json_file.write_text(json.dumps([figure.as_json() for figure in figures], indent=1) + "\n")
