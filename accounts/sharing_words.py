"""What a right means and what a change of it does, in sentences (spec F2, F4)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from django.utils import timezone
from django.utils.formats import date_format

from accounts.rights import Right

NOTHING_GAINED = "Saved. Nobody gains or loses anything by it."
WHEN_SHARED = "It counts once shared access is switched on."


def labels(rights: Iterable[Right]) -> list[str]:
    """The words of the ticks, in the order of the columns."""
    held = set(rights)
    return [right.label for right in Right if right in held]


def can_do(rights: Iterable[Right]) -> str:
    """What somebody with `rights` can do, as people would say it."""
    held = set(rights)
    setup = "changes its settings"
    if Right.SEND in held:
        words = "Has it in the mail panel, reads its mail and sends from it"
        return f"{words}; {setup}." if Right.SETUP in held else f"{words}."
    if Right.ACCESS in held:
        words = "Finds and reads its mail in search, not in the mail panel"
        return f"{words}; {setup}." if Right.SETUP in held else f"{words}."
    return "Changes its settings, sees none of its mail." if Right.SETUP in held else "Can do nothing yet."


def last_day(ends_at: datetime) -> date:
    """The last day on which a grant counts, in the reader's time zone."""
    return timezone.localtime(ends_at - timedelta(microseconds=1)).date()


def last_day_in_words(ends_at: datetime) -> str:
    """ "31 December 2026"."""
    return date_format(last_day(ends_at), "j F Y")


def number_of_people(number: int) -> str:
    return "1 person" if number == 1 else f"{number:,} people"


def effect_on_person(
    name: str, before: Iterable[Right], after: Iterable[Right], *, ticked: Iterable[Right], unticked: Iterable[Right]
) -> str:
    """Who gains and loses what: "Anna gains: Send emails."

    before, after: all that the person holds, by whatever way; ticked, unticked: what was changed in one grant.
    """
    was, now = set(before), set(after)
    sentences = [_gains_and_loses(name, now - was, was - now)]
    if kept := labels(set(unticked) & now):
        sentences.append(f"{name} keeps {_quoted(kept)} through a role.")
    if had := labels(set(ticked) & was):
        sentences.append(f"{name} had {_quoted(had)} already, through a role.")
    return " ".join(filter(None, sentences))


def effect_on_role(name: str, members: int, before: Iterable[Right], after: Iterable[Right]) -> str:
    """ "Sales (14 people) gains: Access emails." """
    was, now = set(before), set(after)
    return _gains_and_loses(f"{name} ({number_of_people(members)})", now - was, was - now)


def effect_of_switch(*, on: bool, people: int) -> str:
    """What switching shared access on or off has done to the people in the list."""
    if not people:
        return "Shared access is on. Add the people or roles who may use this mailbox." if on else UNSHARED
    if on:
        return f"Shared access is on: {number_of_people(people)} can use this mailbox now."
    return f"{UNSHARED} {number_of_people(people).capitalize()} can no longer use this mailbox; the list is kept."


UNSHARED = "Shared access is off."


def _gains_and_loses(name: str, gains: Iterable[Right], loses: Iterable[Right]) -> str:
    more, less = ", ".join(labels(gains)), ", ".join(labels(loses))
    if more and less:
        return f"{name} gains: {more}; loses: {less}."
    if more or less:
        return f"{name} gains: {more}." if more else f"{name} loses: {less}."
    return ""


def _quoted(words: list[str]) -> str:
    return " and ".join(f"“{word}”" for word in words)
