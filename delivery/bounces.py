"""What new mail tells of mail that left: delivery reports are tied to their message and recipient (spec I7).

Beat looks for what has arrived every half minute; each arrival is read once (`Arrival.is_read_for_reports`).
A report is believed only about an address that the message was sent to, and only after it was sent.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from time import monotonic

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q

from delivery.bounce_words import words_for
from delivery.models import OutboxMessage, OutboxRecipient
from delivery.news import tell_of_outcome
from delivery.states import State
from mailstore.models import Arrival, Message
from mailstore.packs import RawUnavailable, open_raw
from organizations import live
from protocols.message.bounces import classify
from protocols.message.reports import Action, Original, RecipientReport, Report, ReportType

log = logging.getLogger(__name__)

AT_ONCE = 200  # keys of arrivals that are looked up together
LONGEST_RUN = 20.0  # seconds; beat starts the next one every 30
BY_SUBJECT = timedelta(days=7)  # how long after sending a report without Message-ID is tied by subject and recipient
LONGEST_REPLY = 4_000


def read_arrivals(now: datetime) -> int:
    """Read what arrived since the last time, oldest first, for 20 seconds at most; return how many reports concerned
    mail of ours.

    Harmless when repeated, or run twice at once. Raises OperationalError: a database that is away or full blames no
    arrival.
    """
    end, told = monotonic() + LONGEST_RUN, 0
    for pk in _unread():
        told += _read_guarded(pk, now)
        if monotonic() > end:
            break
    return told


def _unread() -> Iterator[int]:
    """Yield the keys of unread arrivals; one that stays unread is not met twice."""
    unread = Arrival.objects.filter(is_read_for_reports=False).order_by("pk").values_list("pk", flat=True)
    last = 0
    while pks := list(unread.filter(pk__gt=last)[:AT_ONCE]):
        yield from pks
        last = pks[-1]


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
    report = _read(arrival.message)
    with transaction.atomic():
        originals = _originals(report, arrival.message, now) if report is not None else []
        concerned = [(original, _concerned(original, report)) for original in originals if report is not None]
        if any(one.state == State.SENDING for _, pairs in concerned for one, _ in pairs):
            return False
        if not Arrival.objects.filter(pk=pk, is_read_for_reports=False).update(is_read_for_reports=True):
            return False
        told = [_write_down(original, pairs, arrival, now) for original, pairs in concerned]
        return any(told)


def _read(message: Message) -> Report | None:
    """Return the delivery report that the message is; None for all other mail."""
    if not OutboxMessage.objects.filter(organization_id=message.mailbox.organization_id).exists():
        return None
    try:
        report = classify(open_raw(message))
    except RawUnavailable as exc:
        log.warning("Message %s was not read for reports: %s", message.pk, exc)
        return None
    return report if report.type == ReportType.DELIVERY else None


def _originals(report: Report, message: Message, now: datetime) -> list[OutboxMessage]:
    """Return the messages of ours that a report is about: by Message-ID, else by subject and recipient."""
    ours = OutboxMessage.objects.filter(organization_id=message.mailbox.organization_id).defer("raw")
    identifiers = _identifiers(report.original)
    found = list(ours.filter(message_id__in=identifiers).select_related("author")) if identifiers else []
    if found or not report.original.subject:
        return found
    # Some servers rewrite the Message-ID on the way out, others return only the subject.
    recipients = OutboxRecipient.objects.filter(
        _any_address(report.recipients), state__in=(State.SENT, State.UNCERTAIN), state_at__gte=now - BY_SUBJECT
    )
    subject = report.original.subject[:998]
    sent = ours.filter(mailbox_id=message.mailbox_id, subject=subject, created_at__gte=now - 2 * BY_SUBJECT)
    found = list(sent.filter(recipients__in=recipients).select_related("author").distinct()[:2])
    return found if len(found) == 1 else []


def _identifiers(original: Original) -> list[str]:
    """Without the Message-ID of what came back, the report itself may answer it: then its last reference is it."""
    return [each for each in (original.message_id, *original.references[-1:]) if each][:1]


def _any_address(reports: Iterable[RecipientReport]) -> Q:
    addresses = {address for each in reports for address in (each.address, each.final) if address}
    wanted = Q(pk=None)
    for address in list(addresses)[:50]:
        wanted |= Q(address__iexact=address)
    return wanted


def _concerned(original: OutboxMessage, report: Report) -> list[tuple[OutboxRecipient, RecipientReport]]:
    told: dict[str, RecipientReport] = {}
    for each in report.recipients:
        for address in (each.final, each.address):
            if address and each.action in (Action.FAILED, Action.DELAYED):
                told[address.lower()] = each
    recipients = OutboxRecipient.objects.filter(message=original)
    return [(one, told[one.address.lower()]) for one in recipients if one.address.lower() in told]


def _write_down(
    original: OutboxMessage, pairs: list[tuple[OutboxRecipient, RecipientReport]], arrival: Arrival, now: datetime
) -> bool:
    """Change the recipients that were sent to; whoever has moved on meanwhile stays as it is."""
    changed = bounced = 0
    for recipient, told in pairs:
        row = OutboxRecipient.objects.filter(pk=recipient.pk)
        note, reply = words_for(told), told.diagnostic[:LONGEST_REPLY]
        if told.is_failure:
            moved = sum(
                row.move(
                    origin,
                    State.BOUNCED,
                    now,
                    note=note,
                    last_reply=reply,
                    bounce=told.kind.value,
                    bounce_reason=told.reason.value,
                    report=arrival.message,
                )
                for origin in (State.SENT, State.UNCERTAIN)
            )
            bounced += moved
            changed += moved
        else:
            changed += row.filter(state=State.SENT).update(note=note, last_reply=reply, report=arrival.message)
    tell_of_outcome(original, State.BOUNCED, bounced, claim=arrival.pk, now=now)
    if changed:
        live.announce(original.organization_id, "outbox", original.pk)
    return changed > 0
