"""The steps of a connection, in the order they happen, as a person may watch them (spec D1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class StepName(StrEnum):
    """In both protocols the steps come in this order; those that do not apply are left out."""

    DNS = "dns"
    TCP = "tcp"
    TLS = "tls"
    GREETING = "greeting"
    STARTTLS = "starttls"
    CAPABILITIES = "capabilities"
    LOGIN = "login"
    FOLDERS = "folders"  # IMAP LIST
    INBOX = "inbox"  # IMAP EXAMINE
    SENDER = "sender"  # SMTP MAIL FROM, then RSET


class StepStatus(StrEnum):
    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Step:
    """One finished step.

    ms:     milliseconds it took.
    detail: a short fact ("203.0.113.25", "TLS 1.3, expires 2027-01-09") or, after a failure, the server's words.
    """

    name: StepName
    status: StepStatus
    ms: int
    detail: str = ""


class Observer(Protocol):
    """Told of each step as it ends; the sessions call it, the doctor and its pages listen."""

    def __call__(self, step: Step) -> None: ...


def ignore(step: Step) -> None:
    """The observer of a connection that nobody watches."""
