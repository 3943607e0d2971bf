"""A submission server for tests: takes mail like a real one, or misbehaves as told (aiosmtpd underneath)."""

# ruff: noqa: N802  (aiosmtpd finds its hooks by these names)

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

USERNAME = "alice@example.org"
PASSWORD = "mailbox-password"


@dataclass
class Taken:
    """A message as it arrived: envelope and octets, dots undone."""

    sender: str
    recipients: list[str]
    raw: bytes


@dataclass
class Sink:
    """What the server answers, and what it has seen.

    mail, data, end: replies instead of the usual ones ("" = usual); recipients: by address.
    after_dot: "answer", "drop" (it took the mail, the answer is lost) or "forget" (neither); after_dots: of the first.
    logins: every user name and password that was offered.
    """

    port: int = 0
    mail: str = ""
    data: str = ""
    end: str = ""
    recipients: dict[str, str] = field(default_factory=dict)
    after_dot: str = "answer"
    after_dots: list[str] = field(default_factory=list)
    password: str = PASSWORD
    refuse_login: str = ""
    taken: list[Taken] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    connections: int = 0

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ):
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.mail:
            return self.mail
        envelope.mail_from = address
        return "250 2.1.0 Sender ok"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if reply := self.recipients.get(address):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Recipient ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.end:
            return self.end
        after_dot = self.after_dots.pop(0) if self.after_dots else self.after_dot
        if after_dot != "forget":
            self.taken.append(
                Taken(envelope.mail_from or "", list(envelope.rcpt_tos), envelope.original_content or b"")
            )
        if after_dot != "answer":
            assert server.transport is not None
            server.transport.abort()
            return "250 never seen"
        return "250 2.0.0 Taken as 4711"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        username, password = data.login.decode(), data.password.decode()
        self.logins.append((username, password))
        if self.refuse_login:
            return AuthResult(success=False, handled=False, message=self.refuse_login)
        return AuthResult(success=password == self.password, handled=False)


class _Server(SMTP):
    """aiosmtpd with the reply its handlers cannot give: to DATA itself."""

    def __init__(self, sink: Sink, **options: object) -> None:
        super().__init__(sink, **options)
        self._sink = sink

    async def smtp_DATA(self, arg: str) -> None:
        if self._sink.data:
            await self.push(self._sink.data)
            return
        await super().smtp_DATA(arg)


class SinkController(Controller):
    def __init__(self, sink: Sink, port: int) -> None:
        self._sink = sink
        super().__init__(sink, hostname="127.0.0.1", port=port)

    def factory(self) -> SMTP:
        return _Server(
            self._sink,
            hostname="sink.example.org",
            enable_SMTPUTF8=True,
            authenticator=self._sink.authenticate,
            auth_require_tls=False,
        )
