"""Writing down what a report, a complaint or an automatic reply told of mail that left (spec I7).

One transaction for all that one message tells. Each thing is an event of its recipient, told once: what was read
before, or lies in two folders, changes nothing a second time.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from delivery.bounce_words import words_for
from delivery.matching import Match, concerned, may_suppress
from delivery.models import DeliveryEvent, OutboxMessage, OutboxRecipient
from delivery.news import tell_of_complaint, tell_of_outcome
from delivery.states import Cause, Sequel, State
from delivery.suppression import enter
from mailstore.models import Arrival
from organizations import live
from protocols.message.reports import Action, Kind, Reason, RecipientReport, Report, ReportType

LONGEST_REPLY: Final = 4_000
LONGEST_WORDS: Final = 300
_LEFT: Final = (State.SENT, State.UNCERTAIN)

Pairs = list[tuple[OutboxRecipient, RecipientReport]]


def recipients_of(match: Match, report: Report) -> Pairs:
    """Pair what a report tells with the recipients it tells it of; nobody is believed about other addresses."""
    told: dict[str, RecipientReport] = {}
    for each in report.recipients:
        for address in (each.final, each.address):
            if address and (report.type != ReportType.DELIVERY or each.action in (Action.FAILED, Action.DELAYED)):
                told[address.lower()] = each
    found = concerned(match.original, told)
    if found or report.type == ReportType.DELIVERY:
        return [(found[address], each) for address, each in told.items() if address in found]
    return _only_possible(match.original, report)


def _only_possible(original: OutboxMessage, report: Report) -> Pairs:
    """Who must be meant where the address is concealed (RFC 6590), or somebody replies from another address.

    The one recipient there is; else the one in the same domain, which those who conceal leave readable.
    """
    told = report.recipients[0] if report.recipients else RecipientReport("", Action.NONE, Kind.NONE, Reason.FEEDBACK)
    recipients = list(OutboxRecipient.objects.filter(message=original)[:100])
    domain = told.address.lower().rpartition("@")[2]
    if len(recipients) > 1:
        recipients = [one for one in recipients if domain and one.address.lower().endswith(f"@{domain}")]
    return [(recipients[0], told)] if len(recipients) == 1 else []


class Chronicle:
    """What one arrival tells of one mail of ours."""

    def __init__(self, match: Match, report: Report, arrival: Arrival, digest: bytes, now: datetime) -> None:
        self.match, self.report, self.arrival, self.digest, self.now = match, report, arrival, digest, now
        self.original = match.original

    def write(self, pairs: Pairs) -> bool:
        """Change what has to change; True where anything was new."""
        if self.report.type == ReportType.DELIVERY:
            changed = self._deliveries(pairs)
        elif self.report.type == ReportType.FEEDBACK:
            changed = self._complaint(pairs)
        else:
            changed = sum(self._note(one.address, Sequel.AUTO_REPLY, each.diagnostic) for one, each in pairs)
        if changed:
            live.announce(self.original.organization_id, "outbox", self.original.pk)
        return changed > 0

    def _deliveries(self, pairs: Pairs) -> int:
        bounced = changed = 0
        for recipient, told in pairs:
            if self._is_known(recipient.address, Sequel.BOUNCED if told.is_failure else Sequel.DELAYED):
                continue
            if told.is_failure:
                moved = self._bounce(recipient, told)
                bounced += moved
                changed += moved
            else:
                changed += self._delay(recipient, told)
        tell_of_outcome(self.original, State.BOUNCED, bounced, claim=self.arrival.pk, now=self.now)
        return changed

    def _bounce(self, recipient: OutboxRecipient, told: RecipientReport) -> int:
        row = OutboxRecipient.objects.filter(pk=recipient.pk)
        moved = sum(
            row.move(
                origin,
                State.BOUNCED,
                self.now,
                note=words_for(told),
                last_reply=told.diagnostic[:LONGEST_REPLY],
                bounce=told.kind.value,
                bounce_reason=told.reason.value,
                report=self.arrival.message,
            )
            for origin in _LEFT
        )
        if moved:
            self._note(recipient.address, Sequel.BOUNCED)
            if told.kind == Kind.HARD and may_suppress(self.match, recipient, self.arrival.message):
                self._suppress(recipient, Cause.BOUNCE, told.reason.value)
        return moved

    def _delay(self, recipient: OutboxRecipient, told: RecipientReport) -> int:
        noted = OutboxRecipient.objects.filter(pk=recipient.pk, state=State.SENT).update(
            note=words_for(told), last_reply=told.diagnostic[:LONGEST_REPLY], report=self.arrival.message
        )
        if noted:
            self._note(recipient.address, Sequel.DELAYED)
        return noted

    def _complaint(self, pairs: Pairs) -> int:
        """It was delivered, so its state stays. Concealed among several, it is noted at the message alone."""
        if not self.report.is_complaint:
            return 0
        if not pairs:
            new = self._note("", Sequel.COMPLAINT)
        else:
            new = 0
            for recipient, _ in pairs:
                if self._note(recipient.address, Sequel.COMPLAINT):
                    new += 1
                    if may_suppress(self.match, recipient, self.arrival.message):
                        self._suppress(recipient, Cause.COMPLAINT)
        if new:
            addresses = [recipient.address for recipient, _ in pairs]
            tell_of_complaint(self.original, addresses, arrival=self.arrival.pk, now=self.now)
        return new

    def _suppress(self, recipient: OutboxRecipient, cause: Cause, reason: str = "") -> None:
        enter(self.original, recipient.address, cause, report=self.arrival.message, reason=reason, now=self.now)

    def _is_known(self, address: str, kind: Sequel) -> bool:
        known = DeliveryEvent.objects.filter(message=self.original, address=address, kind=kind, digest=self.digest)
        return known.exists()

    def _note(self, address: str, kind: Sequel, words: str = "") -> int:
        """Write the event; 0 where the same report told it before."""
        _, is_new = DeliveryEvent.objects.get_or_create(
            message=self.original,
            address=address,
            kind=kind,
            digest=self.digest,
            defaults={"at": self.now, "words": words[:LONGEST_WORDS], "report": self.arrival.message},
        )
        return int(is_new)
