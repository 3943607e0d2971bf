"""Regular expressions that people write: matched in time that grows with the text only, never with its content.

A server's reply is written by a stranger. So a pattern may repeat only a bounded number of times, and only so many
times in all; everything that lets an engine search back and forth without end is refused when the rule is saved.
"""

from __future__ import annotations

import re
from functools import lru_cache

LONGEST_PATTERN = 500
LONGEST_TEXT = 1000  # characters of a reply that are looked at
MOST_WAYS = 20_000  # how many ways the bounded repeats of one pattern may combine

_REPEAT = re.compile(r"\{(?P<low>\d*),(?P<high>\d*)\}")


def problem_of(pattern: str) -> str:
    """Why a pattern is not taken, as a sentence; "" for a good one."""
    if len(pattern) > LONGEST_PATTERN:
        return f"The pattern is longer than {LONGEST_PATTERN} characters."
    bare = re.sub(r"\[\^?\]?(?:\\.|[^\]\\])*\]", "x", re.sub(r"\\[^\d]", "x", pattern))
    if re.search(r"[*+]", bare):
        return "The pattern repeats without a limit; write {0,40} instead of * or +."
    if re.search(r"\(\?(?:[=!(]|<[=!])|\(\?P=|\\\d", bare):
        return "The pattern looks ahead or back, which can take forever; describe the text itself."
    ways = 1
    for repeat in _REPEAT.finditer(bare):
        if not repeat["high"]:
            return "The pattern repeats without a limit; give the repeat an end, such as {0,40}."
        ways *= 1 + int(repeat["high"]) - int(repeat["low"] or 0)
    if ways > MOST_WAYS or re.search(r"\)[?]?\{", bare):
        return "The pattern repeats too often; use fewer or shorter repeats, and none around a group."
    try:
        re.compile(pattern)
    except re.error as exc:
        return f"The pattern is not a regular expression: {exc}."
    return ""


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    return None if problem_of(pattern) else re.compile(pattern, re.IGNORECASE)


def search(pattern: str, text: str) -> re.Match[str] | None:
    """Find `pattern` in the first characters of `text`, whatever its case. A bad pattern finds nothing."""
    compiled = _compiled(pattern)
    return compiled.search(text[:LONGEST_TEXT]) if compiled else None
