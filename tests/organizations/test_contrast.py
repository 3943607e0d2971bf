"""Text stays readable on every surface it stands on, in both schemes (WCAG 2.2, 1.4.3 and 1.4.11)."""

import re
from pathlib import Path

import pytest

TOKENS = (Path(__file__).parents[2] / "static" / "tokens.css").read_text(encoding="utf-8")
COLOURS = {
    name: pair for name, *pair in re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", TOKENS)
}
SURFACES = ["paper", "sheet", "sunk", "lift", "hover"]
HUES = [f"hue-{number}" for number in range(8)]
TEXT = [
    *((ink, surface) for ink in ("ink", "ink-2", "ink-3") for surface in SURFACES),
    *((ink, f"{state}-soft") for ink in ("ink", "ink-2") for state in ("accent", "good", "warn", "bad")),
    *(
        (state, surface)
        for state in ("accent", "good", "warn", "bad")
        for surface in ("paper", "sheet", "lift", "sunk")
    ),
    *((state, f"{state}-soft") for state in ("accent", "good", "warn", "bad", *HUES)),
    ("accent-ink", "accent"),
    ("accent-ink", "accent-strong"),
    ("bad-ink", "bad"),
    ("bad-ink", "bad-strong"),
    ("ink-3", "bad-soft"),
]
OUTLINES = [("line-field", surface) for surface in ("sheet", "paper", "lift")]


def luminance(colour: str) -> float:
    def linear(octet: str) -> float:
        value = int(octet, 16) / 255
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(colour[start : start + 2]) for start in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def below(pairs: list[tuple[str, str]], floor: float) -> list[str]:
    return [
        f"{scheme}: {one} on {other} is {contrast(COLOURS[one][index], COLOURS[other][index]):.2f}"
        for one, other in pairs
        for index, scheme in enumerate(("light", "dark"))
        if contrast(COLOURS[one][index], COLOURS[other][index]) < floor
    ]


def test_black_on_white_measures_21():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.proves("H4")
def test_every_text_has_a_contrast_of_four_and_a_half():
    assert below(TEXT, 4.5) == []


@pytest.mark.proves("H4")
def test_every_outline_of_a_control_has_a_contrast_of_three():
    assert below(OUTLINES, 3) == []
