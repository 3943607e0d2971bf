"""Why mail came back or is late, in the words of a colleague; the server's own stand below them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from protocols.message.reports import Kind, Reason, RecipientReport

_CAUSES: Final[Mapping[str, str]] = {
    Reason.USER_UNKNOWN: "The address does not exist.",
    Reason.HOST_UNKNOWN: "The domain behind the @ does not exist, or nobody receives its mail.",
    Reason.HAS_MOVED: "The recipient has another address now.",
    Reason.NOT_ACCEPT: "The domain behind the @ takes no mail.",
    Reason.MAILBOX_FULL: "The recipient's mailbox is full.",
    Reason.SUSPENDED: "The recipient's mailbox is switched off at present.",
    Reason.FILTERED: "The recipient's server turned it down.",
    Reason.MESSAGE_TOO_BIG: "It is larger than the recipient's server takes.",
    Reason.CONTENT_ERROR: "The recipient's server could not read it.",
    Reason.REJECTED: "The recipient's server does not take mail from this sender.",
    Reason.BLOCKED: "The recipient's server does not take mail from our sending server.",
    Reason.RATE_LIMITED: "The recipient's server got too much mail at once.",
    Reason.SPAM_DETECTED: "The recipient's server took it for spam.",
    Reason.VIRUS_DETECTED: "The recipient's server took it for dangerous.",
    Reason.POLICY_VIOLATION: "A rule of the recipient's server forbids it.",
    Reason.AUTH_FAILURE: "The recipient's server doubts that it is from us (SPF, DKIM or DMARC of our domain).",
    Reason.SECURITY_ERROR: "The recipient's server wants a sign-in or encryption that it did not get.",
    Reason.NO_RELAYING: "The server that got it does not receive mail for this address.",
    Reason.EXPIRED: "The recipient's server could not be reached.",
    Reason.NETWORK_ERROR: "It got lost on the way between servers.",
    Reason.SYSTEM_ERROR: "The recipient's server has a fault.",
    Reason.SYSTEM_FULL: "The recipient's server has no room left.",
    Reason.MAILER_ERROR: "A program of the recipient's server failed.",
    Reason.SYNTAX_ERROR: "The servers did not understand each other.",
    Reason.SUPPRESSED: "The sending service refused it, since mail to this address came back before.",
}
_UNKNOWN: Final = "The recipient's server did not say why in words that we know."


def cause_of(reason: str) -> str:
    """Return one sentence for a `Reason`."""
    return _CAUSES.get(reason, _UNKNOWN)


def words_for(report: RecipientReport) -> str:
    """Return a sentence or two: the cause, and what it means for later mail."""
    cause = cause_of(report.reason)
    if not report.is_failure:
        return f"Delayed. {cause} The servers go on trying."
    if report.kind == Kind.HARD:
        return f"It came back. {cause} Later mail will come back too."
    return f"It came back. {cause}"
