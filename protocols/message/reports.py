"""What mail about mail says: the vocabulary of delivery reports, complaints and automatic replies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ReportType(StrEnum):
    """What a message is, seen by the sender of an earlier one."""

    DELIVERY = "delivery"  # RFC 3464, and everything that says the same in its own words
    FEEDBACK = "feedback"  # RFC 5965
    AUTO_REPLY = "auto_reply"  # RFC 3834
    NONE = "none"


class Action(StrEnum):
    """What became of the message for one recipient (RFC 3464, 2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"
    NONE = ""  # complaints and automatic replies: it was delivered


class Kind(StrEnum):
    """hard: no later mail will arrive there. soft: this time it did not. none: no failure."""

    HARD = "hard"
    SOFT = "soft"
    NONE = "none"


class Reason(StrEnum):
    """Why, in the words that bounce processors share."""

    USER_UNKNOWN = "userunknown"
    HOST_UNKNOWN = "hostunknown"
    HAS_MOVED = "hasmoved"
    NOT_ACCEPT = "notaccept"  # the domain takes no mail at all (RFC 7504, RFC 7505)
    MAILBOX_FULL = "mailboxfull"
    SUSPENDED = "suspend"
    FILTERED = "filtered"  # the recipient's side refused it, without saying that nobody is there
    MESSAGE_TOO_BIG = "mesgtoobig"
    CONTENT_ERROR = "contenterror"
    REJECTED = "rejected"  # the sender's address is not welcome
    BLOCKED = "blocked"  # the address of the sending server is not welcome
    RATE_LIMITED = "ratelimited"
    SPAM_DETECTED = "spamdetected"
    VIRUS_DETECTED = "virusdetected"
    POLICY_VIOLATION = "policyviolation"
    AUTH_FAILURE = "authfailure"  # SPF, DKIM or DMARC
    SECURITY_ERROR = "securityerror"
    NO_RELAYING = "norelaying"
    EXPIRED = "expired"
    NETWORK_ERROR = "networkerror"
    SYSTEM_ERROR = "systemerror"
    SYSTEM_FULL = "systemfull"
    MAILER_ERROR = "mailererror"
    SYNTAX_ERROR = "syntaxerror"
    SUPPRESSED = "suppressed"  # a sending service did not even try: the address is on its own list
    UNDEFINED = "undefined"
    DELIVERED = "delivered"
    FEEDBACK = "feedback"
    VACATION = "vacation"


@dataclass(frozen=True, slots=True)
class RecipientReport:
    """What a report says of one recipient.

    address:     whom the original was addressed to where the report tells, otherwise whom it ended at.
    final:       whom it ended at, after aliases and forwarding; "" where the report does not tell.
    status:      enhanced status code (RFC 3463). Where the report states none, the code that the reason stands for.
    reply_code:  of SMTP (RFC 5321, 4.2), "" where there is none.
    diagnostic:  the server's own words on one line, cut at 1,000 characters.
    remote_host: the server that said so, "" where unknown.
    """

    address: str
    action: Action
    kind: Kind
    reason: Reason
    final: str = ""
    status: str = ""
    reply_code: str = ""
    diagnostic: str = ""
    remote_host: str = ""

    @property
    def is_failure(self) -> bool:
        """Tell whether the message is lost for this recipient: a delay is none, nor is an automatic reply."""
        return self.action == Action.FAILED


@dataclass(frozen=True, slots=True)
class Original:
    """What the report tells of the message that it is about, so that the sender finds it again.

    message_id:  without angle brackets, "" where the report does not tell.
    references:  what the report refers to by its own In-Reply-To and References.
    envelope_id: ENVID of the submission (RFC 3461, 4.4).
    fields:      lower-case names of the returned header fields, each with its first value, decoded.
    """

    message_id: str = ""
    subject: str = ""
    references: tuple[str, ...] = ()
    envelope_id: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """How a message was understood.

    feedback_type: of a feedback report: "abuse", "fraud", "not-spam" ... (RFC 5965, 7.3), "" for all others.
    """

    type: ReportType
    recipients: tuple[RecipientReport, ...] = ()
    original: Original = field(default_factory=Original)
    feedback_type: str = ""

    @property
    def is_complaint(self) -> bool:
        """Tell whether a recipient objects. Reports of good mail and of failed authentication are no complaints."""
        return self.type == ReportType.FEEDBACK and self.feedback_type not in ("not-spam", "auth-failure", "dmarc")
