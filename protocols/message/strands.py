"""Which strands are one conversation by their subject, where a reply does not say what it answers.

A strand is what identifiers tie together (`threading.py`). Programs on phones, ticket systems and relays that write new
Message-IDs break a conversation into several strands. One whose oldest message is a reply by its subject belongs to the
strand of the same subject that

- began last before it, among the nearest `NEAREST`,
- had ended at most 30 days before it; 7 days where the subject says little ("Hello"), or where the reply refers to
  another message than those we have,
- the author of the reply takes part in, and somebody else of those the reply is between.

What machines wrote is left alone. The rule looks at nothing but the strands themselves, so that the same messages make
the same conversations in whatever order they come; and only at near ones, so that a late message changes little.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from unicodedata import normalize
from zlib import crc32

from protocols.message.subjects import is_reply_subject, normalised_subject

NEAREST = 20
RECIPIENTS_READ = 500

_DAY = 24 * 60 * 60
_LONG = 30 * _DAY
_SHORT = 7 * _DAY
_CLOCKS_DIFFER = 10 * 60  # seconds by which a reply may be dated before what it answers
_SAYS_LITTLE = 16  # octets of UTF-8: a few letters, or half as many signs of other scripts
_LONGEST_SUBJECT = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_USUAL_PREFIX = re.compile(r"(?:(?:re|aw|fwd?|wg|sv|tr) ?: *)+", re.IGNORECASE)
_DIGIT = re.compile(rb"[0-9]")


class Strand(NamedTuple):
    """What the subject of a strand and its times tell.

    begins: when its oldest message was sent, in seconds since 1970; a reply by subject counts as ten minutes later.
    tie:    a number made of that message's Message-ID, for strands that begin in the same second.
    topic:  hash of its subject without prefixes; 0 where nothing is joined by it.
    reach:  how many seconds before it what it answers may have ended; 0: it is no reply by its subject.
    ends:   when its newest message was sent, in seconds since 1970.
    """

    begins: int
    tie: int
    topic: int
    reach: int
    ends: int

    @property
    def place(self) -> tuple[int, int]:
        """Its place among the strands of a subject."""
        return self.begins, self.tie


class People(NamedTuple):
    """author: address of who wrote the oldest message of a strand. everybody: all who wrote or received any of it."""

    author: str
    everybody: frozenset[str]


NOBODY = People("", frozenset())


def strand_of(
    subject: str, sent_at: datetime, message_id: str, author: str, *, refers: bool, is_automatic: bool = False
) -> Strand:
    """Return the strand of one message. refers: it names another message; is_automatic: a machine wrote it."""
    seconds = (sent_at - _EPOCH) // _SECOND
    subject = subject[:_LONGEST_SUBJECT]
    is_reply, text = _read_subject(subject)
    tie = crc32((message_id or f"{author}\n{subject}").encode("utf-8", "replace"))
    begins = seconds + _CLOCKS_DIFFER if is_reply else seconds
    if is_automatic or not text:
        return Strand(begins, tie, 0, 0, seconds)
    if not text.isascii():
        text = normalize("NFKC", text)
    folded = text.casefold().encode("utf-8", "replace")
    if not is_reply:
        reach = 0
    elif refers or (len(folded) < _SAYS_LITTLE and not _DIGIT.search(folded)):
        reach = _SHORT
    else:
        reach = _LONG
    return Strand(begins, tie, crc32(folded) or 1, reach, seconds)


def _read_subject(subject: str) -> tuple[bool, str]:
    """Return whether it is the subject of a reply, and what it says without prefixes and tags.

    Looking for the prefixes of all languages is slow; most replies begin with a few of them and go on in plain words.
    """
    found = _USUAL_PREFIX.match(subject)
    rest = subject[found.end() :] if found else subject
    if rest.isascii() and ":" not in rest and "[" not in rest and "(" not in rest and "  " not in rest:
        return found is not None, rest.strip()
    return is_reply_subject(subject), normalised_subject(subject)


def together(strands: Iterable[Strand]) -> Strand:
    """Return the one strand that several are, because identifiers tie them together."""
    listed = list(strands)
    oldest = min(listed)
    return oldest._replace(ends=max(strand.ends for strand in listed))


def may_answer(at: int, strands: Sequence[Strand]) -> Iterator[int]:
    """Yield the numbers of those among `strands` that the one at `at` may answer, by time, the first choice first.

    strands: of one subject, sorted.
    """
    reply = strands[at]
    if not reply.reach:
        return
    end = bisect_left(strands, reply.place)  # those of the same place are no earlier
    for number in range(end - 1, max(-1, end - 1 - NEAREST), -1):
        if strands[number].ends + reply.reach >= reply.begins:
            yield number


def is_between_the_same(reply: People, earlier: People, own: frozenset[str]) -> bool:
    """Tell whether a reply is between people of an earlier strand: its author, and somebody else.

    own: addresses of the mailbox, if known. Whoever has them takes part in every message of it, by which name ever.
    """
    author = reply.author in own or reply.author in earlier.everybody
    others = (reply.everybody & earlier.everybody) - own - {reply.author}
    return bool(reply.author) and author and bool(others or (own and reply.author not in own))


def answered(at: int, strands: Sequence[Strand], people: Mapping[int, People], own: frozenset[str]) -> int | None:
    """Return the number of the strand that the one at `at` answers by its subject; None where there is none.

    strands: of one subject, sorted; people: of all that may come into question, by number.
    """
    for number in may_answer(at, strands):
        if is_between_the_same(people[at], people[number], own):
            return number
    return None


def people_of(author: str, recipients: Iterable[str]) -> People:
    """Return the people of one message. Addresses are compared in lower case."""
    author = author.lower()
    return People(author, frozenset(filter(None, (author, *map(str.lower, recipients)))))
