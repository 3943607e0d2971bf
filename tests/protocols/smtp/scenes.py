"""What the tests of SMTP share: sessions with a scripted server, and the words it begins with."""

from __future__ import annotations

from contextlib import AbstractContextManager

from protocols.credentials import Credentials, Secret
from protocols.endpoint import Endpoint, Security
from protocols.network import Dialer, DialPolicy
from protocols.smtp.session import SmtpSession, open_session
from protocols.transcript import Transcript
from tests.servers import certificates

ALICE = Credentials("alice@example.org", Secret("canary-password"))
RAW = b"Subject: Hello\r\n\r\nHello.\r\n"
BODY = "C: Subject: Hello\nC\nC: Hello.\nC: .\n"


def greeting(*offered: str) -> str:
    """Up to the end of EHLO, with these keywords."""
    lines = ["hello", *offered]
    marks = ["-"] * len(offered) + [" "]
    return "S: 220 ready\nC: EHLO *\n" + "".join(
        f"S: 250{mark}{line}\n" for mark, line in zip(marks, lines, strict=True)
    )


def session_with(
    port: int,
    *,
    security: Security = Security.NONE,
    user: Credentials | None = None,
    timeout: float = 5,
    ehlo_name: str = "",
    transcript: Transcript | None = None,
) -> AbstractContextManager[SmtpSession]:
    return open_session(
        Endpoint(certificates.NAME, port, security, timeout),
        user,
        dialer=dialer_to(port),
        trust=certificates.trust(),
        ehlo_name=ehlo_name,
        transcript=transcript,
    )


def dialer_to(port: int) -> Dialer:
    return Dialer(DialPolicy(endpoints=frozenset({("127.0.0.1", port)}), names={certificates.NAME: "127.0.0.1"}))
