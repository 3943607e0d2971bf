"""Handing messages to a submission server, recipient by recipient (RFC 5321, RFC 6409)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import idna

from protocols.credentials import Credentials
from protocols.endpoint import Endpoint
from protocols.errors import MailError, OutcomeUnknown, ProtocolViolation, Refused, Unreachable, UnsafeArgument
from protocols.network import Dialer
from protocols.smtp import opening
from protocols.smtp.connection import Connection
from protocols.smtp.octets import dot_stuffed, normalised
from protocols.smtp.replies import Reply
from protocols.stepping import watched
from protocols.steps import Observer, StepName, ignore
from protocols.tls import SYSTEM_TRUST, TlsTrust
from protocols.transcript import Transcript

logger = logging.getLogger(__name__)

DATA_TIMEOUT = 120.0  # seconds for the go-ahead to DATA and for each block of it
FINAL_DOT_TIMEOUT = 600.0  # seconds; less would make us send twice (RFC 5321, 4.5.3.2.6)
QUIT_TIMEOUT = 3.0  # seconds
BATCH = 100  # recipients in one pipelined go


@dataclass(frozen=True, slots=True)
class RecipientReply:
    """What became of one recipient. accepted: the server has taken responsibility for delivering to this one.

    code:     of the reply that decided, to RCPT or to the whole message; 0 where we refused ourselves.
    enhanced: RFC 3463 code, empty when the server gave none.
    """

    address: str
    code: int
    enhanced: str
    text: str
    accepted: bool

    @property
    def deferred(self) -> bool:
        """4yz: to be tried again later."""
        return 400 <= self.code < 500


@contextmanager
def open_session(
    endpoint: Endpoint,
    credentials: Credentials | None,
    *,
    dialer: Dialer,
    observe: Observer = ignore,
    trust: TlsTrust = SYSTEM_TRUST,
    ehlo_name: str = "",
    transcript: Transcript | None = None,
) -> Iterator[SmtpSession]:
    """Connect, log in where there are credentials, yield the session, and say QUIT and close on every path.

    Raises Unreachable, SecurityRefused, LoginRefused, Deferred (4yz), Refused (5yz) or ProtocolViolation.
    """
    connection = opening.connect(
        endpoint, dialer, trust=trust, observe=observe, transcript=transcript, ehlo_name=ehlo_name
    )
    try:
        if credentials is not None:
            with watched(StepName.LOGIN, observe):
                opening.log_in(connection, credentials)
        yield SmtpSession(connection, observe)
    finally:
        _say_goodbye(connection)


class SmtpSession:
    """Mail transactions on one connection, one after the other. Not safe to share between threads."""

    def __init__(self, connection: Connection, observe: Observer = ignore) -> None:
        self._connection = connection
        self._observe = observe

    @property
    def capabilities(self) -> dict[str, str]:
        """What EHLO offered: keyword to parameters, upper-cased."""
        return dict(self._connection.capabilities)

    @property
    def usable(self) -> bool:
        """False after a 421, a break or a lost reply: open a new session for the next message."""
        return not self._connection.broken

    @property
    def size_limit(self) -> int:
        """Octets of the largest message the server takes (RFC 1870); 0 when it does not say."""
        size = self._connection.capabilities.get("SIZE", "")
        return int(size) if size.isascii() and size.isdigit() and len(size) < 20 else 0

    def check_sender(self, address: str) -> None:
        """Ask whether this login may send as `address` (MAIL FROM, then RSET); no mail is sent.

        Raises Refused or Deferred with the server's words.
        """
        with watched(StepName.SENDER, self._observe) as step:
            reply = self._connection.ask(self._mail_command(address, b"", [address]))
            step.detail = str(reply)
            if not reply.positive:
                raise reply.failure(f"The server does not let this login send as {address}.")
            self._connection.ask("RSET")

    def submit(
        self, sender: str, recipients: Sequence[str], raw: bytes, *, before_final_dot: Callable[[], None]
    ) -> list[RecipientReply]:
        """Send one message and return one reply per recipient, in their order.

        sender may be empty (the null reverse-path). `before_final_dot` runs when all but the last octets are out: after
        it the message may be on its way, before it certainly not. If it raises, nothing is sent.

        Raises OutcomeUnknown when the line is lost between the final dot and its reply; Refused or Deferred when the
        sender or the message as a whole is refused before any recipient; Unreachable when the line breaks earlier.
        """
        octets = normalised(raw)
        if self.size_limit and len(octets) > self.size_limit:
            raise Refused(
                f"The message has {len(octets)} octets; this server takes at most {self.size_limit}.",
                reply=f"SIZE {self.size_limit}",
            )
        outcome = self._address(sender, recipients, octets)
        accepted = [address for address, reply in outcome.items() if reply.accepted]
        if accepted and self.usable:
            usual_timeout = self._connection.wire.timeout
            self._connection.wire.be_patient(max(DATA_TIMEOUT, usual_timeout))
            reply = self._connection.ask("DATA")
            if reply.code == 354:
                try:
                    reply = self._transfer(dot_stuffed(octets), before_final_dot)
                except OutcomeUnknown as exc:
                    exc.refused = tuple(answer for answer in outcome.values() if not answer.accepted)
                    raise
            elif reply.positive:
                self._connection.broken = True
                raise ProtocolViolation("The server answered DATA with what is no go-ahead.", reply=str(reply))
            self._connection.wire.be_patient(usual_timeout)
            outcome |= {address: _recipient_reply(address, reply) for address in accepted}
        elif self.usable:
            self._connection.ask("RSET")
        return [outcome[address] for address in recipients]

    def _address(self, sender: str, recipients: Sequence[str], octets: bytes) -> dict[str, RecipientReply]:
        """Send the envelope; return the reply of each recipient, after a 421 the same for all that are left."""
        outcome: dict[str, RecipientReply] = {}
        commands: list[tuple[str, str]] = []
        for address in dict.fromkeys(recipients):
            try:
                commands.append((address, f"RCPT TO:<{self._path(address)}>"))
            except Refused as exc:
                outcome[address] = RecipientReply(address, exc.code, "", str(exc), accepted=False)
        mail = self._mail_command(sender, octets, [address for address, _ in commands])
        if not commands:
            return outcome
        pipelining = "PIPELINING" in self._connection.capabilities
        if not pipelining or len(commands) > BATCH:
            _expect_positive(self._connection.ask(mail))
            batches = [commands[start : start + BATCH] for start in range(0, len(commands), BATCH)]
        else:
            self._connection.say(mail, *(command for _, command in commands))
            self._take_mail_reply(len(commands))
            outcome |= self._take_replies(commands)
            batches = []
        for batch in batches:
            if pipelining:
                self._connection.say(*(command for _, command in batch))
                outcome |= self._take_replies(batch)
                continue
            for address, command in batch:
                if self.usable:
                    self._connection.say(command)
                    outcome |= self._take_replies([(address, command)])
        return self._after_421(outcome, commands)

    def _take_mail_reply(self, following: int) -> None:
        """Read the reply to a pipelined MAIL; when it is no, the replies to the recipients still have to be read."""
        reply = self._connection.reply()
        if reply.positive:
            return
        for _ in range(following):
            if self.usable:
                self._connection.reply()
        raise reply.failure("The server refused the sender.")

    def _take_replies(self, commands: Sequence[tuple[str, str]]) -> dict[str, RecipientReply]:
        replies: dict[str, RecipientReply] = {}
        for address, _ in commands:
            if not self.usable:
                break
            replies[address] = _recipient_reply(address, self._connection.reply())
        return replies

    def _after_421(
        self, outcome: dict[str, RecipientReply], commands: Sequence[tuple[str, str]]
    ) -> dict[str, RecipientReply]:
        """A server that closes in the middle has taken nothing: its 421 holds for all it had not refused."""
        if self.usable:
            return outcome
        closing = next(reply for reply in outcome.values() if reply.code == 421)
        for address, _ in commands:
            if address not in outcome or outcome[address].accepted:
                outcome[address] = RecipientReply(address, 421, closing.enhanced, closing.text, accepted=False)
        return outcome

    def _transfer(self, octets: bytes, before_final_dot: Callable[[], None]) -> Reply:
        """Send the message after the go-ahead. From the final dot on, no reply means that nobody knows."""
        connection = self._connection
        try:
            connection.send(octets)
            before_final_dot()
        except BaseException:
            connection.broken = True  # what was sent so far must never get its dot
            raise
        connection.wire.be_patient(FINAL_DOT_TIMEOUT)
        try:
            connection.send(b".\r\n")
            reply = connection.reply()
        except (Unreachable, ProtocolViolation) as exc:
            connection.broken = True
            raise OutcomeUnknown(
                "The connection broke after the message was out; the server may have taken it.", reply=exc.reply
            ) from exc
        if 300 <= reply.code < 400:
            connection.broken = True
            raise OutcomeUnknown("The server's answer to the message means nothing.", reply=str(reply))
        return reply

    def _mail_command(self, sender: str, octets: bytes, recipients: Sequence[str]) -> str:
        """MAIL FROM with the parameters that are offered and needed: SIZE, BODY=8BITMIME, SMTPUTF8."""
        offered = self._connection.capabilities
        command = f"MAIL FROM:<{self._path(sender) if sender else ''}>"
        if "SIZE" in offered and octets:
            command += f" SIZE={len(octets)}"
        if not octets.isascii() and "8BITMIME" in offered:
            command += " BODY=8BITMIME"
        header = octets.partition(b"\r\n\r\n")[0]
        international = not all(self._path(address).isascii() for address in (sender, *recipients) if address)
        if "SMTPUTF8" in offered and (international or not header.isascii()):
            command += " SMTPUTF8"
        return command

    def _path(self, address: str) -> str:
        """Return `address` as it goes between the angle brackets; the domain in ASCII where that is enough.

        Raises UnsafeArgument for what could end the path, Refused where SMTPUTF8 (RFC 6531) is needed and missing.
        """
        local, at, domain = address.rpartition("@")
        unsafe = any(not c.isprintable() or c in "<> " for c in domain) or any(not c.isprintable() for c in local)
        quoted = local.startswith('"') and local.endswith('"') and len(local) > 1
        if not at or not local or not domain or unsafe or (not quoted and any(c in '<> "' for c in local)):
            raise UnsafeArgument(f"{address[:100]!r} is not an address that mail can be sent to.")
        if domain.isascii() and local.isascii():
            return address
        if not local.isascii():
            if "SMTPUTF8" not in self._connection.capabilities:
                raise Refused(f"{address} has letters that this server cannot handle (it does not offer SMTPUTF8).")
            return address
        try:
            return f"{local}@{idna.encode(domain, uts46=True).decode('ascii')}"
        except idna.IDNAError as exc:
            raise UnsafeArgument(f"{address[:100]!r} is not an address that mail can be sent to.") from exc


def _expect_positive(reply: Reply) -> None:
    if not reply.positive:
        raise reply.failure("The server refused the sender.")


def _recipient_reply(address: str, reply: Reply) -> RecipientReply:
    return RecipientReply(address, reply.code, reply.enhanced, reply.text, accepted=reply.positive)


def _say_goodbye(connection: Connection) -> None:
    """QUIT and close; what goes wrong here is nobody's concern any more."""
    try:
        if not connection.broken:
            connection.wire.be_patient(min(connection.wire.timeout, QUIT_TIMEOUT))
            connection.ask("QUIT")
    except (MailError, OSError) as exc:
        logger.debug("The server did not take the goodbye: %s", exc)
    finally:
        connection.close()
