"""The full-text index: one row per message, four fields, kept by the writer. FTS5 on SQLite, tsvector on PostgreSQL.

Both engines hold words without case; accents are dropped by folding before PostgreSQL sees the text, and by the
tokenizer of FTS5. Rows leave with their message: a trigger sees to it, also for cascades inside the database.
The language that people search in stands in `searching.py`; here is only what an engine needs to be told.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from django.db import connection
from django.db.models.expressions import RawSQL

TABLE: Final = "mailstore_fulltext"
INDEXED_ON_POSTGRESQL: Final = 200_000  # characters of text per message: a tsvector holds at most 1 MB

_INSERT_ON_POSTGRESQL: Final = f"""
    INSERT INTO {TABLE} (message_id, words)
    SELECT pk, setweight(to_tsvector('simple', subject), 'A') || setweight(to_tsvector('simple', sender), 'B')
        || setweight(to_tsvector('simple', recipients), 'C') || to_tsvector('simple', body)
    FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[])
        AS message (pk, subject, sender, recipients, body)
"""  # noqa: S608
_PUNCTUATION: Final = str.maketrans({chr(code): " " for code in range(128) if not chr(code).isalnum()})
_NOT_A_WORD: Final = re.compile(r"[\W_]+")


class Field(StrEnum):
    """What can be searched by itself. `text` is the body and the names of attachments."""

    SUBJECT = "subject"
    SENDER = "sender"
    RECIPIENTS = "recipients"
    TEXT = "text"


_WEIGHTS: Final = {Field.SUBJECT: "A", Field.SENDER: "B", Field.RECIPIENTS: "C", Field.TEXT: "D"}


@dataclass(frozen=True, slots=True)
class IndexedMessage:
    """What the index is told of one message; the texts are free of NUL and lone surrogates."""

    message_pk: int
    subject: str
    sender: str
    recipients: str
    text: str


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that stand next to each other, in `field` or anywhere; the last one may go on where `is_prefix`."""

    words: tuple[str, ...]
    field: Field | None = None
    is_prefix: bool = False


def folded_words(text: str) -> tuple[str, ...]:
    """Return the words of `text` as the index knows them: no case, no accents, letters and digits only."""
    return tuple(_folded(text).split())


def add(messages: Sequence[IndexedMessage]) -> None:
    """Index messages that are not indexed yet. Runs inside the transaction that stores them."""
    if not messages:
        return
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            columns = (
                [message.message_pk for message in messages],
                [_folded(message.subject) for message in messages],
                [_folded(message.sender) for message in messages],
                [_folded(message.recipients) for message in messages],
                [_folded(message.text[:INDEXED_ON_POSTGRESQL]) for message in messages],
            )
            cursor.execute(_INSERT_ON_POSTGRESQL, columns)
            return
        cursor.executemany(
            f"INSERT INTO {TABLE} (rowid, subject, sender, recipients, text) VALUES (%s, %s, %s, %s, %s)",  # noqa: S608
            [
                (message.message_pk, message.subject, message.sender, message.recipients, message.text)
                for message in messages
            ],
        )


def matching(phrases: Sequence[Phrase]) -> RawSQL:
    """Return a subquery of the keys of messages that hold every phrase, for `filter(pk__in=...)`."""
    if connection.vendor == "postgresql":
        sql = f"SELECT message_id FROM {TABLE} WHERE words @@ to_tsquery('simple', %s)"  # noqa: S608
        return RawSQL(sql, [" & ".join(map(_for_postgresql, phrases))])  # noqa: S611
    sql = f"SELECT rowid FROM {TABLE} WHERE {TABLE} MATCH %s"  # noqa: S608
    return RawSQL(sql, [" AND ".join(map(_for_sqlite, phrases))])  # noqa: S611


def _for_sqlite(phrase: Phrase) -> str:
    """FTS5 query syntax; words hold letters and digits only, so that nothing in them is syntax."""
    column = f"{phrase.field} : " if phrase.field else ""
    return f'{column}"{" ".join(phrase.words)}"{" *" if phrase.is_prefix else ""}'


def _for_postgresql(phrase: Phrase) -> str:
    weight = _WEIGHTS[phrase.field] if phrase.field else ""
    marks = [weight] * len(phrase.words)
    marks[-1] = ("*" if phrase.is_prefix else "") + weight
    words = (f"'{word}'{':' + mark if mark else ''}" for word, mark in zip(phrase.words, marks, strict=True))
    return f"({' <-> '.join(words)})"


def _folded(text: str) -> str:
    if text.isascii():
        return text.translate(_PUNCTUATION).lower()
    plain = unicodedata.normalize("NFKD", text.lower())
    return _NOT_A_WORD.sub(" ", "".join(filter(_stands_alone, plain)) if not plain.isascii() else plain)


def _stands_alone(character: str) -> bool:
    return not unicodedata.combining(character)
