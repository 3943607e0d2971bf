"""The full-text index: one row per message, four fields, kept by the writer. FTS5 on SQLite, see `fulltext_postgresql`
for the other engine.

Both engines hold words without case and accents: FTS5 by its tokenizer, PostgreSQL as `words.py` cuts them. Rows leave
with their message: a trigger sees to it, also for cascades inside the database.
The language that people search in stands in `searching.py`; here is only what an engine needs to be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.db import connection
from django.db.models.expressions import RawSQL

from mailstore import fulltext_postgresql
from mailstore.phrases import Field, IndexedMessage, Phrase
from mailstore.words import folded_words

__all__ = ["Field", "IndexedMessage", "Phrase", "add", "folded_words", "matching", "wants_postings"]

TABLE: Final = "mailstore_fulltext"


def wants_postings() -> bool:
    """Tell whether the engine takes `postings.posted`, which is best made where the texts are read."""
    return connection.vendor == "postgresql"


def add(messages: Sequence[IndexedMessage], postings: Sequence[bytes] = ()) -> None:
    """Index messages that are not indexed yet. Runs inside the transaction that stores them.

    postings: the rows that `postings.posted` made of these messages, all of them and in this order.
    """
    if not messages:
        return
    if connection.vendor == "postgresql":
        fulltext_postgresql.add(messages, postings)
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {TABLE} (rowid, subject, sender, recipients, text) VALUES (%s, %s, %s, %s, %s)",  # noqa: S608
            [(message.message_pk, *message.texts) for message in messages],
        )


def matching(phrases: Sequence[Phrase]) -> RawSQL:
    """Return a subquery of the keys of messages that hold every phrase, for `filter(pk__in=...)`."""
    if connection.vendor == "postgresql":
        return fulltext_postgresql.matching(phrases)
    sql = f"SELECT rowid FROM {TABLE} WHERE {TABLE} MATCH %s"  # noqa: S608
    return RawSQL(sql, [" AND ".join(map(_for_sqlite, phrases))])  # noqa: S611


def holding(phrases: Sequence[Phrase], key: str) -> RawSQL:
    """Return a condition that the message with the key `key`, an expression, holds every phrase: for few messages."""
    if connection.vendor == "postgresql":
        return fulltext_postgresql.holding(phrases, key)
    found = matching(phrases)
    return RawSQL(f"{key} IN ({found.sql})", found.params)  # noqa: S611


def _for_sqlite(phrase: Phrase) -> str:
    """FTS5 query syntax; words hold letters and digits only, so that nothing in them is syntax."""
    column = f"{phrase.field} : " if phrase.field else ""
    return f'{column}"{" ".join(phrase.words)}"{" *" if phrase.is_prefix else ""}'
