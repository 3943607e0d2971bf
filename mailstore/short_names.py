"""What a list calls a sender: people by their first name, everybody else by the whole name."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

LONGEST: Final = 40  # characters

_TITLES: Final = frozenset({"dr", "prof", "mr", "mrs", "ms", "miss", "mx", "sir", "herr", "frau", "mag", "ing", "dipl"})
_NOT_A_PERSON: Final = frozenset(
    {
        *("the", "a", "an", "der", "die", "das", "le", "la", "les", "el", "los", "las", "il", "het"),  # articles
        *("of", "at", "for", "and", "und", "et", "y", "&", "+", "|", "-", "/", "via", "from"),
        *("gmbh", "ag", "kg", "inc", "ltd", "llc", "plc", "corp", "co", "bv", "sa", "srl", "oy", "ab"),
        *("bank", "club", "company", "customer", "daily", "group", "info", "news", "newsletter", "no-reply", "noreply"),
        *("notifications", "office", "online", "press", "sales", "service", "services", "shop", "store", "studio"),
        *("support", "team", "times", "weekly"),
    }
)
_INITIAL: Final = re.compile(r"\w\.?")


@lru_cache(maxsize=8192)
def short_name(name: str, address: str) -> str:
    """Return what a colleague would say: "Alice" of "Dr. Alice Liddell" or alice@example.org, but "The Freewheel"."""
    words = name.strip(" \t\"'“”").split()
    if not words or (len(words) == 1 and "@" in words[0]):
        return (words[0] if words else address).partition("@")[0][:LONGEST]
    if _NOT_A_PERSON & {word.casefold().strip(".,()") for word in words} or any(map(str.isdigit, name)):
        return " ".join(words)[:LONGEST].rstrip()
    if "," in name:
        words = name.partition(",")[2].split() or words  # "Liddell, Alice"
    while len(words) > 1 and words[0].casefold().rstrip(".") in _TITLES:
        words = words[1:]
    if _INITIAL.fullmatch(words[0]):
        return " ".join(words)[:LONGEST].rstrip()  # "J. Smith"
    return words[0].rstrip(",")[:LONGEST]
