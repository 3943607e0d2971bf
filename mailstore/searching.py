"""What people type into the search box, turned into a filter.

    invoice "annual report" from:carol to:bob subject:lunch has:attachment before:2026-01-31 after:2025 in:sent -draft

Words match their beginnings, in any case, with or without accents; quoted words stand next to each other; a minus sign
leaves messages out. All parts must hold. What is no known part is searched as words, so no input is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Final

from django.db.models import Q
from django.utils import timezone

from mailstore import fulltext
from mailstore.fulltext import Field, Phrase
from mailstore.models import Folder, MessageQuerySet
from mailstore.texts import storable

LONGEST_QUERY: Final = 500  # characters; the rest is not looked at
MOST_PARTS: Final = 20
MOST_WORDS: Final = 12  # in one phrase
SHORTEST_PREFIX: Final = 2  # characters; a single letter matches only itself

_PART = re.compile(r'(?P<minus>-)?(?:(?P<name>[A-Za-z]{2,10}):)?(?:"(?P<quoted>[^"]*)"?|(?P<bare>[^\s"]+))')
_DATE = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?", re.ASCII)
_FIELDS: Final = {"from": Field.SENDER, "to": Field.RECIPIENTS, "cc": Field.RECIPIENTS, "subject": Field.SUBJECT}
_PLACES: Final = {use.label.casefold(): use.value for use in Folder.SpecialUse} | {
    use.value: use.value for use in Folder.SpecialUse
}


@dataclass(slots=True)
class Query:
    """A search, taken apart. `phrases` must all hold, `unwanted` must not; `conditions` are about the row itself."""

    phrases: list[Phrase] = field(default_factory=list)
    unwanted: list[Phrase] = field(default_factory=list)
    conditions: list[Q] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (self.phrases or self.unwanted or self.conditions)


def search_messages(queryset: MessageQuerySet, text: str) -> MessageQuerySet:
    """Return those of `queryset` that `text` finds, newest first; none when there is nothing to look for.

    Only narrows what it is given: the caller has applied rights.
    """
    query = parse(text, timezone.get_current_timezone())
    if query.is_empty:
        return queryset.none()
    found = queryset.filter(*query.conditions)
    if query.phrases:
        found = found.filter(pk__in=fulltext.matching(query.phrases))
    for phrase in query.unwanted:
        found = found.exclude(pk__in=fulltext.matching([phrase]))
    return found.order_by("-received_at", "-pk")


def parse(text: str, zone: tzinfo) -> Query:
    """Take a search apart; days begin at midnight in `zone`. Pure, never raises."""
    query = Query()
    for match in list(_PART.finditer(storable(text, LONGEST_QUERY)))[:MOST_PARTS]:
        value = match["quoted"] if match["quoted"] is not None else match["bare"]
        name = (match["name"] or "").lower()
        if condition := _condition(name, value, zone):
            query.conditions.append(~condition if match["minus"] else condition)
        elif phrase := _phrase(name, value, is_quoted=match["quoted"] is not None):
            (query.unwanted if match["minus"] else query.phrases).append(phrase)
    return query


def _condition(name: str, value: str, zone: tzinfo) -> Q | None:
    """The condition of `has:`, `before:`, `after:` and `in:`; None where the part is something else."""
    match name:
        case "has" if value.lower() in ("attachment", "attachments", "file"):
            return Q(attachment_count__gt=0)
        case "before" if (day := _day(value, zone)) is not None:
            return Q(received_at__lt=day)
        case "after" if (day := _day(value, zone)) is not None:
            return Q(received_at__gte=day)
        case "in" if value.strip():
            place = value.strip().casefold()
            use = Q(folder__special_use=_PLACES[place]) if place in _PLACES else Q()
            return use | Q(folder__name__iexact=value.strip())
    return None


def _phrase(name: str, value: str, *, is_quoted: bool) -> Phrase | None:
    searched = _FIELDS.get(name)
    if name and searched is None:
        value = f"{name} {value}"  # "https://..." and the like
    words = fulltext.folded_words(value)[:MOST_WORDS]
    if not words:
        return None
    return Phrase(words, searched, is_prefix=not is_quoted and len(words[-1]) >= SHORTEST_PREFIX)


def _day(value: str, zone: tzinfo) -> datetime | None:
    """Read 2026, 2026-03 or 2026-03-31 as the midnight it begins with; None when it is no date."""
    match = _DATE.fullmatch(value.strip())
    if match is None:
        return None
    try:
        day = datetime(int(match[1]), int(match[2] or 1), int(match[3] or 1), tzinfo=zone)
        return day.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
