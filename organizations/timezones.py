"""The time zones that people may choose from."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from zoneinfo import TZPATH, available_timezones

REGIONS = ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


@cache
def names() -> frozenset[str]:
    """Every name of the IANA database, old ones too: browsers and programs still use them."""
    return frozenset(available_timezones())


@cache
def present_names() -> frozenset[str]:
    """Those by which places are called today ("Asia/Kolkata", not "Asia/Calcutta"); all where no table says which.

    The database has a table of places by country (zone.tab) in which no backward name stands.
    """
    for folder in TZPATH:
        table = Path(folder) / "zone.tab"
        if table.is_file():
            lines = table.read_text(encoding="utf-8").splitlines()
            return names() & {line.split("\t")[2] for line in lines if line and not line.startswith("#")}
    return names()


@cache
def choices() -> list[tuple[str, list[tuple[str, str]]]]:
    """Grouped by region, as `<select>` shows them: [("Europe", [("Europe/Berlin", "Berlin"), ...]), ...]."""
    groups: dict[str, list[tuple[str, str]]] = {region: [] for region in REGIONS}
    for name in sorted(present_names()):
        region, _, place = name.partition("/")
        if region in groups and place:
            groups[region].append((name, place.replace("_", " ").replace("/", ", ")))
    return [("General", [("UTC", "UTC")]), *((region, places) for region, places in groups.items() if places)]


def choices_with(chosen: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """The choices for somebody who has chosen already, perhaps by a name that is an old one today."""
    listed = {name for _, places in choices() for name, _ in places}
    if chosen in listed or chosen not in names():
        return choices()
    return [("Chosen before", [(chosen, chosen.replace("_", " "))]), *choices()]


def known_or_utc(name: str) -> str:
    """What a browser reports, if it is a time zone."""
    return name if name in names() else "UTC"
