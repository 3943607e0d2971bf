"""Moments to send at: what is offered, and what a date and time mean in a time zone (spec I5). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

MORNING: Final = time(8)
AFTERNOON: Final = time(13)
EVENING: Final = time(18)
AT_LEAST_AHEAD: Final = timedelta(hours=1)  # from now to what is offered for today
LONGEST_AHEAD: Final = timedelta(days=366)
MONDAY: Final = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the moments that are offered. label: "Tomorrow morning"."""

    label: str
    moment: datetime


@dataclass(frozen=True, slots=True)
class WallTime:
    """What a clock on the wall means. note: a sentence where clocks are changed just then, "" otherwise."""

    moment: datetime
    note: str = ""


def choices(now: datetime, zone: ZoneInfo) -> list[Choice]:
    """The moments that people choose most, each once, the next one first."""
    today = now.astimezone(zone).date()
    tomorrow = today + timedelta(days=1)
    monday = today + timedelta(days=(MONDAY - today.weekday()) % 7 or 7)
    offered = [
        Choice("This evening", _at(today, EVENING, zone)),
        Choice("Tomorrow morning", _at(tomorrow, MORNING, zone)),
        Choice("Tomorrow afternoon", _at(tomorrow, AFTERNOON, zone)),
    ]
    if monday != tomorrow:
        offered.append(Choice("Monday morning", _at(monday, MORNING, zone)))
    return [choice for choice in offered if choice.moment >= now + AT_LEAST_AHEAD]


def on_the_wall(wall: datetime, zone: ZoneInfo) -> WallTime:
    """The moment at which clocks in `zone` show `wall`, which is naive.

    A time that is left out when clocks are put forward counts from before the change, as calendars do it (RFC 5545,
    3.3.5); of one that comes twice when they are put back, it is the first.
    """
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    shown = first.astimezone(zone).replace(tzinfo=None)
    if shown != wall:
        note = f"Clocks are put forward then: {wall:%H:%M} does not exist on that day, so it is {shown:%H:%M}."
        return WallTime(first, note)
    if first != second:
        return WallTime(first, f"Clocks are put back then: {wall:%H:%M} comes twice on that day; it is the first.")
    return WallTime(first)


def why_not_at(moment: datetime, now: datetime) -> str:
    """Why nothing can be sent at `moment`, as a sentence; "" where it can."""
    if moment <= now:
        return "That moment has passed. Choose a later one, or send it now."
    if moment > now + LONGEST_AHEAD:
        return "That is more than a year ahead. Choose an earlier day."
    return ""


def _at(day: date, hour: time, zone: ZoneInfo) -> datetime:
    return on_the_wall(datetime.combine(day, hour), zone).moment
