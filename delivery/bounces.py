"""What new mail tells of mail that left: reports are read once each and tied to their message (spec I7).

Beat looks for what has arrived every half minute; each arrival is read once (`Arrival.is_read_for_reports`). Nearly all
mail is no report: a look at the beginning of its octets says so, and hundreds are put aside in one update.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from time import monotonic

from django.db import InterfaceError, OperationalError, transaction

from delivery.matching import matches
from delivery.models import OutboxMessage
from delivery.sequels import Chronicle, recipients_of
from delivery.states import State
from mailstore.models import Arrival, Message
from mailstore.packs import RawUnavailable, open_raw, read_beginning
from protocols.message.bounces import classify, may_report
from protocols.message.octets import digest_of
from protocols.message.reports import Report, ReportType

log = logging.getLogger(__name__)

AT_ONCE = 200  # arrivals that are looked up together
LONGEST_RUN = 20.0  # seconds; beat starts the next one every 30
BEGINNING = 16 * 1024  # octets that say whether a message could be a report; a longer header section is read whole


def read_arrivals(now: datetime) -> int:
    """Read what arrived since the last time, oldest first, for 20 seconds at most; return how many concerned mail of
    ours.

    Harmless when repeated, or run twice at once. Raises OperationalError: a database that is away or full blames no
    arrival.
    """
    end, told = monotonic() + LONGEST_RUN, 0
    senders: dict[int, bool] = {}
    for arrivals in _unread():
        worth_reading = [arrival.pk for arrival in arrivals if _could_tell(arrival.message, senders)]
        others = {arrival.pk for arrival in arrivals}.difference(worth_reading)
        Arrival.objects.filter(pk__in=others).update(is_read_for_reports=True)
        for pk in worth_reading:
            if monotonic() > end:
                return told
            told += _read_guarded(pk, now)
        if monotonic() > end:
            break
    return told


def _unread() -> Iterator[list[Arrival]]:
    """Yield unread arrivals, some at a time; one that stays unread is not met twice."""
    columns = ("stored_size", "offset", "pack", "mailbox_id", "mailbox__organization_id")
    unread = Arrival.objects.filter(is_read_for_reports=False).order_by("pk").select_related("message__mailbox")
    unread = unread.only("is_read_for_reports", *(f"message__{column}" for column in columns))
    last = 0
    while arrivals := list(unread.filter(pk__gt=last)[:AT_ONCE]):
        yield arrivals
        last = arrivals[-1].pk


def _could_tell(message: Message, senders: dict[int, bool]) -> bool:
    """Whether it is worth reading; `senders` remembers which organizations have sent anything."""
    organization_pk = message.mailbox.organization_id
    if organization_pk not in senders:
        senders[organization_pk] = OutboxMessage.objects.filter(organization_id=organization_pk).exists()
    if not senders[organization_pk]:
        return False
    try:
        return may_report(read_beginning(message, BEGINNING))
    except RawUnavailable as exc:
        log.warning("Message %s was not read for reports: %s", message.pk, exc)
        return False


def _read_guarded(pk: int, now: datetime) -> bool:
    """Read one arrival. One that cannot be read for a fault of ours is noted, and keeps no others waiting."""
    try:
        return read_arrival(pk, now)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("Arrival %s was not read for reports", pk)
        Arrival.objects.filter(pk=pk).update(is_read_for_reports=True)
        return False


def read_arrival(pk: int, now: datetime) -> bool:
    """Read one arrival; True when it told something of mail of ours.

    One whose message is still being handed over is left for the next run: its outcome is not written yet.
    """
    arrival = Arrival.objects.select_related("message__mailbox").filter(pk=pk, is_read_for_reports=False).first()
    if arrival is None:
        return False
    report, digest = _read(arrival.message)
    with transaction.atomic():
        found = matches(report, arrival.message, now) if report.type != ReportType.NONE else []
        chronicles = [(Chronicle(match, report, arrival, digest, now), recipients_of(match, report)) for match in found]
        if any(one.state == State.SENDING for _, pairs in chronicles for one, _ in pairs):
            return False
        if not Arrival.objects.filter(pk=pk, is_read_for_reports=False).update(is_read_for_reports=True):
            return False
        told = [chronicle.write(pairs) for chronicle, pairs in chronicles]
        return any(told)


def _read(message: Message) -> tuple[Report, bytes]:
    """Return what the message reports, and the SHA-256 of its octets."""
    try:
        raw = open_raw(message)
    except RawUnavailable as exc:
        log.warning("Message %s was not read for reports: %s", message.pk, exc)
        return Report(ReportType.NONE), b""
    return classify(raw), digest_of(raw)
