"""Handing messages to a submission server, recipient by recipient (RFC 5321, RFC 6409)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from protocols.credentials import Credentials
from protocols.endpoint import Endpoint
from protocols.errors import MailError, Refused
from protocols.network import Dialer
from protocols.smtp import opening
from protocols.smtp.authentication import log_in
from protocols.smtp.connection import Connection
from protocols.smtp.envelope import Notify, ReportRequest, Returned, mail_command
from protocols.smtp.octets import Content, Raw
from protocols.smtp.replies import RecipientReply
from protocols.smtp.transaction import Order, hand_over, reset
from protocols.smtp.transfer import Progress
from protocols.stepping import watched
from protocols.steps import Observer, StepName, ignore
from protocols.tls import SYSTEM_TRUST, TlsTrust
from protocols.transcript import Transcript

__all__ = ["Notify", "Raw", "RecipientReply", "ReportRequest", "Returned", "SmtpSession", "open_session"]

logger = logging.getLogger(__name__)

QUIT_TIMEOUT: Final = 3.0  # seconds


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
                log_in(connection, credentials)
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
            command = mail_command(address, (), None, self._connection.capabilities, None)
            reset(self._connection)
            reply = self._connection.ask(command)
            step.detail = str(reply)
            if not reply.positive:
                raise reply.failure(f"The server does not let this login send as {address}.")
            self._connection.ask("RSET")

    def submit(
        self,
        sender: str,
        recipients: Sequence[str],
        raw: Raw,
        *,
        before_final_dot: Callable[[], object],
        on_refused: Callable[[Sequence[RecipientReply]], object] = lambda replies: None,
        reports: ReportRequest | None = None,
        on_progress: Progress = lambda octets: None,
    ) -> list[RecipientReply]:
        """Send one message and return one reply per recipient, in their order.

        sender:           may be empty (the null reverse-path).
        raw:              in one piece, or blocks that can be walked more than once; takes the memory of one chunk.
        before_final_dot: runs before the octets leave that make the message complete: after it the message may be on
                          its way, before it certainly not. If it raises, nothing is sent.
        on_refused:       told of those who were refused by themselves while others were not, before any of the octets
                          leave; if it raises, nothing is sent.
        reports:          which delivery reports to ask for, where the server offers that (RFC 3461).
        on_progress:      told how many octets are out, at each answered recipient and each block; may raise to stop.

        Raises OutcomeUnknown when the line is lost between the final dot and its reply; Refused or Deferred when the
        sender or the message as a whole is refused before any recipient; Unreachable when the line breaks earlier.
        """
        content = Content(raw)
        if self.size_limit and content.size > self.size_limit:
            raise Refused(
                f"The message has {content.size} octets; this server takes at most {self.size_limit}.",
                reply=f"A message of {content.size} octets exceeds SIZE {self.size_limit}.",
            )
        order = Order(sender, tuple(recipients), content, reports, before_final_dot, on_refused, on_progress)
        return hand_over(self._connection, order)


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
