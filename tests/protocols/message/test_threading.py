"""Conversations by identifiers: the same whatever the order, and never by a subject alone."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.message.parse import MessageSummary, parse_summary
from protocols.message.threading import Joined, join, normalised_subject, thread_keys, thread_messages


def summary(identifier: str, *references: str, subject: str = "", minute: int = 0, head: str = "") -> MessageSummary:
    lines = [
        f"Date: Mon, 05 Feb 2024 10:{minute:02}:00 +0000",
        f"Subject: {subject}",
        f"Message-ID: <{identifier}>" if identifier else "X: y",
        f"References: {' '.join(f'<{reference}>' for reference in references)}",
    ]
    return parse_summary(f"{head}{chr(10).join(lines)}\n\n".encode())


def test_the_own_identifier_is_the_first_key():
    assert thread_keys(summary("c@x", "a@x", "b@x", "a@x")) == ("c@x", "a@x", "b@x")


def test_a_message_without_identifier_gets_the_same_key_in_every_copy():
    first, second = (summary("", subject="Hi", head=f"Received: {way}\n") for way in ("one", "two"))
    assert thread_keys(first) == thread_keys(second)
    assert thread_keys(first) != thread_keys(summary("", subject="Ho"))
    assert thread_keys(first)[0].startswith("no-message-id:")


def test_a_very_long_identifier_becomes_a_short_key():
    assert len(thread_keys(summary("a" * 900 + "@x"))[0]) < 80


def test_of_many_references_the_first_and_the_newest_are_keys():
    keys = thread_keys(summary("own@x", *(f"{number}@x" for number in range(400))))
    assert len(keys) == 50
    assert (keys[0], keys[1], keys[-1]) == ("own@x", "0@x", "399@x")


def test_a_reply_that_comes_before_its_root_ends_in_the_same_conversation():
    first = join({}, [("reply", "root")])
    assert first == Joined((-1,), {"reply": -1, "root": -1})
    second = join({"root": 7, "reply": 7}, [("root",)])
    assert second == Joined((7,))


def test_a_message_that_ties_two_conversations_merges_the_newer_into_the_older():
    joined = join({"a": 9, "b": 4}, [("c", "a", "b")])
    assert joined.conversations == (4,)
    assert joined.merged == {9: 4}
    assert joined.keys == {"c": 4, "a": 4}


def test_keys_of_one_stored_conversation_stay_together():
    assert join({"a": 3, "b": 3}, [("x", "a"), ("y", "b")]).conversations == (3, 3)


def test_strangers_with_the_same_subject_stay_apart():
    messages = [summary("a@x", subject="Hello"), summary("b@x", subject="Re: Hello", minute=1)]
    assert thread_messages(messages) == [["a@x"], ["b@x"]]


def test_by_subject_only_replies_among_correspondents_join():
    ann_to_bob = "From: ann@x.org\nTo: bob@x.org\n"
    messages = [
        summary("a@x", subject="Hello", head=ann_to_bob),
        summary("b@x", subject="Re: Hello", minute=1, head="From: bob@x.org\nTo: ann@x.org\n"),
        summary("c@x", subject="Re: Hello", minute=2, head="From: eve@x.org\nTo: dan@x.org\n"),
        summary("d@x", subject="Hello", minute=3, head=ann_to_bob),
    ]
    assert thread_messages(messages, by_subject=True) == [["a@x", "b@x"], ["c@x"], ["d@x"]]


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


KEY = st.sampled_from([f"k{number}" for number in range(12)])
BATCH = st.lists(st.lists(KEY, min_size=1, max_size=4).map(tuple), min_size=1, max_size=25)


class Store:
    """What a database does with the results of `join`."""

    def __init__(self) -> None:
        self.keys: dict[str, int] = {}
        self.next = 1

    def add(self, batch: Sequence[tuple[str, ...]]) -> None:
        joined = join({key: self.keys[key] for keys in batch for key in keys if key in self.keys}, batch)
        numbers = {number: self.next - number - 1 for number in set(joined.conversations) if number < 0}
        self.next += len(numbers)
        self.keys = {key: joined.merged.get(number, number) for key, number in self.keys.items()}
        self.keys.update((key, numbers.get(number, number)) for key, number in joined.keys.items())
        for keys, number in zip(batch, joined.conversations, strict=True):
            assert {self.keys[key] for key in keys} == {numbers.get(number, number)}

    def partition(self) -> set[frozenset[str]]:
        groups: defaultdict[int, set[str]] = defaultdict(set)
        for key, number in self.keys.items():
            groups[number].add(key)
        return {frozenset(group) for group in groups.values()}


def stored(batches: Iterable[Sequence[tuple[str, ...]]]) -> set[frozenset[str]]:
    store = Store()
    for batch in batches:
        store.add(batch)
    return store.partition()


@given(BATCH, st.integers(min_value=1, max_value=7), st.randoms(use_true_random=False))
def test_order_and_batches_do_not_matter(batch: list[tuple[str, ...]], size: int, chance: random.Random):
    shuffled = list(batch)
    chance.shuffle(shuffled)
    in_batches = [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
    assert stored([batch]) == stored(in_batches) == stored([[keys] for keys in reversed(batch)])


@given(BATCH)
def test_the_same_batch_again_changes_nothing(batch: list[tuple[str, ...]]):
    store = Store()
    store.add(batch)
    joined = join(store.keys, batch)
    assert (joined.keys, joined.merged) == ({}, {})


def test_a_chain_of_a_hundred_thousand_messages_is_joined_quickly():
    batch = [(f"m{number}", f"m{number + 1}") for number in range(100_000)]
    start = time.process_time()
    assert set(join({}, batch).conversations) == {-1}
    assert time.process_time() - start < 3


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
    best = 1.0
    for _ in range(3):  # the best of three: a busy machine makes processor time longer too
        start = time.process_time()
        normalised_subject((unit * 100_000)[:100_000])
        best = min(best, time.process_time() - start)
    assert best < 0.1
