"""Where a mail server listens and how the line to it is protected."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Protocol(StrEnum):
    IMAP = "imap"
    SMTP = "smtp"


class Security(StrEnum):
    """How the connection is protected. Chosen and stored, never "if offered" (RFC 8314)."""

    TLS = "tls"  # from the first octet: 993, 465
    STARTTLS = "starttls"  # upgraded before anything is said: 143, 587
    NONE = "none"  # in the clear; only where a person chose and confirmed it


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server to dial.

    host:    DNS name or IP literal, as typed; also the name that the certificate must prove.
    timeout: seconds to wait for each reply.
    """

    host: str
    port: int
    security: Security
    timeout: float = 40.0

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"
