"""What people type into the search box, turned into a filter.

    invoice "annual report" from:carol to:bob subject:lunch has:attachment before:2026-01-31 after:2025 in:sent -draft

Words match their beginnings, in any case, with or without accents; quoted words stand next to each other; a minus sign
leaves messages out. All parts must hold. What is no known part is searched as words; a known one that makes no sense
finds nothing, and has a sentence in `complaints`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Final

from django.db import connections
from django.db.models import Q, QuerySet
from django.db.models.expressions import RawSQL
from django.utils import timezone

from mailstore import fulltext
from mailstore.fulltext import Field, Phrase
from mailstore.models import Folder, Message, MessageQuerySet
from mailstore.search_words import Part, complaint, day, parts
from organizations.paging import PAGE_SIZE, Page, cut, following, newest_first

MOST_WORDS: Final = 12  # in one phrase
NEWEST: Final = 2_000  # messages that are looked at before the index is asked for all of them
SHORTEST_PREFIX: Final = 2  # characters; a single letter matches only itself

_FIELDS: Final = {"from": Field.SENDER, "to": Field.RECIPIENTS, "cc": Field.RECIPIENTS, "subject": Field.SUBJECT}
PLACES: Final = {use.label.casefold(): use.value for use in Folder.SpecialUse} | {
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
    found = _without_words(queryset, query)
    if query.phrases:
        found = found.filter(pk__in=fulltext.matching(query.phrases))
    return found.order_by("-received_at", "-pk")


def newest_found(queryset: MessageQuerySet, text: str, after: str = "", *, size: int = PAGE_SIZE) -> Page[Message]:
    """Return a page of what `search_messages` finds, in two queries at most; `after` is a cursor.

    The words that people look for stand in thousands of messages, and a page shows the newest few. So the newest
    messages are looked at one by one, and only where they do not fill the page is the index asked for all that match.
    """
    query = parse(text, timezone.get_current_timezone())
    if query.finds_nothing:
        return Page([])
    if not query.phrases:
        return newest_first(_without_words(queryset, query), "received_at", after, size=size)
    candidates = following(_without_words(queryset, query).select_related(None), "received_at", after)
    keys = _newest_keys(candidates, query.phrases, size + 1)
    return cut(list(following(queryset.filter(pk__in=keys), "received_at", "")), "received_at", size)


def _without_words(queryset: MessageQuerySet, query: Query) -> MessageQuerySet:
    """All of a search but the phrases that must hold."""
    found = queryset.filter(*query.conditions)
    for phrase in query.unwanted:
        found = found.exclude(pk__in=fulltext.matching([phrase]))
    return found


def _newest_keys(candidates: QuerySet[Message], phrases: Sequence[Phrase], limit: int) -> list[int]:
    """The keys of the first `limit` of `candidates`, newest first, that hold all `phrases`. One query.

    The second part does not run where the first fills the page, or has seen all candidates already: both engines look
    at its LIMIT first.
    """
    matching, holds = fulltext.matching(phrases), fulltext.holding(phrases, "newest.pk")
    keys = candidates.values("pk", "received_at")
    newest, newest_values = keys[:NEWEST].query.sql_with_params()
    further, further_values = keys[NEWEST : NEWEST + 1].query.sql_with_params()
    if connections[candidates.db].vendor == "postgresql":
        # All of them by the index, once, however many PostgreSQL takes them for.
        listed = keys.filter(pk__in=RawSQL("SELECT message_id FROM matching", ()))
        found, found_values = listed.query.sql_with_params()
        found = f"WITH matching (message_id) AS MATERIALIZED ({matching.sql}) {found}"
        found_values = (*matching.params, *found_values)
    else:
        found, found_values = keys.filter(pk__in=matching).query.sql_with_params()
    wanted = f"CASE WHEN (SELECT count(*) FROM recent) < {limit} AND EXISTS ({further}) THEN {limit} ELSE 0 END"  # noqa: S608
    sql = f"""
        WITH recent AS (
            SELECT pk FROM ({newest}) AS newest WHERE {holds.sql} ORDER BY received_at DESC, pk DESC LIMIT {limit}
        )
        SELECT 0, pk FROM recent UNION ALL SELECT 1, pk FROM ({found} LIMIT {wanted}) AS found
    """  # noqa: S608
    with connections[candidates.db].cursor() as cursor:
        cursor.execute(sql, [*newest_values, *holds.params, *found_values, *further_values])
        rows = cursor.fetchall()
    last = max((part for part, _ in rows), default=0)
    return [pk for part, pk in rows if part == last]


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
            use = PLACES.get(place.casefold())
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
