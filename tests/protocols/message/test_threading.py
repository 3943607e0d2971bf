"""Conversations by identifiers: the same whatever the order, and never by a subject alone."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.message.parse import MessageSummary, parse_summary
from protocols.message.subjects import normalised_subject
from protocols.message.threading import Groups, thread_keys, thread_messages
from tests.effort import done_within, grows_in_step


def summary(identifier: str, *references: str, subject: str = "", minute: int = 0, head: str = "") -> MessageSummary:
    lines = [
        f"Date: Mon, 05 Feb 2024 10:{minute:02}:00 +0000",
        f"Subject: {subject}",
        f"Message-ID: <{identifier}>" if identifier else "X: y",
        f"References: {' '.join(f'<{reference}>' for reference in references)}",
    ]
    return parse_summary(f"{head}{chr(10).join(lines)}\n\n".encode())


def test_every_identifier_gives_one_key():
    keys = thread_keys(summary("c@x", "a@x", "b@x", "a@x"))
    assert len(keys) == 3
    assert set(thread_keys(summary("a@x"))) < set(keys)


def test_a_message_that_names_nothing_has_no_key():
    assert thread_keys(summary("")) == ()


def test_a_very_long_identifier_becomes_a_short_key():
    assert len(thread_keys(summary("a" * 900 + "@x"))[0]) == 32


def test_strangers_with_the_same_subject_stay_apart():
    messages = [summary("a@x", subject="Hello"), summary("b@x", subject="Re: Hello", minute=1)]
    assert thread_messages(messages) == [["a@x"], ["b@x"]]


def test_threads_and_their_messages_are_in_the_order_of_time():
    messages = [
        summary("reply@x", "root@x", minute=5),
        summary("other@x", minute=3),
        summary("sibling@x", "root@x", minute=4),
        summary("root@x", minute=1),
    ]
    assert thread_messages(messages) == [["root@x", "sibling@x", "reply@x"], ["other@x"]]


def test_siblings_of_a_root_that_never_came_belong_together():
    assert thread_messages([summary("a@x", "gone@x"), summary("b@x", "gone@x", minute=1)]) == [["a@x", "b@x"]]


def test_a_message_without_identifier_stays_alone_and_is_named_by_its_place():
    messages = [summary("a@x"), summary("", minute=1), summary("", minute=1)]
    assert thread_messages(messages) == [["a@x"], ["no-message-id:2"], ["no-message-id:3"]]


def test_copies_of_a_message_are_one():
    assert thread_messages([summary("a@x"), summary("a@x")]) == [["a@x"]]


KEY = st.sampled_from([f"k{number}@x" for number in range(12)])
MESSAGES = st.lists(st.lists(KEY, min_size=1, max_size=4), min_size=1, max_size=25)


@given(MESSAGES, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(messages: list[list[str]], chance: random.Random):
    shuffled = list(messages)
    chance.shuffle(shuffled)
    assert partition(messages) == partition(shuffled)


def partition(messages: list[list[str]]) -> set[frozenset[str]]:
    return {frozenset(thread) for thread in thread_messages(summary(*identifiers) for identifiers in messages)}


def test_a_chain_of_a_hundred_thousand_messages_is_joined_quickly():
    def join() -> dict[str, int]:
        groups = Groups(100_000)
        for number in range(100_000):
            groups.tie(number, f"m{number}")
            groups.tie(number, f"m{number + 1}")
        return groups.roots()

    assert set(done_within(3, join).values()) == {0}


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("Hello", "Hello"),
        ("Re: Hello", "Hello"),
        ("RE[3]: Fwd: AW: WG: SV: VS: Hello", "Hello"),
        ("Re : Hello", "Hello"),
        ("Réunion: Hello", "Réunion: Hello"),
        ("Antw: TR: RV: ENC: Odp: YNT: Hello", "Hello"),
        ("回复：转发：你好", "你好"),
        ("Отв: Пересл: Привет", "Привет"),
        ("[list] Re: [list] Hello", "Hello"),
        ("Re: [list] Re: [other list] Hello (fwd)", "Hello"),
        ("[urgent]", "[urgent]"),
        ("Re:", ""),
        ("  Re:\t Hello   world ", "Hello world"),
        ("Regarding: Hello", "Regarding: Hello"),
        ("Ref: 123", "Ref: 123"),
        ("Re: 50% off: today", "50% off: today"),
    ],
)
def test_prefixes_and_list_tags_are_left_out(subject: str, expected: str):
    assert normalised_subject(subject) == expected


@pytest.mark.proves("T14")
@pytest.mark.parametrize("unit", ["re:", "re ", "[a", "[a]", "re[", "re[1", " ", "(fwd)", "回"])
def test_a_hostile_subject_is_read_in_linear_time(unit: str):
    assert grows_in_step(normalised_subject, (unit * 100_000)[:100_000])
