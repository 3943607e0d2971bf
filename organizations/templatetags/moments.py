"""Moments and spans in words. `static/time.js` keeps the relative ones true while a page stays open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

STEPS = ((60, 60, "minute"), (3600, 24, "hour"), (86_400, 7, "day"))


def in_words(moment: datetime, now: datetime) -> str:
    """ "just now", "4 minutes ago", "in 2 hours", "5 days ago"; from a week on the date, which stays true."""
    seconds = (now - moment).total_seconds()
    span = abs(seconds)
    if span < 45:
        return "just now" if seconds >= 0 else "in a moment"
    for size, limit, unit in STEPS:
        count = max(1, int(span / size + 0.5))
        if count < limit:
            words = f"{count} {unit}{'' if count == 1 else 's'}"
            return f"{words} ago" if seconds > 0 else f"in {words}"
    return day(moment, now)


def day(moment: datetime, now: datetime) -> str:
    """ "14 November", with the year when it is another one; in the reader's time zone."""
    local = timezone.localtime(moment)
    return date_format(local, "j F" if local.year == timezone.localtime(now).year else "j F Y")


@register.filter
def ago(moment: datetime) -> str:
    return in_words(moment, timezone.now())


@register.simple_tag
def ago_element(moment: datetime | None) -> SafeString:
    """Relative words that stay true while the page is open, with the exact moment as a tooltip; nothing for None."""
    if not moment:
        return SafeString()
    return format_html(
        '<time datetime="{}" title="{}" data-relative>{}</time>', iso(moment), moment_in_full(moment), ago(moment)
    )


@register.filter
def when(moment: datetime) -> str:
    """As short as a list allows: "10:42" today, "Yesterday", "18 Nov", "18 Nov 2023"."""
    local, today = timezone.localtime(moment), timezone.localtime()
    if local.date() == today.date():
        return date_format(local, "H:i")
    if local.date() == today.date() - timedelta(days=1):
        return "Yesterday"
    return date_format(local, "j M" if local.year == today.year else "j M Y")


@register.filter
def moment_in_full(moment: datetime) -> str:
    """ "14 November 2024, 10:42:07" in the reader's time zone, for tooltips and logs."""
    return date_format(timezone.localtime(moment), "j F Y, H:i:s")


@register.filter
def iso(moment: datetime) -> str:
    """For the `datetime` attribute of `<time>`: "2024-11-14T09:42:07+00:00"."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


@register.filter
def milliseconds(value: float | str | None) -> str:
    """ "4 ms", "3.0 s"; nothing for a step that never ran."""
    if not isinstance(value, int | float):
        return ""
    return f"{round(value)} ms" if value < 1000 else f"{value / 1000:.1f} s"
