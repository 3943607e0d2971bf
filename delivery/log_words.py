"""Searching the log by words: FTS5 on SQLite, GIN on PostgreSQL, both over the same words (threat T27).

A message has its words in two columns, between single spaces and folded as everywhere (`mailstore.words`): those of the
subject, and those of names and addresses, an address cut at its signs. Triggers carry them into the index of SQLite
in the transaction that writes the row, whoever writes it; PostgreSQL indexes the row itself.

What somebody types is folded in the same way, so that nothing of it but letters and digits reaches either engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from django.db import connection

from delivery.log_lists import Condition, List
from mailstore.words import folded_words

MOST_WORDS: Final = 12  # of a search; the others are not looked at
LONGEST: Final = 100  # characters of a word, kept and searched
BEGINNING: Final = 3  # letters that are enough to look for words that begin so
ENDINGS: Final = 40  # words that one beginning may stand for; with more it stands for itself alone
TABLE: Final = "delivery_outboxwords"
TERMS: Final = "delivery_outboxterms"
BOTH: Final = "m.subject_words || m.recipient_words"
VECTOR: Final = "array_to_tsvector(array_remove(string_to_array({0}subject_words || {0}recipient_words, ' '), ''))"


class Word(NamedTuple):
    """A word that is looked for. begins: also as the beginning of longer ones, which are `ends` on SQLite."""

    text: str
    begins: bool = False
    ends: tuple[str, ...] = ()


def line(*texts: str) -> str:
    """The words of some texts as a row keeps them: each between single spaces; a break ends each text."""
    return " " + " \n ".join(" ".join(word[:LONGEST] for word in folded_words(text)) for text in texts) + " "


def recipient_line(header: str, blind: Iterable[str] = ()) -> str:
    """The words of all recipients, each apart: those of To and Cc as the header has them, and blind ones."""
    return line(*header.split(", "), *blind)


def asked(text: str) -> tuple[Word, ...]:
    """The words of a search; the last may be the beginning of one, as whoever is still typing has it."""
    found = [word[:LONGEST] for word in dict.fromkeys(folded_words(text))][:MOST_WORDS]
    if not found:
        return ()
    *whole, last = found
    return (*map(Word, whole), _beginning(last))


def phrase(text: str) -> str:
    """Words that have to stand together, such as those of one address; "" where there are none."""
    found = [word[:LONGEST] for word in folded_words(text)][:MOST_WORDS]
    return f" {' '.join(found)} " if found else ""


def leading(words: Sequence[Word], together: str) -> List:
    """The messages that hold all these words. Those of `together` may still stand apart."""
    if connection.vendor == "postgresql":
        terms = [f"'{word.text}'{':*' if word.begins else ''}" for word in words]
        terms += [f"'{word}'" for word in together.split()]
        return List(Condition(f"{VECTOR.format('m.')} @@ %s::tsquery", (" & ".join(terms),)))
    terms = [f"({' OR '.join(_quoted(word.ends or (word.text,)))})" for word in words]
    terms += [f"recipient_words : {one}" for one in _quoted(together.split())]
    return List(Condition(f"{TABLE} MATCH %s", (" AND ".join(terms),)), TABLE, f"{TABLE}.rowid")


def conditions(words: Sequence[Word], together: str) -> Iterable[Condition]:
    """The same, asked of one row, and whether the words of `together` stand together."""
    holds = "strpos" if connection.vendor == "postgresql" else "instr"
    for word in words:
        yield Condition(f"{holds}({BOTH}, %s) > 0", (f" {word.text}{'' if word.begins else ' '}",))
    if together:
        yield Condition(f"{holds}(m.recipient_words, %s) > 0", (together,))


def _beginning(text: str) -> Word:
    if len(text) < BEGINNING:
        return Word(text)
    if connection.vendor == "postgresql":
        return Word(text, begins=True)
    ends = _that_begin_with(text)
    return Word(text, begins=True, ends=ends) if len(ends) <= ENDINGS else Word(text)


def _that_begin_with(text: str) -> tuple[str, ...]:
    """Words of the index that begin so, at most ENDINGS + 1, by leaps: each look-up reads one entry of one word."""
    sql = f"""
        WITH RECURSIVE leap(word) AS (
            SELECT (SELECT term FROM {TERMS} WHERE term >= %s LIMIT 1) UNION ALL
            SELECT (SELECT term FROM {TERMS} WHERE term >= leap.word || char(1) LIMIT 1) FROM leap
            WHERE substr(leap.word, 1, %s) = %s LIMIT {ENDINGS + 2}
        ) SELECT word FROM leap WHERE substr(word, 1, %s) = %s
    """  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [text, len(text), text, len(text), text])
        return tuple(word for [word] in cursor.fetchall()) or (text,)


def _quoted(words: Iterable[str]) -> list[str]:
    return [f'"{word}"' for word in words]
