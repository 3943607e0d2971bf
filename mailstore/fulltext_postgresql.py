"""The full-text index on PostgreSQL: GIN over tsvectors, or posting lists for the batches of a large download.

GIN pays for each word of each message, and nothing makes that cheap while rows come in. So the messages of a large
download are found by a row per word and batch (`postings.py`); mail that comes in later goes into GIN. A search asks
both. A message that left may still be named by a posting; its key is never used again, and a search joins the messages.
The postings of a batch leave with its last message: a trigger sees to that too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from django.db import connection
from django.db.models.expressions import RawSQL

from mailstore.phrases import Field, IndexedMessage, Phrase
from mailstore.postings import FIELD_BITS, MOST_MESSAGES
from mailstore.words import in_order, tsvector, words_of

_COPY_BEGINS: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_ENDS: Final = b"\xff\xff"
_INDEXED: Final = "COPY mailstore_fulltext (message_id, words, in_order) FROM STDIN (FORMAT binary)"
_POSTED: Final = "COPY mailstore_posting (first_message, word, entries) FROM STDIN (FORMAT binary)"
_KEY: Final = struct.Struct(">hiq")  # three columns; eight octets of key
_LENGTH: Final = struct.Struct(">i")
_NULL: Final = _LENGTH.pack(-1)

_WEIGHTS: Final = {Field.SUBJECT: "A", Field.SENDER: "B", Field.RECIPIENTS: "C"}
_NUMBERS: Final = {Field.SUBJECT: 0, Field.SENDER: 1, Field.RECIPIENTS: 2}  # of the field in an entry of a posting
_LINES: Final = {Field.SUBJECT: 1, Field.SENDER: 2, Field.RECIPIENTS: 3}  # of the column `in_order`


def add(messages: Sequence[IndexedMessage], postings: Sequence[bytes]) -> None:
    """Index `messages` by `postings` where there are any, else in GIN. Runs inside the transaction that stores them."""
    first, last = messages[0].message_pk, messages[-1].message_pk
    by_postings = postings and last - first == len(messages) - 1 and len(messages) <= MOST_MESSAGES
    rows: list[bytes] = []
    for message in messages:
        ordered = message.in_order or in_order(words_of(message.texts))
        words = _NULL if by_postings else _sized(tsvector(ordered))
        rows += (_KEY.pack(3, 8, message.message_pk), words, _sized(ordered))
    _copy(_INDEXED, rows)
    if by_postings:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO mailstore_postingbatch (first_message, last_message) VALUES (%s, %s)", [first, last]
            )
        key = _KEY.pack(3, 8, first)
        _copy(_POSTED, (key, key.join(postings)))


def matching(phrases: Sequence[Phrase]) -> RawSQL:
    """Return a subquery of the keys of messages that hold every phrase.

    GIN and postings find the words, the words in order tell whether they are neighbours. Words hold letters and digits
    only, so that nothing in them is syntax of a tsquery or of LIKE.
    """
    neighbours, expected = _neighbours(phrases)
    indexed = f"SELECT message_id FROM mailstore_fulltext WHERE words @@ %s::tsquery{neighbours}"  # noqa: S608
    posted, asked = _posted(phrases)
    if expected:
        posted = f"SELECT message_id FROM mailstore_fulltext WHERE message_id IN ({posted}){neighbours}"  # noqa: S608
    query = " & ".join(map(_tsquery, phrases))
    return RawSQL(f"({indexed}) UNION ALL ({posted})", [query, *expected, *asked, *expected])  # noqa: S611


def holding(phrases: Sequence[Phrase], key: str) -> RawSQL:
    """Return a condition that the message with the key `key`, an expression, holds every phrase.

    Of few messages that is known faster from their own words than from the index. OFFSET keeps the question from
    becoming a join.
    """
    neighbours, expected = _neighbours(phrases)
    in_line, written = "", []
    for phrase in phrases:
        for word, is_prefix in _words(phrase):
            in_line += f" AND strpos({_line(phrase)}, %s) > 0"
            written.append(f" {word}{'' if is_prefix else ' '}")
    sql = (
        "EXISTS (SELECT FROM mailstore_fulltext WHERE "
        f"(words @@ %s::tsquery OR words IS NULL{in_line}){neighbours} AND message_id = {key} OFFSET 0)"
    )
    return RawSQL(sql, [" & ".join(map(_tsquery, phrases)), *written, *expected])  # noqa: S611


def _words(phrase: Phrase) -> Iterator[tuple[str, bool]]:
    """The words of a phrase, each with whether it may go on."""
    for number, word in enumerate(phrase.words, start=1):
        yield word, phrase.is_prefix and number == len(phrase.words)


def _line(phrase: Phrase) -> str:
    """The words in order that a phrase is looked for in."""
    return f"split_part(in_order, E'\\n', {_LINES[phrase.field]})" if phrase.field else "in_order"


def _neighbours(phrases: Sequence[Phrase]) -> tuple[str, list[str]]:
    """Conditions that words of a phrase stand next to each other, and their parameters."""
    conditions, parameters = "", []
    for phrase in phrases:
        if len(phrase.words) > 1:
            conditions += f" AND {_line(phrase)} LIKE %s"
            parameters.append(f"% {' '.join(phrase.words)}{'' if phrase.is_prefix else ' '}%")
    return conditions, parameters


def _posted(phrases: Sequence[Phrase]) -> tuple[str, list[str]]:
    """The messages of which postings tell that they hold every word, and the parameters."""
    queries, parameters = [], []
    for phrase in phrases:
        for word, is_prefix in _words(phrase):
            within = f" AND entry & {2**FIELD_BITS - 1} = {_NUMBERS[phrase.field]}" if phrase.field else ""
            queries.append(
                f"SELECT first_message + (entry >> {FIELD_BITS}) FROM mailstore_posting, unnest(entries) AS entry"  # noqa: S608
                f" WHERE word {'LIKE' if is_prefix else '='} %s{within}"
            )
            parameters.append(f"{word}%" if is_prefix else word)
    return " INTERSECT ".join(queries), parameters


def _tsquery(phrase: Phrase) -> str:
    weight = _WEIGHTS[phrase.field] if phrase.field else ""
    marks = [weight] * len(phrase.words)
    marks[-1] = ("*" if phrase.is_prefix else "") + weight
    return " & ".join(f"'{word}'{':' + mark if mark else ''}" for word, mark in zip(phrase.words, marks, strict=True))


def _sized(octets: bytes) -> bytes:
    return _LENGTH.pack(len(octets)) + octets


def _copy(statement: str, rows: Iterable[bytes]) -> None:
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(b"".join((_COPY_BEGINS, *rows, _COPY_ENDS)))
