"""Mail that tells what became of earlier mail: delivery reports, complaints, automatic replies.

    report = classify(raw)

Delivery reports of RFC 3464 are read from their machine-readable part, and so are complaints (RFC 5965). Where there
is no such part, the text of whoever looks like a mail system is read line by line. Reading takes time linear in the
size of the message, looks at a bounded amount of text, and never raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from protocols.message.addresses import parse_addresses
from protocols.message.arf import read_feedback
from protocols.message.autoreplies import FIELDS as AUTO_REPLY_FIELDS
from protocols.message.autoreplies import is_auto_reply, telling_words
from protocols.message.bodies import part_text
from protocols.message.bounce_reasons import command_of, has_evidence, judge, one_line
from protocols.message.bounce_texts import (
    MOST_RECIPIENTS,
    Notice,
    TextEntry,
    entries_of,
    is_failure_subject,
    is_failure_text,
    is_system_sender,
    split_notice,
    tells_of_delay,
)
from protocols.message.dsn import DeliveryStatus, read_statuses
from protocols.message.headers import Head, read_head, with_line_feeds
from protocols.message.identifiers import message_ids
from protocols.message.limits import LIMITS
from protocols.message.octets import Octets
from protocols.message.parameters import parse_content_type
from protocols.message.plaintext import html_to_text
from protocols.message.reports import Action, Kind, Original, Reason, RecipientReport, Report, ReportType
from protocols.message.returned import decoded_fields, is_returned, original_of_part, original_of_text
from protocols.message.structure import CONTENT_FIELDS, Part, scan_structure

__all__ = ["Report", "classify", "may_report"]

_LARGEST_TEXT: Final = 128 * 1024  # octets of one part that are looked at
_STATUS_PARTS: Final = ("message/delivery-status", "message/global-delivery-status")
_FEEDBACK_PART: Final = "message/feedback-report"
_FEEDBACK = re.compile(_FEEDBACK_PART.encode(), re.IGNORECASE)
_RECEIPT_PART: Final = "message/disposition-notification"
_WANTED: Final = (
    CONTENT_FIELDS
    | frozenset((b"from", b"references", b"x-failed-recipients"))
    | {name.encode() for name in AUTO_REPLY_FIELDS}
)
_HOST = re.compile(r"\bhost:? ([\w-]{1,63}(?:\.[\w-]{1,63}){1,10})")
_NOTHING: Final = Report(ReportType.NONE)


def classify(raw: Octets) -> Report:
    """Tell what a message reports about an earlier one. Never raises."""
    try:
        return read_report(raw)
    except Exception:  # what arrives is stored and listed, whatever it is (spec G1)
        return _NOTHING


def may_report(beginning: bytes) -> bool:
    """Tell whether a message that begins so is worth reading; False says that `classify` finds nothing in it.

    beginning: its first octets, some thousands. Where they do not hold the whole header section, it is worth reading.
    Never raises.
    """
    try:
        return _is_worth_reading(beginning)
    except Exception:
        return True


def _is_worth_reading(beginning: bytes) -> bool:
    octets = with_line_feeds(beginning, LIMITS)
    assert isinstance(octets, bytes)
    head = read_head(octets, 0, len(octets), wanted=_WANTED, top=True)
    if head.body_start >= len(octets):
        return True
    content_type = parse_content_type(head.first(b"content-type"))[0]
    if content_type == "multipart/report" or (content_type.startswith("multipart/") and _FEEDBACK.search(octets)):
        return True
    fields = decoded_fields(head)
    return _is_of_a_system(fields, _sender(head)) or is_auto_reply(fields)


def read_report(raw: Octets) -> Report:
    """Read any message; may raise where our own code is wrong."""
    return _Reading(with_line_feeds(raw, LIMITS)).report()


class _Reading:
    """One message while it is being read."""

    def __init__(self, raw: Octets) -> None:
        head = read_head(raw, 0, len(raw), wanted=_WANTED, top=True)
        self.raw = raw
        self.fields = decoded_fields(head)
        root, _ = scan_structure(raw, head, LIMITS)
        self.root = root
        self.parts = list(root.leaves())
        self.sender = _sender(head)

    def report(self) -> Report:
        feedback = self._part((_FEEDBACK_PART,))
        if feedback is not None:
            return self._feedback(feedback)
        if self._part((_RECEIPT_PART,)) is not None:  # somebody has read it (RFC 8098)
            return _NOTHING
        status = self._part(_STATUS_PARTS)
        if status is not None and (self._is_report or self._is_from_a_system):
            return self._delivery_status(status)
        if self._is_from_a_system:
            found = self._text_report()
            if found is not None:
                return found
        if is_auto_reply(self.fields) and self.sender and not is_system_sender(self.sender):
            words = telling_words(self._notice().lines)
            recipient = RecipientReport(
                self.sender, Action.NONE, Kind.NONE, Reason.VACATION, self.sender, diagnostic=words
            )
            return Report(ReportType.AUTO_REPLY, (recipient,), self._original(None))
        return _NOTHING

    @property
    def _is_report(self) -> bool:
        return self.root.content_type == "multipart/report"

    @property
    def _is_from_a_system(self) -> bool:
        return _is_of_a_system(self.fields, self.sender)

    def _part(self, content_types: Iterable[str]) -> Part | None:
        return next((part for part in self.parts if part.content_type in content_types), None)

    def _text(self, part: Part) -> str:
        return part_text(self.raw, part, _LARGEST_TEXT)

    def _notice(self) -> Notice:
        """Return the text that people are meant to read; what stands behind it belongs to the original."""
        for part in self.parts:
            if part.content_type == "text/plain" and not is_returned(part):
                text = self._text(part)
                if text.strip():
                    return split_notice(text)
        page = self._part(("text/html",))
        return split_notice(html_to_text(self._text(page)) if page is not None else "")

    def _original(self, notice: Notice | None) -> Original:
        returned = next((part for part in self.parts if is_returned(part)), None)
        original = original_of_part(self.raw, returned) if returned is not None else Original()
        if not original.message_id and notice is not None:
            behind = original_of_text(notice.rest)
            original = behind if behind.message_id or not original.fields else original
        replied = " ".join(self.fields.get(name, "") for name in ("in-reply-to", "references"))
        return replace(original, references=message_ids(replied, 100))

    def _feedback(self, part: Part) -> Report:
        feedback = read_feedback(self._text(part))
        original = self._original(None)
        addresses = feedback.recipients or self._concealed(original)
        return Report(
            ReportType.FEEDBACK,
            tuple(RecipientReport(each, Action.NONE, Kind.NONE, Reason.FEEDBACK, each) for each in addresses),
            original,
            feedback.type,
        )

    def _concealed(self, original: Original) -> tuple[str, ...]:
        """Return whom the original was addressed to, for providers that do not say who complained."""
        for name in ("x-hmxmroriginalrecipient", "to"):
            if value := original.fields.get(name, ""):
                found = parse_addresses([value.encode("utf-8", "replace")], "", limit=50).addresses
                return tuple(each.address for each in found if "@" in each.address)
        return ()

    def _delivery_status(self, part: Part) -> Report:
        statuses = read_statuses(self._text(part))
        notice = self._notice()
        spoken = " ".join(notice.lines)
        entries = {entry.address.lower(): entry for entry in entries_of(notice)}
        delayed = tells_of_delay(f"{self.fields.get('subject', '')} {spoken}")
        recipients = [
            _of_status(status, _entry_for(status, entries, len(statuses.recipients)), delayed=delayed)
            for status in statuses.recipients
        ]
        found = tuple(each for each in _once(recipients) if each.address)
        if not found:
            return self._text_report() or _NOTHING
        original = self._original(notice)
        named = "".join(message_ids(statuses.message_id, 1))
        original = replace(original, envelope_id=statuses.envelope_id, message_id=original.message_id or named)
        return Report(ReportType.DELIVERY, found, original)

    def _text_report(self) -> Report | None:
        notice = self._notice()
        subject = self.fields.get("subject", "")
        failed = self._failed_recipients()
        if not (failed or is_failure_subject(subject) or is_failure_text(notice)):
            return None
        entries = [entry for entry in entries_of(notice) if entry.lines or not failed]
        if failed and not any(entry.address in failed or entry.alias in failed for entry in entries):
            told = _telling(notice)
            entries = [TextEntry(address, told) for address in failed]
        action = Action.DELAYED if tells_of_delay(f"{subject} {' '.join(notice.lines)}") else Action.FAILED
        recipients = [_of_entry(entry, action) for entry in entries if has_evidence(entry.diagnostic)]
        if not recipients:
            return None
        return Report(ReportType.DELIVERY, tuple(recipients), self._original(notice))

    def _failed_recipients(self) -> list[str]:
        """Return what Exim, and whoever followed it, lists in a field of its own."""
        value = self.fields.get("x-failed-recipients", "")
        found = (
            parse_addresses([value.encode("utf-8", "replace")], "", limit=MOST_RECIPIENTS).addresses if value else ()
        )
        return [each.address for each in found if "@" in each.address]


def _sender(head: Head) -> str:
    senders = parse_addresses(head.fields.get(b"from", [])[:1], "", limit=1).addresses
    return senders[0].address if senders else ""


def _is_of_a_system(fields: Mapping[str, str], sender: str) -> bool:
    """Tell whether a mail system seems to have written it, so that its text is worth reading."""
    if "x-failed-recipients" in fields or is_system_sender(sender):
        return True
    is_null = fields.get("return-path", "").strip() == "<>"
    return is_null and is_failure_subject(fields.get("subject", ""))


def _telling(notice: Notice) -> list[str]:
    return [line for line in notice.lines if has_evidence(line)][:30]


def _entry_for(status: DeliveryStatus, entries: dict[str, TextEntry], count: int) -> TextEntry | None:
    found = entries.get(status.address.lower()) or entries.get(status.final.lower())
    if found is None and count == 1 and len(entries) == 1:
        return next(iter(entries.values()))
    return found


def _of_status(status: DeliveryStatus, entry: TextEntry | None, *, delayed: bool) -> RecipientReport:
    """Judge by the fields; the text beside the address helps out where they say little."""
    spoken = one_line(entry.diagnostic) if entry is not None else ""
    action = status.action
    if action is None:
        is_delivered = status.status.strip().startswith("2")
        action = Action.DELIVERED if is_delivered else Action.DELAYED if delayed else Action.FAILED
    diagnostic = one_line(status.diagnostic)
    address = status.address or (entry.address if entry is not None else "")
    verdict = judge(action, status.status, diagnostic, command_of(diagnostic) or command_of(spoken))
    if verdict.reason == Reason.UNDEFINED and spoken:
        verdict = judge(action, status.status, f"{diagnostic} {spoken}")
    return RecipientReport(
        address=address,
        action=action,
        kind=verdict.kind,
        reason=verdict.reason,
        final=status.final,
        status=verdict.status,
        reply_code=verdict.reply_code,
        diagnostic=diagnostic or spoken,
        remote_host=status.remote_host or _host_in(spoken),
    )


def _of_entry(entry: TextEntry, action: Action) -> RecipientReport:
    diagnostic = one_line(entry.diagnostic)
    verdict = judge(action, "", diagnostic)
    return RecipientReport(
        address=entry.alias or entry.address,
        action=action,
        kind=verdict.kind,
        reason=verdict.reason,
        final=entry.address,
        status=verdict.status,
        reply_code=verdict.reply_code,
        diagnostic=diagnostic,
        remote_host=_host_in(diagnostic),
    )


def _host_in(text: str) -> str:
    found = _HOST.search(text)
    return found[1] if found else ""


def _once(recipients: Iterable[RecipientReport]) -> Iterable[RecipientReport]:
    """Keep the first report of each address; a failure counts more than an earlier delay."""
    kept: dict[str, RecipientReport] = {}
    for each in recipients:
        known = kept.setdefault(each.address.lower(), each)
        if each.is_failure and not known.is_failure:
            kept[each.address.lower()] = each
    return kept.values()
