"""Feedback reports: a recipient pressed "this is spam" (RFC 5965), or authentication failed (RFC 6591)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocols.message.dsn import mail_address

_MOST_LINES: Final = 5_000
_RECIPIENT_FIELDS: Final = ("original-rcpt-to", "removal-recipient")


@dataclass(frozen=True, slots=True)
class Feedback:
    """The fields of a message/feedback-report part.

    type:       in lower case: "abuse", "fraud", "not-spam" ...; "other" where the report states none.
    recipients: who objected; empty where the provider conceals it, as most do.
    """

    type: str
    recipients: tuple[str, ...]
    source_host: str = ""


def read_feedback(text: str) -> Feedback:
    """Read the content of a message/feedback-report part, decoded. Linear, never raises."""
    kind, source = "", ""
    recipients: dict[str, str] = {}
    for line in text.split("\n", _MOST_LINES)[:_MOST_LINES]:
        name, separator, value = line[:2_000].partition(":")
        name = name.strip().lower()
        if not separator:
            continue
        if name == "feedback-type":
            kind = kind or value.strip().lower()[:40]
        elif name in _RECIPIENT_FIELDS and (address := mail_address(value)):
            recipients.setdefault(address.lower(), address)
        elif name == "reporting-mta":
            source = source or value.partition(";")[2].strip()[:255]
    return Feedback(kind or "other", tuple(recipients.values()), source)
