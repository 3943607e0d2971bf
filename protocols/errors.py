"""Errors raised by the protocol core, split by what the caller should do.

MailError
├── Unreachable            DNS, TCP or TLS failed, or the line broke. Retry later.
│   ├── CertificateRefused the server's certificate does not prove its name. Ask the administrator.
│   └── DestinationRefused our own policy forbids this address or port. Nothing was sent.
├── Refused                The server said no for good. Do not retry.
│   ├── LoginRefused       Wrong or expired credentials. Ask the user.
│   ├── SecurityRefused    The server does not offer the security that was chosen.
│   └── UnsafeArgument     We refused ourselves: a line break or NUL in a value. Nothing of it was sent.
├── Deferred               The server said not now (4yz, UNAVAILABLE, LIMIT). Retry later.
├── OutcomeUnknown         The line broke after the final dot; the mail may be on its way.
└── ProtocolViolation      The peer broke the grammar. Report, do not retry.

Every error keeps the server's own words in `reply` (empty when it said nothing) and the step it happened in.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from protocols.steps import StepName

if TYPE_CHECKING:
    from protocols.smtp.replies import RecipientReply


class MailError(Exception):
    """A conversation with a mail server failed.

    reply: the server's own words, or the operating system's where no server answered; never a secret.
    step:  where it happened; None when the caller is not checking step by step.
    code:  SMTP reply code (RFC 5321, 4.2), 0 for IMAP and for failures without a reply.
    enhanced: the enhanced status code beside it (RFC 3463), such as "5.1.1"; empty when the server gave none.
    """

    def __init__(
        self, message: str, *, reply: str = "", step: StepName | None = None, code: int = 0, enhanced: str = ""
    ) -> None:
        super().__init__(message)
        self.reply = reply
        self.step = step
        self.code = code
        self.enhanced = enhanced


class Unreachable(MailError): ...


class CertificateProblem(StrEnum):
    """Why a certificate was refused, for the doctor's rules."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_NAME = "wrong_name"
    SELF_SIGNED = "self_signed"
    UNKNOWN_ISSUER = "unknown_issuer"
    WRONG_FINGERPRINT = "wrong_fingerprint"  # another one than the pinned
    OTHER = "other"


class CertificateRefused(Unreachable):
    """The certificate proves nothing. What it says of itself is unproven too, and here only to be shown to a person.

    names:       DNS names and addresses it claims; empty when they were not read.
    fingerprint: SHA-256 of the certificate in hexadecimal; empty when it was not read.
    """

    def __init__(
        self,
        message: str,
        *,
        reply: str = "",
        step: StepName | None = None,
        problem: CertificateProblem = CertificateProblem.OTHER,
        names: tuple[str, ...] = (),
        fingerprint: str = "",
        expires_at: datetime | None = None,
    ) -> None:
        super().__init__(message, reply=reply, step=step)
        self.problem = problem
        self.names = names
        self.fingerprint = fingerprint
        self.expires_at = expires_at


class DestinationRefused(Unreachable): ...


class Refused(MailError): ...


class LoginRefused(Refused): ...


class SecurityRefused(Refused): ...


class UnsafeArgument(Refused, ValueError): ...


class Deferred(MailError): ...


class OutcomeUnknown(MailError):
    """refused: recipients that the server had refused before; only the outcome of the others is unknown."""

    def __init__(self, message: str, *, reply: str = "", refused: tuple[RecipientReply, ...] = ()) -> None:
        super().__init__(message, reply=reply)
        self.refused = refused


class ProtocolViolation(MailError): ...
