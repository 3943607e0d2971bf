"""Trying a server step by step, as the wizard and the doctor do: nothing is changed and no mail is sent (spec D1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from socket import socket

from protocols import tls
from protocols.credentials import Credentials
from protocols.endpoint import Endpoint, Security
from protocols.errors import CertificateRefused, DestinationRefused, MailError
from protocols.imap import opening as imap_opening
from protocols.imap import session as imap
from protocols.network import Dialer, literal_address
from protocols.smtp import opening as smtp_opening
from protocols.smtp import session as smtp
from protocols.stepping import watched
from protocols.steps import Observer, Step, StepName, StepStatus, ignore
from protocols.tls import SYSTEM_TRUST, TlsTrust
from protocols.transcript import Transcript


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How far a check came.

    steps:           all that apply to this endpoint; those behind a failure are skipped. Empty when our own policy
                     refused the destination.
    error:           what went wrong; None when nothing did.
    server_response: what was said, both sides, with secrets masked.
    size_limit:      octets of the largest message a submission server takes (RFC 1870); 0 where it did not say.
    """

    ok: bool
    steps: tuple[Step, ...]
    error: MailError | None
    server_response: str
    size_limit: int = 0


def check_imap(
    endpoint: Endpoint,
    credentials: Credentials | None,
    *,
    dialer: Dialer,
    trust: TlsTrust = SYSTEM_TRUST,
    observe: Observer = ignore,
) -> CheckResult:
    """Log in, list the folders, open INBOX for reading. `observe` hears of each step as it ends.

    Without credentials the line, its protection and the greeting are tried, and no more.
    """
    behind_the_login = (StepName.LOGIN, StepName.FOLDERS, StepName.INBOX) if credentials is not None else ()
    notes = _Notes(endpoint, credentials, observe, behind_the_login)

    def attempt() -> None:
        with imap.open_session(
            endpoint, credentials, dialer=dialer, observe=notes, trust=trust, transcript=notes.transcript
        ) as session:
            if credentials is None:
                return
            with watched(StepName.FOLDERS, notes) as step:
                step.detail = _counted(len(session.folders()), "folder")
            with watched(StepName.INBOX, notes) as step:
                step.detail = _counted(session.examine(b"INBOX").exists, "message")

    return _run(attempt, notes, lambda: imap_opening.line_before_tls(endpoint, dialer))


def check_smtp(
    endpoint: Endpoint,
    credentials: Credentials | None,
    *,
    dialer: Dialer,
    trust: TlsTrust = SYSTEM_TRUST,
    sender: str = "",
    ehlo_name: str = "",
    observe: Observer = ignore,
) -> CheckResult:
    """Log in where there are credentials, and ask whether they may send as `sender` where one is given."""
    login = (StepName.LOGIN,) if credentials is not None else ()
    notes = _Notes(endpoint, credentials, observe, login + ((StepName.SENDER,) if sender else ()))

    def attempt() -> None:
        with smtp.open_session(
            endpoint,
            credentials,
            dialer=dialer,
            observe=notes,
            trust=trust,
            ehlo_name=ehlo_name,
            transcript=notes.transcript,
        ) as session:
            notes.size_limit = session.size_limit
            if sender:
                session.check_sender(sender)

    return _run(attempt, notes, lambda: smtp_opening.line_before_tls(endpoint, dialer))


class _Notes:
    """Collects the steps, passes them on live, and knows which are still to come."""

    def __init__(
        self, endpoint: Endpoint, credentials: Credentials | None, observe: Observer, last: tuple[StepName, ...]
    ) -> None:
        dns = () if literal_address(endpoint.host) is not None else (StepName.DNS,)
        direct = (StepName.TLS,) if endpoint.security is Security.TLS else ()
        upgrade = (StepName.STARTTLS,) if endpoint.security is Security.STARTTLS else ()
        self._expected = (*dns, StepName.TCP, *direct, StepName.GREETING, *upgrade, StepName.CAPABILITIES, *last)
        self._observe = observe
        self.endpoint = endpoint
        self.steps: list[Step] = []
        self.size_limit = 0
        self.transcript = Transcript(credentials)

    def __call__(self, step: Step) -> None:
        masked = Step(step.name, step.status, step.ms, self.transcript.mask(step.detail))
        self.steps.append(masked)
        self._observe(masked)

    def skip_the_rest(self) -> None:
        reached = [step.name for step in self.steps]
        failed = self._expected.index(reached[-1]) if reached and reached[-1] in self._expected else -1
        for name in self._expected[failed + 1 :]:
            self(Step(name, StepStatus.SKIPPED, 0, "not reached"))


def _run(attempt: Callable[[], None], notes: _Notes, second_line: Callable[[], socket]) -> CheckResult:
    error: MailError | None = None
    try:
        attempt()
    except DestinationRefused as exc:
        return CheckResult(ok=False, steps=(), error=exc, server_response="")
    except MailError as exc:
        error = exc
        error.reply = notes.transcript.mask(error.reply)
        if isinstance(exc, CertificateRefused) and not exc.fingerprint:
            _read_the_refused_certificate(exc, notes.endpoint, second_line)
        notes.skip_the_rest()
    return CheckResult(error is None, tuple(notes.steps), error, str(notes.transcript), notes.size_limit)


def _read_the_refused_certificate(refusal: CertificateRefused, endpoint: Endpoint, line: Callable[[], socket]) -> None:
    """Look at the certificate on a second connection, so that its name can be offered; failing that, go without."""
    try:
        certificate = tls.peek(line(), endpoint)
    except MailError:
        return
    if certificate is not None:
        refusal.names = certificate.names
        refusal.fingerprint = certificate.fingerprint
        refusal.expires_at = certificate.expires_at


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
