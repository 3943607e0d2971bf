"""The parts of what people type into the search box, and what is wrong with a part that begins like a known one.

`before:yesterday` is no word that anybody looks for: it is a question that was not understood, and gets a sentence.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import Final, NamedTuple

from mailstore import fulltext
from mailstore.texts import storable

LONGEST_QUERY: Final = 500  # characters; the rest is not looked at
MOST_PARTS: Final = 20
ATTACHMENT_WORDS: Final = frozenset({"attachment", "attachments", "file"})

_PART = re.compile(r'(?P<minus>-)?(?:(?P<name>[A-Za-z]{2,10}):)?(?:"(?P<quoted>[^"]*)"?|(?P<bare>[^\s"]+)|(?=\s|$))')
_DATE = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?", re.ASCII)
_WANTED: Final = {
    "from": "a name or an address right after the colon, such as from:maria",
    "to": "a name or an address right after the colon, such as to:support",
    "cc": "a name or an address right after the colon, such as cc:support",
    "subject": "a word right after the colon, such as subject:offer",
    "in": "a folder right after the colon, such as in:sent",
    "has": "the word attachment: has:attachment",
    "before": "a date such as 2026-03-31",
    "after": "a date such as 2026-03-31",
}


class Part(NamedTuple):
    """One part of a search. name: what stands before the colon, lower case; "" for words."""

    name: str
    value: str
    is_quoted: bool
    is_unwanted: bool


def parts(text: str) -> list[Part]:
    """Take a search apart. Pure, never raises."""
    found = [match for match in _PART.finditer(storable(text, LONGEST_QUERY)) if match[0]][:MOST_PARTS]
    return [
        Part(
            name=(match["name"] or "").lower(),
            value=match["quoted"] or match["bare"] or "",
            is_quoted=match["quoted"] is not None,
            is_unwanted=bool(match["minus"]),
        )
        for match in found
    ]


def complaint(part: Part, zone: tzinfo) -> str:
    """What `part` lacks, in one sentence; "" when it can be searched for."""
    match part.name:
        case "before" | "after":
            understood = day(part.value, zone) is not None
        case "has":
            understood = part.value.strip().lower() in ATTACHMENT_WORDS
        case "in":
            understood = bool(part.value.strip())
        case "from" | "to" | "cc" | "subject":
            understood = bool(fulltext.folded_words(part.value))
        case _:
            understood = True
    return "" if understood else f"{part.name}: wants {_WANTED[part.name]}."


def day(value: str, zone: tzinfo) -> datetime | None:
    """Read 2026, 2026-03 or 2026-03-31 as the midnight in `zone` that it begins with; None when it is no date."""
    match = _DATE.fullmatch(value.strip())
    if match is None:
        return None
    try:
        return datetime(int(match[1]), int(match[2] or 1), int(match[3] or 1), tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
