"""How texts are cut into words, and what PostgreSQL is told of them."""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Callable

import pytest
from django.db import connection

from mailstore import fulltext
from mailstore.fulltext import Field, IndexedMessage, Phrase
from mailstore.postings import posted
from mailstore.words import Texts, folded_words, in_order, tsvector, words_of

HOSTILE = [
    Texts("a" * 1_000, "", "b" * 50_000, "c" * 262_144),
    Texts("", "", " ".join(f"{number:x}" for number in range(10_000)), " ".join(map(str, range(50_000)))),
    Texts("\ufdfa" * 1_000, "\ufdfa" * 600, "\ufdfa " * 25_000, "\ufdfa" * 262_144),
    Texts("", "", " ".join(map(chr, range(0x20000, 0x26000))), " ".join(map(chr, range(0x20000, 0x2A6D0))) * 2),
    Texts("word " * 200, "word " * 100, "word " * 10_000, "word " * 50_000),
    Texts("", "", "", ""),
    Texts("'", "\\", "\n\t", "\u2028 \x1f \x85"),
]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Crème BRÛLÉE", ("creme", "brulee")),
        ("invoice_2026.pdf", ("invoice", "2026", "pdf")),
        ("carol@example.com", ("carol", "example", "com")),
        ("Straße, ÅNGSTRÖM", ("straße", "angstrom")),
        ("İstanbul 漢字 ﬁne", ("istanbul", "漢字", "fine")),
        (" \n", ()),
    ],
)
def test_words_have_no_case_and_no_accents(text, words):
    assert folded_words(text) == words


def test_every_word_is_told_once_and_the_order_of_all():
    ordered = in_order(words_of(Texts("Annual report", "Carol <carol@x.org>", "bob@x.org", "The REPORT, the report")))
    assert ordered.decode() == " annual report \n carol carol x org \n bob x org \n the report the report "
    [count] = struct.unpack(">i", tsvector(ordered)[:4])
    assert count == len({"annual", "report", "carol", "x", "org", "bob", "the"})


@pytest.fixture(params=["one by one", "as a batch"])
def index(request) -> Callable[[list[Texts]], None]:
    """`index(texts)` tells the index of messages with keys from 1 on, as for new mail or as for a large download."""

    def indexing(texts: list[Texts]) -> None:
        ordered, postings = posted(texts)
        if request.param == "as a batch":
            fulltext.add(list(map(IndexedMessage, itertools.count(1), texts, ordered)), postings)
        else:
            fulltext.add(list(map(IndexedMessage, itertools.count(1), texts)))

    return indexing


@pytest.mark.django_db
@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_the_engine_takes_hostile_texts(index, number):
    index([HOSTILE[number], Texts("plain", "", "", "words")])
    assert found(Phrase(("words",))) == {2}


@pytest.mark.django_db
def test_neighbours_are_found_in_their_field_and_never_across_two(index):
    messages = [
        Texts("annual report", "Carol Jones", "Bob Dylan", "the report of the year"),
        Texts("report", "Jones Carol", "Carol Jones, Bob", "annual"),
    ]
    index(messages)
    assert found(Phrase(("annual", "report"))) == {1}
    assert found(Phrase(("report", "of", "the"))) == {1}
    assert found(Phrase(("report", "of", "th"), is_prefix=True)) == {1}
    assert found(Phrase(("report", "of", "th"))) == set()
    assert found(Phrase(("carol", "jones"))) == {1, 2}
    assert found(Phrase(("carol", "jones"), Field.SENDER)) == {1}
    assert found(Phrase(("carol", "jones"), Field.RECIPIENTS)) == {2}
    assert found(Phrase(("annual",), Field.SUBJECT)) == {1}
    assert found(Phrase(("ann",), Field.SUBJECT, is_prefix=True)) == {1}
    assert found(Phrase(("report", "carol"))) == set()
    assert found(Phrase(("report", "jones"))) == set()


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(4))
def test_any_words_are_found_where_they_stand(index, seed):
    chance = random.Random(seed)
    vocabulary = ["".join(chance.choices("abß漢1", k=chance.randint(1, 3))) for _ in range(40)]
    messages = [
        Texts(*(" ".join(chance.choices(vocabulary, k=chance.randint(0, 6))) for _ in range(4))) for _ in range(60)
    ]
    index(messages)
    for _ in range(100):
        phrases = [
            Phrase(
                tuple(chance.choices(vocabulary, k=chance.randint(1, 2))),
                chance.choice([None, *Field]),
                is_prefix=chance.random() < 0.5,
            )
            for _ in range(chance.randint(1, 2))
        ]
        expected = {key for key, texts in enumerate(messages, start=1) if all(holds(texts, each) for each in phrases)}
        assert found(*phrases) == expected, phrases
        assert held(*phrases) == expected, phrases


def holds(texts: Texts, phrase: Phrase) -> bool:
    """Tell whether the words of `phrase` stand next to each other in one field of `texts`."""
    fields = [getattr(texts, phrase.field)] if phrase.field else texts
    searched = f" {' '.join(phrase.words)}{'' if phrase.is_prefix else ' '}"
    return any(searched in f" {text} " for text in fields)


def found(*phrases: Phrase) -> set[int]:
    subquery = fulltext.matching(phrases)
    with connection.cursor() as cursor:
        cursor.execute(subquery.sql, subquery.params)
        return {key for (key,) in cursor.fetchall()}


def held(*phrases: Phrase) -> set[int]:
    """The same of messages looked at one by one."""
    condition = fulltext.holding(phrases, "newest.pk")
    keys = ", ".join(f"({key})" for key in range(1, 70))
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH newest (pk) AS (VALUES {keys}) SELECT pk FROM newest WHERE {condition.sql}", condition.params
        )
        return {key for (key,) in cursor.fetchall()}
