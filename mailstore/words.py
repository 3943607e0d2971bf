"""How texts are cut into words, the same for what is stored and for what is searched.

Words are runs of letters and digits without case and accents. Pure, and ignorant of Django, so that the reader process
can prepare what PostgreSQL is given: there cutting and folding cost more than the index itself.
"""

from __future__ import annotations

import re
import struct
import unicodedata
from typing import Final, NamedTuple

INDEXED: Final = 150_000  # characters of a body: in UTF-8, with the other fields, they stay below a tsvector's 1 MB
LONGEST_WORD: Final = 2_000  # octets; a tsvector refuses longer ones, and nobody searches for them

# One position for all words of a field: subject, sender, recipients, body; the highest two bits are the weight, A to D.
# None is the neighbour of another: which words stand together is told by `in_order`.
_PLACES: Final = (3 << 14 | 10, 2 << 14 | 20, 1 << 14 | 30, 40)
_ENDS: Final = tuple(struct.pack(">xHH", 1, place) for place in _PLACES)  # of a word in a tsvector, in COPY BINARY
_FOLDED: Final = bytes(
    ord(chr(code).lower()) if chr(code).isascii() and chr(code).isalnum() else 32 if code < 128 else code
    for code in range(256)
)
_NOT_A_WORD: Final = re.compile(r"[\W_]+")
_LENGTH: Final = struct.Struct(">i")


class Texts(NamedTuple):
    """What is searched in one message, free of NUL and lone surrogates. text: the body and the names of attachments."""

    subject: str
    sender: str
    recipients: str
    text: str


def folded_words(text: str) -> tuple[str, ...]:
    """Return the words of `text` as the index knows them: no case, no accents, letters and digits only."""
    return tuple(_folded(text).decode().split())


def words_of(texts: Texts) -> list[list[bytes]]:
    """Return the words of each field, as often as they stand there."""
    return [_folded(text[:INDEXED]).split() for text in texts]


def in_order(fields: list[list[bytes]]) -> bytes:
    """Return a line per field with its words between single spaces, one at either end, for phrases.

    Cheaper to make and to store than positions.
    """
    return b"\n".join([b" %s " % b" ".join(words) for words in fields])


def tsvector(ordered: bytes) -> bytes:
    """Return every word of what `in_order` made, once, with the weight of its field, as a tsvector of COPY BINARY.

    A word of a short field need not be known for the body too.
    """
    subject, sender, recipients, body = lexemes = [_lexemes(line.split()) for line in ordered.split(b"\n")]
    several = subject & sender | subject & recipients | sender & recipients
    once = (subject - several, sender - several, recipients - several, body.difference(subject, sender, recipients))
    pieces = [_LENGTH.pack(len(several) + sum(map(len, once)))]
    pieces += [end.join(words) + end for words, end in zip(once, _ENDS, strict=True) if words]
    for word in several:
        places = [place for place, words in zip(_PLACES, lexemes, strict=True) if word in words]
        pieces.append(struct.pack(f">{len(word)}sxH{len(places)}H", word, len(places), *places))
    return b"".join(pieces)


def _lexemes(words: list[bytes]) -> set[bytes]:
    """Each word once, without those that no tsvector takes."""
    lexemes = set(words)
    if lexemes and len(max(lexemes, key=len)) > LONGEST_WORD:
        return {word for word in lexemes if len(word) <= LONGEST_WORD}
    return lexemes


def _folded(text: str) -> bytes:
    """Return `text` in UTF-8, its words in lower case without accents, and spaces for all else."""
    if text.isascii():
        return text.encode().translate(_FOLDED)
    plain = unicodedata.normalize("NFKD", text.lower())[:INDEXED]
    for mark in filter(unicodedata.combining, set(plain)):
        plain = plain.replace(mark, "")
    return plain.encode().translate(_FOLDED) if plain.isascii() else _NOT_A_WORD.sub(" ", plain).encode()
