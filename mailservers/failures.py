"""What kind of failure an error is, in the words that rules use."""

from __future__ import annotations

from protocols import errors
from protocols.errors import CertificateProblem, CertificateRefused, MailError

# From the most special to the most general, so that a rule may name either.
_KINDS: tuple[tuple[type[MailError], str], ...] = (
    (errors.CertificateRefused, "certificate_refused"),
    (errors.DestinationRefused, "destination_refused"),
    (errors.LoginRefused, "login_refused"),
    (errors.SecurityRefused, "security_refused"),
    (errors.Deferred, "deferred"),
    (errors.OutcomeUnknown, "outcome_unknown"),
    (errors.ProtocolViolation, "protocol_violation"),
    (errors.Unreachable, "unreachable"),
    (errors.Refused, "refused"),
)
CERTIFICATE_KINDS = tuple(f"certificate_{problem}" for problem in CertificateProblem)
KINDS = (*CERTIFICATE_KINDS, *(kind for _, kind in _KINDS))


def kinds_of(error: MailError) -> tuple[str, ...]:
    """Every kind the error is, the most special first: ("certificate_expired", "certificate_refused", ...)."""
    special = (f"certificate_{error.problem}",) if isinstance(error, CertificateRefused) else ()
    return (*special, *(kind for family, kind in _KINDS if isinstance(error, family)))
