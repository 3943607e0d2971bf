"""Files that a composer offers and that are gone when it is sent: their draft was discarded in another window."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from django.http import QueryDict
from django.utils.text import get_text_list

NAMELESS: Final = "a file"
NAMED: Final = 5  # in a sentence; the boxes name all


def offered(sent: QueryDict) -> dict[str, str]:
    """The names of the files that the page showed as boxes, by their paths. A value is a path, a space and the name."""
    pairs = [value.partition(" ") for value in sent.getlist("offered")]
    return {path: name[:255] for path, _, name in pairs}


def lost(sent: QueryDict, there: Collection[str]) -> dict[str, str]:
    """Names by path of what is ticked and not `there`. The form offers it on, until its writer unticks it."""
    names = offered(sent)
    return {path: names.get(path) or NAMELESS for path in sent.getlist("keep") if path not in there}


def refusal(names: Collection[str]) -> str:
    """One sentence on files that would be missing from the mail."""
    told = [f"“{name}”" if name != NAMELESS else name for name in names][:NAMED]
    if len(names) > NAMED:
        told.append(f"{len(names) - NAMED} more")
    who = get_text_list(told, "and")
    verb, them = ("is", "it") if len(names) == 1 else ("are", "them")
    sentence = f"{who} {verb} gone: the draft was discarded or changed in another window, or the original was deleted."
    return f"{sentence[:1].upper()}{sentence[1:]} Choose {them} again below, or untick {them} to send without."
