"""The suppression list: addresses that get no mail until somebody takes them off it (spec I7).

Hard bounces and complaints enter it, on evidence that nobody else could have forged (`delivery.matching`), and whom our
own mail server refuses in the same words; people put addresses there and take them off. Soft bounces never enter it: a
full mailbox or a busy server says nothing about the next mail, and what stays broken turns into a hard bounce or an
"expired" that its author sees. Why: docs/decisions/0013-suppression-list.md.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypedDict

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from delivery.addressing import checked_address
from delivery.bounce_words import cause_of
from delivery.models import OutboxMessage, Suppression
from delivery.states import Cause, State
from mailstore.models import Message
from organizations import audit, spreadsheets
from organizations.models import Organization, User
from organizations.paging import newest_first
from protocols.message.bounce_reasons import judge
from protocols.message.reports import Action, Kind

MOST_AT_ONCE: Final = 5_000  # addresses that are pasted together
LONGEST_PASTE: Final = 500_000  # characters
NAMED: Final = 3  # wrong addresses that an error names
LONGEST_WORDS: Final = 300
BATCH: Final = 1_000  # rows of the file that are read at once
COLUMNS: Final = ("address", "since (UTC)", "why", "reason", "note", "put there by")
SUPPRESSED: Final = "suppressed"  # as `OutboxRecipient.bounce_reason`: it was not even tried

_SEPARATORS: Final = re.compile(r"[\s,;<>\"'()]+")


@dataclass(frozen=True, slots=True)
class Filters:
    """text: a part of the address. cause: one of `Cause`. Empty ones do not narrow."""

    text: str = ""
    cause: str = ""

    def __bool__(self) -> bool:
        return bool(self.text or self.cause)


@dataclass(frozen=True, slots=True)
class Pasted:
    """What was found in pasted text: addresses as they are kept, each once, and those that are none as typed."""

    addresses: list[str]
    wrong: list[str]


def among(organization_pk: int, addresses: Collection[str]) -> Mapping[str, Suppression]:
    """Those of `addresses` that get no mail, by the address as it was given. One query, however many they are."""
    return Suppression.objects.among(organization_pk, addresses) if addresses else {}


def why(suppression: Suppression) -> str:
    """Return one sentence on why it is on the list."""
    if suppression.cause == Cause.BOUNCE and suppression.note:
        return f"The mail server refused it. {cause_of(suppression.reason)} Its words: {suppression.note}"
    if suppression.cause == Cause.BOUNCE:
        return f"Mail to it came back. {cause_of(suppression.reason)}"
    if suppression.cause == Cause.COMPLAINT:
        return "The recipient marked a mail of ours as spam."
    if suppression.note:
        return f"Put there by hand: {suppression.note}"
    return "Put there by hand."


def not_sent(suppression: Suppression) -> str:
    """What stands at a recipient that was left out."""
    return f"Not sent: the address is on the suppression list. {why(suppression)}"


class LeftOut(TypedDict, total=False):
    """The columns of a recipient that is left out."""

    state: State
    note: str
    bounce_reason: str


def fields(suppression: Suppression | None) -> LeftOut:
    """How the row of a recipient begins: left out where a suppression stands against it, else as ever."""
    if suppression is None:
        return {}
    return {"state": State.FAILED, "note": not_sent(suppression), "bounce_reason": SUPPRESSED}


def enter(
    original: OutboxMessage, address: str, cause: Cause, *, report: Message | None, reason: str = "", now: datetime
) -> bool:
    """Put an address on the list for what a report told; False where it stands there already."""
    _, is_new = Suppression.objects.get_or_create(
        organization_id=original.organization_id,
        address=Suppression.key(address),
        defaults={"cause": cause, "reason": reason, "since": now, "message": original, "report": report},
    )
    return is_new


def enter_refused(original: OutboxMessage, addresses: Collection[str], reply: str, now: datetime) -> int:
    """Put addresses on the list that our server has refused for good as recipients; return how many are new there.

    reply: its words, with the code; kept as the evidence. The verdict is the one of a report that quotes them: the
    address, or its domain, does not exist, has moved, or takes no mail.
    """
    verdict = judge(Action.FAILED, "", reply, "RCPT")
    if verdict.kind != Kind.HARD:
        return 0
    organization = original.organization_id
    found = {"cause": Cause.BOUNCE, "reason": verdict.reason.value, "note": reply[:LONGEST_WORDS], "since": now}
    return sum(
        Suppression.objects.get_or_create(
            organization_id=organization, address=Suppression.key(address), defaults={**found, "message": original}
        )[1]
        for address in addresses
    )


def read_pasted(text: str) -> Pasted:
    """Find the addresses in lines, lists or a CSV file. Words without an @ are headings and notes, so they are left."""
    good: dict[str, None] = {}
    wrong: list[str] = []
    for word in _SEPARATORS.split(text):
        if "@" not in word:
            continue
        try:
            good.setdefault(Suppression.key(checked_address(word.removeprefix("mailto:").rstrip("."))))
        except ValueError:
            wrong.append(word)
    return Pasted(list(good), wrong)


def add(addresses: Collection[str], note: str, user: User, now: datetime, request: HttpRequest | None = None) -> int:
    """Put addresses on the list by hand; return how many were not there. They are written as `read_pasted` gives them.

    An address that stands there already keeps why and since when.
    """
    organization = user.organization
    with transaction.atomic():
        before = set(
            Suppression.objects.of(organization).filter(address__in=addresses).values_list("address", flat=True)
        )
        fresh = [address for address in addresses if address not in before]
        Suppression.objects.bulk_create(
            (
                Suppression(
                    organization=organization,
                    address=address,
                    cause=Cause.BY_HAND,
                    note=note,
                    since=now,
                    added_by=user,
                )
                for address in fresh
            ),
            ignore_conflicts=True,
        )
        if fresh:
            detail: dict[str, object] = {"addresses": len(fresh), "first": fresh[0], "note": note}
            audit.record(
                "suppression.added",
                organization=organization,
                actor=user,
                target=organization,
                detail=detail,
                request=request,
            )
    return len(fresh)


def remove(suppression: Suppression, user: User, request: HttpRequest | None = None) -> None:
    """Take an address off the list. What was not sent meanwhile stays unsent until somebody sends it again."""
    with transaction.atomic():
        audit.record(
            "suppression.removed",
            organization=suppression.organization,
            actor=user,
            target=suppression,
            detail={"cause": suppression.get_cause_display(), "since": suppression.since.date().isoformat()},
            request=request,
        )
        suppression.delete()


def search(organization: Organization, filters: Filters) -> QuerySet[Suppression]:
    found = Suppression.objects.of(organization)
    if filters.text:
        found = found.filter(address__contains=Suppression.key(filters.text))
    return found.filter(cause=filters.cause) if filters.cause else found


def as_csv(found: QuerySet[Suppression]) -> Iterator[str]:
    """Yield the file in pieces, newest first; memory does not grow with the list."""
    yield spreadsheets.lines([COLUMNS])
    after = ""
    while True:
        page = newest_first(found.select_related("added_by"), "since", after, size=BATCH)
        if page.rows:
            yield spreadsheets.lines([_row(one) for one in page.rows])
        if not (after := page.next):
            return


def _row(suppression: Suppression) -> tuple[str, ...]:
    return (
        suppression.address,
        suppression.since.isoformat(timespec="seconds"),
        why(suppression),
        suppression.reason,
        suppression.note,
        str(suppression.added_by or ""),
    )
