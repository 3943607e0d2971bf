"""Date fields (RFC 5322, 3.3 and 4.3), strict ones fast and odd ones as well as the standard library can."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_tz

_DATE = re.compile(
    r"\s*+(?:[A-Za-z]{3,9},?\s++)?(\d{1,2})\s++([A-Za-z]{3})[a-z]*+\s++(\d{4})\s++(\d{1,2}):(\d\d)(?::(\d\d))?"
    r"\s*+([+-])(\d\d)(\d\d)(?!\d)"
)
_MONTHS = {
    month: number
    for number, month in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
_LONGEST = 200
_LARGEST_OFFSET = 24 * 3600


def parse_date(text: str) -> datetime | None:
    """Return the moment a Date field names, aware and in UTC; None when it names none."""
    found = _DATE.match(text)
    if found:
        day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
        number = _MONTHS.get(month.lower())
        if number is not None:
            local = _moment(int(year), number, int(day), int(hour), int(minute), int(second or 0))
            if zone_hours == zone_minutes == "00":
                return local
            offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
            return _shifted(local, -offset if sign == "+" else offset)
    return _odd_date(text[:_LONGEST])


def _odd_date(text: str) -> datetime | None:
    try:
        parsed = parsedate_tz(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if parsed is None:
        return None
    offset = parsed[9] or 0
    if abs(offset) > _LARGEST_OFFSET:
        offset = 0
    return _shifted(_moment(*parsed[:6]), -timedelta(seconds=offset))


def _moment(year: int, month: int, day: int, hour: int, minute: int, second: int) -> datetime | None:
    try:
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)  # a leap second is written 60
    except (ValueError, OverflowError):
        return None


def _shifted(moment: datetime | None, offset: timedelta) -> datetime | None:
    try:
        return moment + offset if moment is not None else None
    except OverflowError:
        return None
