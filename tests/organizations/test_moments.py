"""Moments and names in words."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from organizations.templatetags.moments import in_words, milliseconds, when
from organizations.templatetags.portraits import HUES, hue, initials

NOW = datetime(2026, 3, 18, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (timedelta(0), "just now"),
        (timedelta(seconds=44), "just now"),
        (timedelta(seconds=45), "1 minute ago"),
        (timedelta(minutes=4), "4 minutes ago"),
        (timedelta(minutes=59, seconds=40), "1 hour ago"),
        (timedelta(hours=2), "2 hours ago"),
        (timedelta(hours=23, minutes=45), "1 day ago"),
        (timedelta(days=6), "6 days ago"),
        (timedelta(days=8), "10 March"),
        (timedelta(days=400), "11 February 2025"),
        (-timedelta(seconds=10), "in a moment"),
        (-timedelta(minutes=10), "in 10 minutes"),
    ],
)
def test_a_moment_reads_like_a_colleague_says_it(before, words):
    assert in_words(NOW - before, NOW) == words


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (datetime(2026, 3, 18, 9, 42, tzinfo=UTC), "10:42"),
        (datetime(2026, 3, 17, 23, 30, tzinfo=UTC), "00:30"),
        (datetime(2026, 3, 17, 12, tzinfo=UTC), "Yesterday"),
        (datetime(2026, 2, 18, 12, tzinfo=UTC), "18 Feb"),
        (datetime(2023, 11, 18, 12, tzinfo=UTC), "18 Nov 2023"),
    ],
)
def test_a_list_shows_moments_in_the_readers_time_zone(time_machine, moment, words):
    time_machine.move_to(NOW, tick=False)
    with timezone.override(ZoneInfo("Europe/Vienna")):
        assert when(moment) == words


@pytest.mark.parametrize(("value", "words"), [(4, "4 ms"), (3000, "3.0 s"), (0, "0 ms"), (None, ""), ("", "")])
def test_durations_have_a_fitting_unit(value, words):
    assert milliseconds(value) == words


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("Anna Berg", "AB"),
        ("support@example.org", "S"),
        ("anna.berg@example.org", "A"),
        ("@nifty", "N"),
        ("Jean-Luc de la Tour", "JT"),
        ("Ærø", "Æ"),
        ("伊藤 恵子", "伊恵"),
        ("  ", "·"),
        ("🦊", "·"),
    ],
)
def test_initials_come_from_the_first_and_the_last_word(name, letters):
    assert initials(name) == letters


def test_a_name_keeps_its_colour_and_names_spread_over_all():
    assert hue("Anna Berg") == hue(" anna berg ")
    assert {hue(f"Person {number}") for number in range(200)} == set(range(HUES))
