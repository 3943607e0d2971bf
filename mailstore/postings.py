"""Which messages of a batch hold a word: what PostgreSQL is given to search in after a large download.

An index of PostgreSQL's own (GIN) takes an entry per word and message; here it is a row per word and batch, twenty
times fewer. Pure, and ignorant of Django: the rows are made in the reader process, in the form of COPY BINARY.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from mailstore.words import LONGEST_WORD, Texts, in_order, words_of

MOST_MESSAGES: Final = 2**13  # in one batch: an entry is a smallint
FIELD_BITS: Final = 2  # the lowest ones of an entry; those above are the number of the message in its batch

_SMALLINT: Final = 21  # its OID
_ENTRY: Final = struct.Struct(">ih")  # size and value of an element of an array
_WORD: Final = struct.Struct(">i")
_ENTRIES: Final = struct.Struct(">iiiIii")  # size; one dimension, no NULL, of smallint, so many, counted from 1


def posted(messages: Sequence[Texts]) -> tuple[list[bytes], list[bytes]]:
    """Return each message's words in order, and a row for each word that any of them holds, sorted by word.

    A row is the columns `word` and `entries` of COPY BINARY, to stand behind the key of the batch's first message.
    """
    entries: defaultdict[bytes, list[bytes]] = defaultdict(list)
    ordered: list[bytes] = []
    for number, texts in enumerate(messages):
        fields = words_of(texts)
        ordered.append(in_order(fields))
        for field, words in enumerate(fields):
            entry = _ENTRY.pack(2, number << FIELD_BITS | field)
            for word in set(words):
                entries[word].append(entry)
    return ordered, [_row(word, entries[word]) for word in sorted(entries) if len(word) <= LONGEST_WORD]


def _row(word: bytes, entries: list[bytes]) -> bytes:
    count = len(entries)
    array = _ENTRIES.pack(_ENTRIES.size - 4 + count * _ENTRY.size, 1, 0, _SMALLINT, count, 1)
    return b"".join((_WORD.pack(len(word)), word, array, *entries))
