"""How texts are cut into words, and what PostgreSQL is told of them."""

from __future__ import annotations

import struct

import pytest
from django.db import connection

from mailstore import fulltext
from mailstore.fulltext import Field, IndexedMessage, Phrase
from mailstore.words import Texts, folded_words, postgresql_columns

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
    columns = postgresql_columns(Texts("Annual report", "Carol <carol@x.org>", "bob@x.org", "The REPORT, the report"))
    size, count = struct.unpack(">ii", columns[:8])
    assert count == len({"annual", "report", "carol", "x", "org", "bob", "the"})
    in_order = columns[4 + size + 4 :].decode()
    assert in_order == " annual report \n carol carol x org \n bob x org \n the report the report "


@pytest.mark.django_db
@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_the_engine_takes_hostile_texts(number):
    fulltext.add([IndexedMessage(1, HOSTILE[number]), IndexedMessage(2, Texts("plain", "", "", "words"))])
    assert found(Phrase(("words",))) == {2}


@pytest.mark.django_db
def test_neighbours_are_found_in_their_field_and_never_across_two():
    messages = [
        Texts("annual report", "Carol Jones", "Bob Dylan", "the report of the year"),
        Texts("report", "Jones Carol", "Carol Jones, Bob", "annual"),
    ]
    fulltext.add([IndexedMessage(number, texts) for number, texts in enumerate(messages, start=1)])
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


def found(*phrases: Phrase) -> set[int]:
    subquery = fulltext.matching(phrases)
    with connection.cursor() as cursor:
        cursor.execute(subquery.sql, subquery.params)
        return {key for (key,) in cursor.fetchall()}
