"""Choosing when a mail leaves: in the composer beside Send, and where a scheduled mail gets another time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.utils import timezone

from delivery.schedule_times import Choice, WallTime, choices, on_the_wall, why_not_at
from organizations.plain_words import PlainWords

NOW, CHOSEN = "", "chosen"  # what `send_at` says beside moments: at once, or at the date and time that were typed
UNPRESSED = "You have set a date and time. Press “Schedule” to send it then, or clear them to send it now."


class WallTimeField(forms.Field):
    """A date and time as clocks on the wall show them: naive; what they mean in a time zone is decided later."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local"})
    default_error_messages = {"invalid": "Set a date and a time, such as 24 November 2026, 08:00."}

    def to_python(self, value: object) -> datetime | None:
        if value in self.empty_values:
            return None
        try:
            wall = datetime.fromisoformat(str(value).strip())
        except ValueError:
            raise forms.ValidationError(self.error_messages["invalid"]) from None
        if wall.tzinfo is not None or not 1970 <= wall.year <= 2200:
            raise forms.ValidationError(self.error_messages["invalid"])
        return wall

    def prepare_value(self, value: Any) -> Any:
        return value.strftime("%Y-%m-%dT%H:%M") if isinstance(value, datetime) else value


class ScheduleFields(PlainWords, forms.Form):
    """`send_at` is the button that was pressed: a moment that was offered, or "chosen" for the date and time beside it.

    Everything is in the reader's time zone, which is the active one.
    """

    send_at = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)
    send_on = WallTimeField(label="Date and time", required=False)

    schedule: WallTime | None = None  # after cleaning: when it shall leave; None: at once

    @property
    def offered(self) -> list[Choice]:
        return choices(timezone.now(), self.zone)

    @property
    def zone(self) -> ZoneInfo:
        zone = timezone.get_current_timezone()
        return zone if isinstance(zone, ZoneInfo) else ZoneInfo("UTC")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        pressed, typed = cleaned.get("send_at", NOW), cleaned.get("send_on")
        if "send_on" in self.errors:
            return cleaned
        if pressed == NOW:
            if typed is not None:
                self.add_error("send_on", UNPRESSED)
            return cleaned
        if pressed == CHOSEN:
            if typed is None:
                self.add_error("send_on", "Set the date and time first.")
                return cleaned
            self.schedule = on_the_wall(typed, self.zone)
        else:
            self.schedule = _offered(pressed)
        if self.schedule is None:
            self.add_error("send_on", "That is no moment that was offered. Choose one again.")
        elif sentence := why_not_at(self.schedule.moment, timezone.now()):
            self.add_error("send_on", sentence)
        return cleaned


class NewTimeForm(ScheduleFields):
    """Another time for a scheduled mail."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if not self.errors and self.schedule is None:
            self.add_error("send_on", "Choose when it shall leave.")
        return cleaned


def _offered(text: str) -> WallTime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return WallTime(moment.astimezone(UTC)) if moment.tzinfo is not None else None
