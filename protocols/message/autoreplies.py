"""Automatic replies: written by a program to whoever writes (RFC 3834), told by their fields and, at last, subject."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

_LONGEST_WORDS: Final = 250  # characters
_MOST_LINES: Final = 60


class _Rules(NamedTuple):
    present: tuple[str, ...]
    values: dict[str, tuple[str, ...]]
    subjects: tuple[str, ...]
    telling: re.Pattern[str]


def _read() -> _Rules:
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return _Rules(
        present=tuple(table["present"]),
        values={name: tuple(values) for name, values in table["values"].items()},
        subjects=tuple(each.lower() for each in table["subjects"]),
        telling=re.compile("|".join(rf"\b{each}\b" for each in table["telling"]), re.IGNORECASE),
    )


_RULES: Final = _read()


def is_auto_reply(fields: Mapping[str, str]) -> bool:
    """Tell whether a program answered on behalf of a person.

    fields: lower-case names with decoded values. A notice that a program wrote by itself ("auto-generated") is none.
    A subject counts only beside another sign, as people write "Out of office" too.
    """
    submitted = fields.get("auto-submitted", "").partition(";")[0].strip().lower()
    if submitted:
        return submitted.startswith("auto-replied")
    if any(fields.get(name, "").strip() for name in _RULES.present):
        return True
    for name, values in _RULES.values.items():
        if fields.get(name, "").strip().lower().startswith(values):
            return True
    return _has_subject(fields) and _is_response(fields)


def telling_words(lines: Sequence[str]) -> str:
    """Return the line of an automatic reply that tells most: until when somebody is away; else its first sentence."""
    said = [" ".join(line.split()) for line in lines[:_MOST_LINES] if line.strip()]
    until = next((line for line in said if _RULES.telling.search(line)), "")
    first = next((line for line in said if len(line.split()) > 3), "")
    words = until or first or "".join(said[:1])
    return words if len(words) <= _LONGEST_WORDS else f"{words[:_LONGEST_WORDS].rstrip()} ..."


def _has_subject(fields: Mapping[str, str]) -> bool:
    return fields.get("subject", "").strip().lower().startswith(_RULES.subjects)


def _is_response(fields: Mapping[str, str]) -> bool:
    if "in-reply-to" in fields or "x-auto-response-suppress" in fields:
        return True
    return fields.get("return-path", "").strip() == "<>"


FIELDS: Final = frozenset(
    (
        "auto-submitted",
        "subject",
        "in-reply-to",
        "x-auto-response-suppress",
        "return-path",
        *_RULES.present,
        *_RULES.values,
    )
)
