"""Reading the audit log: narrowed by filters, newest first, as a page or as a file (spec A8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet
from django.db.models.functions import Lower

from organizations.audit_words import words_for, words_for_object
from organizations.models import AuditEntry, Organization, User
from organizations.operations import Operation
from organizations.paging import newest_first
from organizations.spreadsheets import lines

NOBODY = 0  # as actor: the system, and people who were removed since
BATCH = 1000  # rows of the file that are read at once
COLUMNS = ("time (UTC)", "person", "action", "code", "kind", "object", "outcome", "address", "details")
ENDED_EARLY = "The file ends here: whoever asked for it may no longer read the audit log."


@dataclass(frozen=True, slots=True)
class Filters:
    """What narrows the log; an empty value does not. Each has an index, so that a million rows stay quick.

    actor_pk:    who did it; NOBODY for entries without a person.
    object_type, object_id: one thing, also under names it had before.
    object_name: the whole name, whatever its case.
    since:       first moment that still counts; `until` the first that does not.
    """

    actor_pk: int | None = None
    action: str = ""
    outcome: str = ""
    object_type: str = ""
    object_id: str = ""
    object_name: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def __bool__(self) -> bool:
        return self != Filters()


def search(organization: Organization, filters: Filters) -> QuerySet[AuditEntry]:
    found = AuditEntry.objects.filter(organization=organization)
    if filters.actor_pk is not None:
        found = found.filter(actor=filters.actor_pk or None)
    if filters.action:
        found = found.filter(action=filters.action)
    if filters.outcome:
        found = found.filter(outcome=filters.outcome)
    if filters.object_type:
        found = found.filter(object_type=filters.object_type, object_id=filters.object_id)
    if filters.object_name:
        found = found.annotate(name=Lower("object_label")).filter(name=filters.object_name.lower())
    if filters.since is not None:
        found = found.filter(at__gte=filters.since)
    if filters.until is not None:
        found = found.filter(at__lt=filters.until)
    return found


def as_csv(found: QuerySet[AuditEntry], reader: User) -> Iterator[str]:
    """Yield the file in pieces, newest entry first; memory does not grow with the log.

    It ends, and says so, once `reader` may no longer read the log: asked anew for each piece.
    """
    yield lines([COLUMNS])
    after = ""
    while True:
        if not _may_still_read(reader):
            yield lines([(ENDED_EARLY,)])
            return
        page = newest_first(found, "at", after, size=BATCH)
        if page.rows:
            yield lines([_row(entry) for entry in page.rows])
        if not (after := page.next):
            return


def _may_still_read(reader: User) -> bool:
    present = User.objects.filter(pk=reader.pk).first()
    return present is not None and present.may(Operation.MANAGE_PEOPLE)


def _row(entry: AuditEntry) -> tuple[str, ...]:
    return (
        entry.at.isoformat(timespec="seconds"),
        entry.actor_label,
        words_for(entry.action),
        entry.action,
        words_for_object(entry.object_type),
        entry.object_label,
        entry.get_outcome_display(),
        entry.address or "",
        "; ".join(f"{name}: {shown(value)}" for name, value in entry.detail.items()),
    )


def shown(value: object) -> str:
    """A value of an entry's detail in words."""
    if isinstance(value, list):
        return ", ".join(map(shown, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {shown(each)}" for name, each in value.items())
    return (
        {True: "yes", False: "no", None: "none"}.get(value, str(value))
        if isinstance(value, bool | None)
        else str(value)
    )
