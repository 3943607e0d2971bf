"""Trying a mail server's or a mailbox's connection, and explaining what went wrong (spec D1, D2).

No mail is sent and nothing is changed. The network is waited for, so nobody calls this inside a transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.utils import timezone

from mailservers.diagnosis import diagnose
from mailservers.passwords import with_hint_at_spaces
from mailservers.probing import answering_fixes
from mailservers.sizes import note_size_limit
from organizations.dialing import dialer, trust
from organizations.models import Organization
from protocols.checking import CheckResult, check_imap, check_smtp
from protocols.credentials import Credentials
from protocols.diagnosis import Diagnosis
from protocols.endpoint import Endpoint, Protocol
from protocols.steps import Observer, Step, ignore
from providers.models import Provider


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found, ready to be shown, stored or answered.

    steps:           empty where our own policy refused the destination; then `diagnosis` is one sentence (threat T1).
    server_response: what both sides said, with secrets masked.
    """

    ok: bool
    steps: tuple[Step, ...]
    diagnosis: Diagnosis | None
    server_response: str

    def as_json(self) -> dict[str, object]:
        """The shape that the API answers: {ok, steps, diagnosis, server_response}."""
        steps = [
            {"name": step.name.value, "status": step.status.value, "ms": step.ms, "detail": step.detail}
            for step in self.steps
        ]
        diagnosis = self.diagnosis.as_json() if self.diagnosis else None
        return {"ok": self.ok, "steps": steps, "diagnosis": diagnosis, "server_response": self.server_response}


def check_outgoing(
    endpoint: Endpoint,
    credentials: Credentials | None,
    *,
    provider: Provider | None = None,
    organization: Organization | None = None,
    sender: str = "",
    observe: Observer = ignore,
) -> CheckReport:
    """Try a submission server: reach, protection, login, and whether `sender` may send where one is given."""
    result = check_smtp(endpoint, credentials, dialer=dialer(), trust=trust(), sender=sender, observe=observe)
    if result.size_limit:
        note_size_limit(endpoint, result.size_limit, timezone.now())
    return _report(result, Protocol.SMTP, endpoint, credentials, provider, organization)


def check_incoming(
    endpoint: Endpoint,
    credentials: Credentials | None,
    *,
    provider: Provider | None = None,
    organization: Organization | None = None,
    observe: Observer = ignore,
) -> CheckReport:
    """Try an IMAP server: reach, protection, login, the list of folders, opening INBOX for reading.

    Without credentials only reach, protection and greeting.
    """
    result = check_imap(endpoint, credentials, dialer=dialer(), trust=trust(), observe=observe)
    return _report(result, Protocol.IMAP, endpoint, credentials, provider, organization)


def _report(
    result: CheckResult,
    protocol: Protocol,
    endpoint: Endpoint,
    credentials: Credentials | None,
    provider: Provider | None,
    organization: Organization | None,
) -> CheckReport:
    diagnosis = None
    check = check_imap if protocol is Protocol.IMAP else check_smtp
    if result.error is not None:
        diagnosis = diagnose(
            result.error,
            protocol=protocol,
            endpoint=endpoint,
            provider_key=provider.key if provider else "",
            organization=organization,
        )
        diagnosis = with_hint_at_spaces(diagnosis, result.error, credentials)
        fixes = answering_fixes(
            result.error,
            diagnosis.fixes,
            protocol=protocol,
            endpoint=endpoint,
            answers=lambda neighbour: check(neighbour, None, dialer=dialer(), trust=trust()).ok,
        )
        diagnosis = replace(diagnosis, fixes=fixes)
    return CheckReport(result.ok, result.steps, diagnosis, result.server_response)
