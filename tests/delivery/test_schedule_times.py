"""Moments to send at: what is offered, and what clocks on the wall mean where they are changed (spec I5, fault R22)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from delivery.schedule_times import choices, on_the_wall, why_not_at

BERLIN = ZoneInfo("Europe/Berlin")
SATURDAY_NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)

pytestmark = pytest.mark.proves("I5")


def naive(wall: str) -> datetime:
    return datetime.fromisoformat(wall)


def offered(now: datetime, zone: ZoneInfo = BERLIN) -> dict[str, str]:
    return {choice.label: f"{choice.moment.astimezone(zone):%a %H:%M}" for choice in choices(now, zone)}


def test_the_usual_moments_are_offered_in_the_persons_own_time():
    assert offered(SATURDAY_NOON) == {
        "This evening": "Sat 18:00",
        "Tomorrow morning": "Sun 08:00",
        "Tomorrow afternoon": "Sun 13:00",
        "Monday morning": "Mon 08:00",
    }


def test_what_is_over_or_comes_twice_is_not_offered():
    sunday_evening = datetime(2026, 11, 22, 17, 30, tzinfo=UTC)
    assert offered(sunday_evening) == {"Tomorrow morning": "Mon 08:00", "Tomorrow afternoon": "Mon 13:00"}


def test_on_a_monday_the_next_one_is_offered():
    monday = datetime(2026, 11, 23, 9, tzinfo=UTC)
    [choice] = [one for one in choices(monday, BERLIN) if one.label == "Monday morning"]
    assert choice.moment == datetime(2026, 11, 30, 7, tzinfo=UTC)


def test_tomorrow_begins_at_the_persons_own_midnight():
    auckland = ZoneInfo("Pacific/Auckland")  # there it is Sunday already
    [tomorrow] = [one for one in choices(SATURDAY_NOON, auckland) if one.label == "Tomorrow morning"]
    assert tomorrow.moment.astimezone(auckland) == datetime(2026, 11, 23, 8, tzinfo=auckland)


def test_eight_in_the_morning_stays_eight_after_clocks_were_changed():
    before = datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert offered(before)["Tomorrow morning"] == "Sun 08:00"


def test_a_time_that_clocks_skip_counts_from_before_the_change_and_says_so():
    skipped = on_the_wall(naive("2027-03-28T02:30"), BERLIN)
    assert skipped.moment == datetime(2027, 3, 28, 1, 30, tzinfo=UTC)
    assert skipped.note == "Clocks are put forward then: 02:30 does not exist on that day, so it is 03:30."


def test_a_time_that_comes_twice_is_the_first_and_says_so():
    twice = on_the_wall(naive("2026-10-25T02:30"), BERLIN)
    assert twice.moment == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert twice.note == "Clocks are put back then: 02:30 comes twice on that day; it is the first."


@pytest.mark.parametrize("wall", ["2027-03-28T01:59", "2027-03-28T03:00", "2026-10-25T03:00"])
def test_the_edges_of_a_change_are_ordinary_times(wall):
    meant = on_the_wall(naive(wall), BERLIN)
    assert meant.note == ""
    assert meant.moment.astimezone(BERLIN).replace(tzinfo=None) == naive(wall)


def test_a_day_that_a_zone_left_out_is_told_too():
    apia = on_the_wall(naive("2011-12-30T12:00"), ZoneInfo("Pacific/Apia"))
    assert "does not exist" in apia.note


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (timedelta(0), "has passed"),
        (timedelta(days=-1), "has passed"),
        (timedelta(days=367), "a year"),
        (timedelta(days=9), ""),
    ],
)
def test_what_has_passed_or_is_too_far_off_is_refused_in_words(ahead, words):
    sentence = why_not_at(SATURDAY_NOON + ahead, SATURDAY_NOON)
    assert words in sentence if words else sentence == ""
