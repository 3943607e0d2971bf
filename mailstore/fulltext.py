"""The full-text index: one row per message, four fields, kept by the writer. FTS5 on SQLite, tsvector on PostgreSQL.

Both engines hold words without case and accents: FTS5 by its tokenizer, PostgreSQL as `words.py` cuts them. Rows leave
with their message: a trigger sees to it, also for cascades inside the database.
The language that people search in stands in `searching.py`; here is only what an engine needs to be told.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from django.db import connection
from django.db.models.expressions import RawSQL

from mailstore.words import Texts, folded_words, postgresql_columns

__all__ = ["Field", "IndexedMessage", "Phrase", "add", "folded_words", "matching", "wants_columns"]

TABLE: Final = "mailstore_fulltext"

_COPY: Final = f"COPY {TABLE} (message_id, words, in_order) FROM STDIN (FORMAT binary)"
_COPY_BEGINS: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_ENDS: Final = b"\xff\xff"
_KEY: Final = struct.Struct(">hiq")  # three columns; eight octets of key


class Field(StrEnum):
    """What can be searched by itself."""

    SUBJECT = "subject"
    SENDER = "sender"
    RECIPIENTS = "recipients"


_WEIGHTS: Final = {Field.SUBJECT: "A", Field.SENDER: "B", Field.RECIPIENTS: "C"}
_LINES: Final = {Field.SUBJECT: 1, Field.SENDER: 2, Field.RECIPIENTS: 3}  # of the column `in_order`


@dataclass(frozen=True, slots=True)
class IndexedMessage:
    """What the index is told of one message.

    columns: what `postgresql_columns` made of its texts, where that was done before.
    """

    message_pk: int
    texts: Texts
    columns: bytes = b""


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that stand next to each other, in `field` or anywhere; the last one may go on where `is_prefix`."""

    words: tuple[str, ...]
    field: Field | None = None
    is_prefix: bool = False


def wants_columns() -> bool:
    """Tell whether the engine takes `postgresql_columns`, which are best made where the texts are read."""
    return connection.vendor == "postgresql"


def add(messages: Sequence[IndexedMessage]) -> None:
    """Index messages that are not indexed yet. Runs inside the transaction that stores them."""
    if not messages:
        return
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            rows = [_COPY_BEGINS]
            for message in messages:
                rows += (_KEY.pack(3, 8, message.message_pk), message.columns or postgresql_columns(message.texts))
            with cursor.copy(_COPY) as copy:
                copy.write(b"".join((*rows, _COPY_ENDS)))
            return
        cursor.executemany(
            f"INSERT INTO {TABLE} (rowid, subject, sender, recipients, text) VALUES (%s, %s, %s, %s, %s)",  # noqa: S608
            [(message.message_pk, *message.texts) for message in messages],
        )


def matching(phrases: Sequence[Phrase]) -> RawSQL:
    """Return a subquery of the keys of messages that hold every phrase, for `filter(pk__in=...)`."""
    if connection.vendor == "postgresql":
        return _on_postgresql(phrases)
    sql = f"SELECT rowid FROM {TABLE} WHERE {TABLE} MATCH %s"  # noqa: S608
    return RawSQL(sql, [" AND ".join(map(_for_sqlite, phrases))])  # noqa: S611


def _for_sqlite(phrase: Phrase) -> str:
    """FTS5 query syntax; words hold letters and digits only, so that nothing in them is syntax."""
    column = f"{phrase.field} : " if phrase.field else ""
    return f'{column}"{" ".join(phrase.words)}"{" *" if phrase.is_prefix else ""}'


def _on_postgresql(phrases: Sequence[Phrase]) -> RawSQL:
    """The index finds the words, the words in order tell whether they are neighbours.

    Words hold letters and digits only, so that nothing in them is syntax of a tsquery or of LIKE.
    """
    conditions = ["words @@ %s::tsquery"]
    parameters = [" & ".join(map(_tsquery, phrases))]
    for phrase in phrases:
        if len(phrase.words) > 1:
            line = f"split_part(in_order, E'\\n', {_LINES[phrase.field]})" if phrase.field else "in_order"
            conditions.append(f"{line} LIKE %s")
            parameters.append(f"% {' '.join(phrase.words)}{'' if phrase.is_prefix else ' '}%")
    return RawSQL(f"SELECT message_id FROM {TABLE} WHERE {' AND '.join(conditions)}", parameters)  # noqa: S608, S611


def _tsquery(phrase: Phrase) -> str:
    weight = _WEIGHTS[phrase.field] if phrase.field else ""
    marks = [weight] * len(phrase.words)
    marks[-1] = ("*" if phrase.is_prefix else "") + weight
    return " & ".join(f"'{word}'{':' + mark if mark else ''}" for word, mark in zip(phrase.words, marks, strict=True))
