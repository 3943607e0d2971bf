"""The time zones that people may choose from."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones

REGIONS = ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


@cache
def names() -> frozenset[str]:
    return frozenset(available_timezones())


@cache
def choices() -> list[tuple[str, list[tuple[str, str]]]]:
    """Grouped by region, as `<select>` shows them: [("Europe", [("Europe/Berlin", "Berlin"), ...]), ...]."""
    groups: dict[str, list[tuple[str, str]]] = {region: [] for region in REGIONS}
    for name in sorted(names()):
        region, _, place = name.partition("/")
        if region in groups and place:
            groups[region].append((name, place.replace("_", " ").replace("/", ", ")))
    return [("General", [("UTC", "UTC")]), *((region, places) for region, places in groups.items() if places)]


def known_or_utc(name: str) -> str:
    """What a browser reports, if it is a time zone."""
    return name if name in names() else "UTC"
