"""Which mail of ours a report is about, and how much its word is worth (spec I7).

Anybody can write into a mailbox, so anybody can write that somebody's address does not exist. What a forger must know
differs: the subject can be guessed; the Message-ID and our mark are known to whoever got the mail, and to nobody else;
the envelope id is known to the servers on its way alone. Each report is tied by the best that it names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

from django.db.models import Q

from delivery.models import OutboxMessage, OutboxRecipient
from delivery.states import State
from delivery.tracing import enveloped_identifier, marked_identifier
from mailstore.models import Message
from protocols.message.reports import Original, RecipientReport, Report
from protocols.message.returned import own_mark

BY_SUBJECT: Final = timedelta(days=7)  # how long after sending a report without Message-ID is tied by its subject
LONGEST_WAY: Final = timedelta(days=6)  # servers give up after four or five days (RFC 5321, 4.5.4.1)


class Evidence(IntEnum):
    """What a report names of the mail it is about, the better the greater."""

    SUBJECT = 1
    IDENTIFIER = 2
    MARK = 3
    ENVELOPE = 4


@dataclass(frozen=True, slots=True)
class Match:
    """A mail that a report is about."""

    original: OutboxMessage
    evidence: Evidence


def matches(report: Report, message: Message, now: datetime) -> list[Match]:
    """Return the mail of ours that `report`, which arrived as `message`, is about. One Message-ID may stand for two."""
    ours = OutboxMessage.objects.filter(organization_id=message.mailbox.organization_id)
    ours = ours.select_related("author")
    for evidence, identifier in _identifiers(report.original):
        if identifier and (found := list(ours.filter(message_id=identifier)[:2])):
            return [Match(original, evidence) for original in found]
    if not report.original.subject:
        return []
    # Some servers rewrite the Message-ID on the way out, others return only the subject.
    recipients = OutboxRecipient.objects.filter(
        _any_address(report.recipients), state__in=(State.SENT, State.UNCERTAIN), state_at__gte=now - BY_SUBJECT
    )
    sent = ours.filter(
        mailbox_id=message.mailbox_id, subject=report.original.subject[:998], created_at__gte=now - 2 * BY_SUBJECT
    )
    found = list(sent.filter(recipients__in=recipients).distinct()[:2])
    return [Match(found[0], Evidence.SUBJECT)] if len(found) == 1 else []


def may_suppress(match: Match, recipient: OutboxRecipient, report: Message) -> bool:
    """Tell whether `report` may put `recipient` on the suppression list. Wrong costs a customer all later mail.

    recipient: as it stood before the report was believed.

    A server on the way may (the envelope id). Otherwise whoever wrote the report had got the mail: with one recipient
    that is this recipient, who may ask for peace; with several, one of them could have written it about another. It
    must come while servers are still trying, and an address that has answered since is alive.
    """
    if match.evidence == Evidence.ENVELOPE:
        return True
    if match.evidence == Evidence.SUBJECT or report.received_at > recipient.state_at + LONGEST_WAY:
        return False
    others = OutboxRecipient.objects.filter(message=match.original).exclude(pk=recipient.pk)
    if others.exclude(state__in=(State.QUEUED, State.FAILED, State.CANCELLED)).exists():
        return False
    return not _has_answered(match.original, recipient.address, recipient.state_at)


def concerned(original: OutboxMessage, addresses: Iterable[str]) -> dict[str, OutboxRecipient]:
    """The recipients of `original` among `addresses`, by the address in small letters. One query."""
    wanted = {address.lower() for address in addresses if address}
    recipients = OutboxRecipient.objects.filter(message=original) if wanted else ()
    return {one.address.lower(): one for one in recipients if one.address.lower() in wanted}


def _identifiers(original: Original) -> Iterable[tuple[Evidence, str]]:
    """Message-IDs of ours that a report could name, the best evidence first."""
    yield Evidence.ENVELOPE, enveloped_identifier(original.envelope_id)
    yield Evidence.MARK, marked_identifier(own_mark(original))
    # Without the Message-ID of what came back, the report itself may answer it: then its last reference is it.
    yield Evidence.IDENTIFIER, original.message_id or "".join(original.references[-1:])


def _any_address(reports: Iterable[RecipientReport]) -> Q:
    addresses = {address for each in reports for address in (each.address, each.final) if address}
    wanted = Q(pk=None)
    for address in list(addresses)[:50]:
        wanted |= Q(address__iexact=address)
    return wanted


def _has_answered(original: OutboxMessage, address: str, since: datetime) -> bool:
    """Whether the conversation of `original`, as far as it is stored, holds mail from `address` that came later."""
    if original.mailbox_id is None:
        return False
    threads = Message.objects.filter(mailbox_id=original.mailbox_id, message_id=original.message_id)
    conversations = Q(conversation__in=threads.values("conversation"))
    if original.answers_id is not None:
        conversations |= Q(conversation__in=Message.objects.filter(pk=original.answers_id).values("conversation"))
    later = Message.objects.filter(conversations, mailbox_id=original.mailbox_id, received_at__gt=since)
    return later.filter(from_address__iexact=address).exists()
