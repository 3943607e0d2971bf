"""What people type into the search box, turned into a filter.

    invoice "annual report" from:carol to:bob subject:lunch has:attachment before:2026-01-31 after:2025 in:sent -draft

Words match their beginnings, in any case, with or without accents; quoted words stand next to each other; a minus sign
leaves messages out. All parts must hold. What is no known part is searched as words; a known one that makes no sense
finds nothing, and has a sentence in `complaints`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Final

from django.db.models import Q
from django.utils import timezone

from mailstore import fulltext
from mailstore.fulltext import Field, Phrase
from mailstore.models import Folder, MessageQuerySet
from mailstore.search_words import Part, complaint, day, parts

MOST_WORDS: Final = 12  # in one phrase
SHORTEST_PREFIX: Final = 2  # characters; a single letter matches only itself

_FIELDS: Final = {"from": Field.SENDER, "to": Field.RECIPIENTS, "cc": Field.RECIPIENTS, "subject": Field.SUBJECT}
_PLACES: Final = {use.label.casefold(): use.value for use in Folder.SpecialUse} | {
    use.value: use.value for use in Folder.SpecialUse
}


@dataclass(slots=True)
class Query:
    """A search, taken apart. `phrases` must all hold, `unwanted` must not; `conditions` are about the row itself.

    complaints: a sentence for each part that was not understood.
    """

    phrases: list[Phrase] = field(default_factory=list)
    unwanted: list[Phrase] = field(default_factory=list)
    conditions: list[Q] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def finds_nothing(self) -> bool:
        return bool(self.complaints) or not (self.phrases or self.unwanted or self.conditions)


def search_messages(queryset: MessageQuerySet, text: str) -> MessageQuerySet:
    """Return those of `queryset` that `text` finds, newest first; none when there is nothing to look for.

    Only narrows what it is given: the caller has applied rights.
    """
    query = parse(text, timezone.get_current_timezone())
    if query.finds_nothing:
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
    for part in parts(text):
        if wrong := complaint(part, zone):
            if wrong not in query.complaints:
                query.complaints.append(wrong)
        elif condition := _condition(part, zone):
            query.conditions.append(~condition if part.is_unwanted else condition)
        elif phrase := _phrase(part):
            (query.unwanted if part.is_unwanted else query.phrases).append(phrase)
    return query


def _condition(part: Part, zone: tzinfo) -> Q | None:
    """The condition of `has:`, `before:`, `after:` and `in:`; None where the part is something else."""
    match part.name:
        case "has":
            return Q(attachment_count__gt=0)
        case "before":
            return Q(received_at__lt=day(part.value, zone))
        case "after":
            return Q(received_at__gte=day(part.value, zone))
        case "in":
            place = part.value.strip()
            use = _PLACES.get(place.casefold())
            by_use = Q(folder__special_use=use) if use is not None else Q()
            return by_use | Q(folder__name__iexact=place)
    return None


def _phrase(part: Part) -> Phrase | None:
    searched = _FIELDS.get(part.name)
    is_other = part.name and searched is None  # "https://..." and the like
    words = fulltext.folded_words(f"{part.name} {part.value}" if is_other else part.value)[:MOST_WORDS]
    if not words:
        return None
    return Phrase(words, searched, is_prefix=not part.is_quoted and len(words[-1]) >= SHORTEST_PREFIX)
