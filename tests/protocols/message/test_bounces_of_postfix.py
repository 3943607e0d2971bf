"""Reports that a real Postfix writes, as they arrive: nothing of ours is quoted in them."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from protocols.message.bounces import classify
from protocols.message.reports import Action, Kind, Reason, RecipientReport, Report
from tests.servers.processes import free_port, wait_until
from tests.servers.relay import running_relay

SENDER = "alice@sender.example"
LARGEST = 20_000  # octets
REFUSALS = {
    "unknown": "550 5.1.1 User unknown in virtual mailbox table",
    "full": "552 5.2.2 Mailbox full",
    "blocked": "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using rbl.example",
    "later": "450 4.2.1 Mailbox temporarily disabled",
}


@dataclass
class Receiver:
    """The server behind Postfix: refuses some by name, and keeps what comes back to the sender."""

    reports: list[Report] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        refusal = REFUSALS.get(address.partition("@")[0])
        if refusal is None:
            envelope.rcpt_tos.append(address)
        return refusal or "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if envelope.rcpt_tos == [SENDER]:
            self.reports.append(classify(bytes(envelope.original_content or b"")))
        elif b"Subject: casino" in bytes(envelope.original_content or b""):
            return "554 5.7.1 Message rejected as spam"
        return "250 2.0.0 Ok"

    def told_of(self, address: str) -> tuple[Report, RecipientReport] | None:
        for report in list(self.reports):
            for recipient in report.recipients:
                if recipient.address == address:
                    return report, recipient
        return None


@pytest.fixture(scope="module")
def receiver() -> Iterator[tuple[Receiver, int]]:
    """What receives, and the port of the Postfix before it."""
    handler = Receiver()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port(), data_size_limit=LARGEST)
    controller.start()
    try:
        with running_relay(controller.port) as relay:
            yield handler, relay.port
    finally:
        controller.stop()


def told(
    receiver: tuple[Receiver, int], recipient: str, *, subject: str = "offer", size: int = 10
) -> tuple[Report, RecipientReport]:
    """Send a message, and return what comes back."""
    handler, port = receiver
    identifier = f"{recipient.partition('@')[0]}-{subject}@sender.example"
    raw = f"From: {SENDER}\r\nSubject: {subject}\r\nMessage-ID: <{identifier}>\r\n\r\n{'x' * 70}\r\n"
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as smtp:
        smtp.sendmail(SENDER, [recipient], raw + f"{'y' * 70}\r\n" * (size // 72))
    wait_until(lambda: handler.told_of(recipient), "report")
    found = handler.told_of(recipient)
    assert found is not None
    report, _ = found
    assert (report.original.message_id, report.original.subject) == (identifier, subject)
    return found


@pytest.mark.proves("I7")
@pytest.mark.parametrize(
    ("recipient", "kind", "reason", "status"),
    [
        ("unknown@receiver.example", Kind.HARD, Reason.USER_UNKNOWN, "5.1.1"),
        ("full@receiver.example", Kind.SOFT, Reason.MAILBOX_FULL, "5.2.2"),
        ("blocked@receiver.example", Kind.SOFT, Reason.BLOCKED, "5.7.1"),
        ("bob@gone.example", Kind.HARD, Reason.HOST_UNKNOWN, "5.1.2"),
    ],
)
def test_refused_recipients_are_told(receiver, recipient: str, kind: Kind, reason: Reason, status: str):
    _, told_recipient = told(receiver, recipient)
    assert (told_recipient.action, told_recipient.kind) == (Action.FAILED, kind)
    assert (told_recipient.reason, told_recipient.status) == (reason, status)


@pytest.mark.proves("I7")
@pytest.mark.parametrize("recipient", ["later@receiver.example", "bob@nowhere.example"])
def test_a_warning_of_a_delay_is_no_failure(receiver, recipient: str):
    _, delayed = told(receiver, recipient)
    assert delayed.action == Action.DELAYED
    assert not delayed.is_failure
    assert delayed.kind == Kind.SOFT


def test_a_message_over_the_size_of_the_next_server_is_told(receiver):
    _, refused = told(receiver, "bob@receiver.example", subject="large", size=2 * LARGEST)
    assert (refused.kind, refused.reason, refused.status) == (Kind.SOFT, Reason.MESSAGE_TOO_BIG, "5.3.4")


def test_a_refusal_after_the_data_is_told(receiver):
    _, refused = told(receiver, "carol@receiver.example", subject="casino")
    assert (refused.kind, refused.reason) == (Kind.SOFT, Reason.SPAM_DETECTED)
