"""One mail transaction: sender, recipients, message (RFC 5321, 3.3), in as few round trips as the server allows.

With PIPELINING (RFC 2920) the envelope goes out at once, with DATA as its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from protocols.errors import MailError, OutcomeUnknown, ProtocolViolation, Refused
from protocols.smtp import transfer
from protocols.smtp.connection import Connection
from protocols.smtp.envelope import ReportRequest, mail_command, rcpt_command
from protocols.smtp.octets import Content
from protocols.smtp.replies import RecipientReply, Reply
from protocols.smtp.transfer import Progress, UnknownChunking
from protocols.steps import StepName

BATCH: Final = 100  # commands in one pipelined go

#: What is known of servers that offer CHUNKING, by "host:port": whether one has taken a chunk, or did not know BDAT.
_knows_bdat: dict[str, bool] = {}


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be handed over. `recipients` may repeat themselves."""

    sender: str
    recipients: tuple[str, ...]
    content: Content
    reports: ReportRequest | None
    before_final_dot: Callable[[], object]
    on_refused: Callable[[Sequence[RecipientReply]], object]
    on_progress: Progress


def hand_over(connection: Connection, order: Order) -> list[RecipientReply]:
    """Carry out one transaction; return one reply per recipient, in order. Raises as `SmtpSession.submit` does."""
    try:
        outcome = _Transaction(connection, order, chunked=_takes_chunks(connection)).run()
    except UnknownChunking:
        _knows_bdat[connection.server] = False
        _resynchronise(connection)
        outcome = _Transaction(connection, order, chunked=False).run()
    return [outcome[address] for address in order.recipients]


def reset(connection: Connection) -> None:
    """Clear what stands of a transaction that did not come to its end."""
    if connection.in_transaction:
        connection.ask("RSET")
        connection.in_transaction = False


class _Transaction:
    """The envelope, then the message for those recipients that were accepted."""

    def __init__(self, connection: Connection, order: Order, *, chunked: bool) -> None:
        self._connection = connection
        self._order = order
        self._chunked = chunked
        self._outcome: dict[str, RecipientReply] = {}

    def run(self) -> dict[str, RecipientReply]:
        connection = self._connection
        usual_timeout = connection.wire.timeout
        commands, order = self._commands(), self._order
        mail = mail_command(order.sender, list(commands), order.content, connection.capabilities, order.reports)
        if not commands:
            return self._outcome
        data = self._offer(mail, commands)
        accepted = [address for address, reply in self._outcome.items() if reply.accepted]
        if connection.broken and data is None:
            self._all_closed()
        elif accepted:
            refused = tuple(answer for answer in self._outcome.values() if not answer.accepted)
            try:
                if refused:
                    self._tell(lambda: order.on_refused(refused))
                reply = self._send_message(data)
            except OutcomeUnknown as exc:
                exc.refused = refused
                raise
            self._outcome |= {address: RecipientReply.of(address, reply) for address in accepted}
        elif data is not None and data.code == 354:
            connection.broken = True  # it waits for a message to nobody: hanging up, it gets none
        if not connection.broken:
            connection.wire.be_patient(usual_timeout)
        return self._outcome

    def _commands(self) -> dict[str, str]:
        """RCPT by address; whom we cannot name to this server is refused here."""
        commands: dict[str, str] = {}
        for address in dict.fromkeys(self._order.recipients):
            try:
                commands[address] = rcpt_command(address, self._connection.capabilities, self._order.reports)
            except Refused as exc:
                self._outcome[address] = RecipientReply(address, exc.code, "", str(exc), accepted=False)
        return commands

    def _offer(self, mail: str, commands: dict[str, str]) -> Reply | None:
        """Send the envelope and note each answer; return that to DATA, None where it was not said yet.

        Raises Refused or Deferred when the sender is refused.
        """
        connection = self._connection
        pipelining = "PIPELINING" in connection.capabilities
        said = [("RSET", "")] if connection.in_transaction else []
        said += [(mail, ""), *((command, address) for address, command in commands.items())]
        if pipelining and not self._chunked:
            said.append(("DATA", ""))
        refused: Reply | None = None
        data: Reply | None = None
        for command, address, reply in self._exchange(said, BATCH if pipelining else 1):
            if address:
                self._outcome[address] = RecipientReply.of(address, reply)
                self._tell(lambda: self._order.on_progress(0))
            elif command == "DATA":
                data = reply
            elif command == mail:
                connection.in_transaction = reply.positive
                refused = None if reply.positive else reply
            elif connection.broken:
                refused = reply
            if refused is not None and not pipelining:
                break
        if refused is not None:
            if data is not None and data.code == 354:
                connection.broken = True  # it takes whatever follows for the message
            error = refused.failure("The server refused the sender.")
            error.step = StepName.SENDER
            raise error
        return data

    def _exchange(self, said: Sequence[tuple[str, str]], at_once: int) -> Iterator[tuple[str, str, Reply]]:
        """Say the commands, so many in one go, and yield each with its reply until the server closes."""
        connection = self._connection
        for start in range(0, len(said), at_once):
            group = said[start : start + at_once]
            connection.say(*(command for command, _ in group))
            for command, address in group:
                if connection.broken:
                    return
                if command == "DATA":
                    self._be_patient()
                yield command, address, connection.reply()
            if connection.broken:
                return

    def _all_closed(self) -> None:
        """A server that closes in the middle has taken nothing: its 421 holds for all it had not refused."""
        closing = next(reply for reply in self._outcome.values() if reply.code == 421)
        for address in self._order.recipients:
            known = self._outcome.get(address)
            if known is None or known.accepted:
                self._outcome[address] = RecipientReply(address, 421, closing.enhanced, closing.text, accepted=False)

    def _send_message(self, data: Reply | None) -> Reply:
        """Return the reply that holds for all accepted recipients."""
        connection, order = self._connection, self._order
        self._be_patient()
        if self._chunked:
            return self._send_chunks()
        reply = data or connection.ask("DATA")
        if reply.code == 354:
            return transfer.as_data(connection, order.content, order.before_final_dot, order.on_progress)
        if reply.positive:
            connection.broken = True
            raise ProtocolViolation("The server answered DATA with what is no go-ahead.", reply=str(reply))
        return reply

    def _tell(self, tell: Callable[[], object]) -> None:
        try:
            tell()
        except BaseException:
            self._connection.broken = True  # answers are still to come, or the go-ahead is out: nothing may follow
            raise

    def _send_chunks(self) -> Reply:
        connection, order = self._connection, self._order
        proven = _knows_bdat.get(connection.server, False)
        try:
            reply = transfer.as_chunks(
                connection, order.content, order.before_final_dot, order.on_progress, is_proven=proven
            )
        except MailError:
            if not proven:  # perhaps it is what made the line break: the next message does without
                _knows_bdat[connection.server] = False
            raise
        _knows_bdat[connection.server] = True
        return reply

    def _be_patient(self) -> None:
        wire = self._connection.wire
        wire.be_patient(max(transfer.DATA_TIMEOUT, wire.timeout))


def _takes_chunks(connection: Connection) -> bool:
    return "CHUNKING" in connection.capabilities and _knows_bdat.get(connection.server, True)


def _resynchronise(connection: Connection) -> None:
    """Get back in step with a server that took the first line of a chunk for a command, or did not."""
    connection.say("RSET")
    for _ in range(3):
        if connection.reply().positive:
            connection.in_transaction = False
            return
    connection.broken = True
    raise ProtocolViolation("The server offers CHUNKING and answers it with what nobody understands.")
