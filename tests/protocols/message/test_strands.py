"""Conversations by subject: what joins, what never does, and that the order of messages does not matter."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.message.parse import parse_summary
from protocols.message.strands import NEAREST, strand_of, together
from protocols.message.subjects import is_reply_subject, normalised_subject
from protocols.message.threading import thread_messages
from tests.effort import done_within
from tests.protocols.message.random_mailboxes import LETTERS
from tests.protocols.message.small_mailboxes import OWN, Letter, SmallMailbox, small_mailboxes

AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def conversations(letters: Iterable[Letter], own: str = OWN) -> frozenset[frozenset[str]]:
    listed = list(letters)
    threads = thread_messages([parse_summary(letter.raw) for letter in listed], own=[own] if own else [])
    return frozenset(frozenset(_name(name, listed) for name in thread) for thread in threads)


def _name(identifier: str, letters: list[Letter]) -> str:
    number = identifier.removeprefix("no-message-id:")
    return letters[int(number) - 1].name if number != identifier else identifier.partition("@")[0]


@pytest.mark.parametrize("mailbox", small_mailboxes(), ids=lambda mailbox: mailbox.title)
def test_a_small_mailbox_is_these_conversations_in_any_order(mailbox: SmallMailbox):
    for order in permutations(mailbox.letters):
        assert conversations(order) == mailbox.conversations


def test_there_are_enough_small_mailboxes():
    assert len({mailbox.title for mailbox in small_mailboxes()}) >= 30


def test_strangers_stay_apart_where_nobody_says_whose_mailbox_it_is():
    for mailbox in small_mailboxes():
        parts = conversations(mailbox.letters, own="")
        assert all(any(part <= whole for whole in mailbox.conversations) for part in parts), mailbox.title


@settings(max_examples=150, deadline=None)
@given(st.lists(LETTERS, min_size=2, max_size=5, unique_by=lambda letter: letter.name))
def test_the_order_of_messages_does_not_matter(letters: list[Letter]):
    orders = permutations(letters)
    first = conversations(next(orders))
    assert all(conversations(order) == first for order in orders)


def test_copies_do_not_matter():
    for mailbox in small_mailboxes():
        if not any("~" in letter.marks for letter in mailbox.letters):
            assert conversations([*mailbox.letters, *mailbox.letters]) == mailbox.conversations


@given(st.text(alphabet="Re: [a](Fwd)ÄAW返信：2 ", max_size=30))
def test_subjects_are_read_quickly_as_they_are_read_thoroughly(subject: str):
    written = " ".join(subject.split())
    strand = strand_of(written, AT, "a@x", "a@x", refers=False)
    same = strand_of(f"{normalised_subject(written)}", AT, "a@x", "a@x", refers=False)
    again = strand_of(f"Antw: {written}", AT, "a@x", "a@x", refers=False)
    assert strand.topic == again.topic
    assert bool(strand.reach) == (is_reply_subject(written) and strand.topic != 0)
    assert is_reply_subject(normalised_subject(written)) or strand.topic == same.topic


def test_only_the_nearest_conversations_of_a_subject_are_looked_at():
    far = [Letter("a", "carol", ("me",), 1, "Plan for the new office")]
    others = [Letter(f"o{n}", f"other{n}", ("me",), 1.1 + n / 100, "Plan for the new office") for n in range(NEAREST)]
    reply = Letter("b", "me", ("carol",), 2, "Re: Plan for the new office")
    assert frozenset("ab") not in conversations([*far, *others, reply])
    assert frozenset("ab") in conversations([*far, *others[1:], reply])


def test_thousands_of_messages_with_one_subject_are_joined_quickly():
    letters = [
        Letter(f"m{number}", f"p{number % 7}", ("me",), 1 + number / 1000, "Re: Alarm in the server room")
        for number in range(2_000)
    ]
    summaries = [parse_summary(letter.raw) for letter in letters]
    done_within(3, lambda: thread_messages(summaries))


@pytest.mark.parametrize("year", [1, 1970, 9999])
def test_absurd_dates_are_taken_as_they_are(year: int):
    strand = strand_of("Re: Plan for the new office", datetime(year, 12, 31, tzinfo=UTC), "a@x", "a@x", refers=False)
    assert abs(strand.ends) < 2**40


def test_strands_come_together_in_any_order():
    parts = [
        strand_of(subject, AT + timedelta(hours=hour), f"{hour}@x", "a@x", refers=False)
        for hour, subject in enumerate(["Plan", "Re: Plan", "Something else"])
    ]
    assert {together([together(order[:2]), order[2]]) for order in permutations(parts)} == {together(parts)}
