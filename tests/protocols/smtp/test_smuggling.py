"""SMTP smuggling before real servers: whatever a message says and wherever, it stays one message (threat T3).

Postfix always, Exim and OpenSMTPD with `--all`. Debian's Postfix and OpenSMTPD take several spellings for an end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from protocols.endpoint import Endpoint, Security
from protocols.network import Dialer, DialPolicy
from protocols.smtp import transaction
from protocols.smtp.session import RecipientReply, SmtpSession, open_session
from tests.servers.processes import free_port, wait_until
from tests.servers.relays import RELAYS

#: Seven spellings that one server or another has taken for the end of a message (RFC 5321, 4.1.1.4 knows the first).
SPELLINGS = [b"\r\n.\r\n", b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\n.\r"]
SMUGGLED = (
    b"MAIL FROM:<ceo@example.org>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nPay at once."
)
MIXED = (
    b"Subject: Mixed\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\n%b\r\n\r\nHello\r\n%b\r\n--b--\r\n"
)
#: What follows the first header field, with {} where the attacker's text stands, as no builder of ours would write it.
PLACES = {
    "body text": b"Subject: Text\r\nContent-Type: text/plain\r\n\r\nHello\r\n{}\r\nBye\r\n",
    "html": b"Subject: HTML\r\nContent-Type: text/html\r\n\r\n<p>Hello</p>\r\n{}\r\n<p>Bye</p>\r\n",
    "attachment": MIXED % (b"Content-Type: application/octet-stream\r\nContent-Disposition: attachment", b"{}"),
    "header": b"Subject: Header {}\r\nX-Rest: of it\r\n\r\nHello\r\n",
    "forwarded raw mail": MIXED % (b"Content-Type: message/rfc822", b"Subject: inner\r\n\r\n{}\r\n"),
    "calendar": MIXED % (b"Content-Type: text/calendar; method=REQUEST", b"BEGIN:VCALENDAR\r\n{}\r\nEND:VCALENDAR"),
}


class Kept:
    """Where the servers hand on what they took: each message with its envelope."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.envelopes.append(envelope)
        return "250 2.0.0 kept"

    def of(self, recipient: str) -> list[Envelope]:
        return [envelope for envelope in self.envelopes if recipient in envelope.rcpt_tos]


@contextmanager
def keeping() -> Iterator[tuple[Kept, int]]:
    kept, port = Kept(), free_port()
    controller = Controller(kept, hostname="127.0.0.1", port=port, decode_data=False)
    controller.start()
    try:
        yield kept, port
    finally:
        controller.stop()


@contextmanager
def session_with(port: int) -> Iterator[SmtpSession]:
    endpoint = Endpoint("127.0.0.1", port, Security.NONE, 20)
    with open_session(endpoint, None, dialer=Dialer(DialPolicy(endpoints=frozenset({("127.0.0.1", port)})))) as session:
        yield session


def submit(session: SmtpSession, recipient: str, raw: bytes) -> RecipientReply:
    [reply] = session.submit("sender@example.org", [recipient], raw, before_final_dot=lambda: None)
    return reply


@pytest.mark.proves("T3", "I8")
@pytest.mark.parametrize("chunks", [True, False], ids=["chunks", "DATA"])
@pytest.mark.parametrize(
    "maker",
    [
        "postfix",
        pytest.param("exim", marks=pytest.mark.slow),
        pytest.param("opensmtpd", marks=pytest.mark.slow),
    ],
)
def test_no_spelling_of_the_end_makes_a_second_message_in_any_place(
    maker: str, chunks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with keeping() as (kept, next_port), RELAYS[maker](next_port) as port:
        monkeypatch.setattr(transaction, "_knows_bdat", {} if chunks else {f"127.0.0.1:{port}": False})
        with session_with(port) as session:
            expected = 0
            for place, text in PLACES.items():
                for number, end in enumerate(SPELLINGS):
                    attack = b"Before" + end + SMUGGLED + end + b"After"
                    mark = b"X-Case: %s %d\r\n" % (place.encode(), number)
                    reply = submit(session, "recipient@example.org", mark + text.replace(b"{}", attack))
                    # OpenSMTPD refuses a header that is none, which is as good.
                    assert reply.accepted or (maker, place, reply.code) == ("opensmtpd", "header", 550), reply
                    expected += reply.accepted
            if chunks and maker != "opensmtpd":
                assert transaction._knows_bdat[f"127.0.0.1:{port}"], "it took chunks"
        with session_with(port) as session:
            assert submit(session, "honest@example.org", b"Subject: honest\r\n\r\nThe last one\r\n").accepted
        wait_until(lambda: len(kept.of("recipient@example.org")) >= expected, "delivery", seconds=60)
        wait_until(lambda: kept.of("honest@example.org"), "delivery", seconds=60)
    assert kept.of("victim@example.org") == []
    assert len(kept.envelopes) == expected + 1
    whole = [bytes(envelope.content or b"") for envelope in kept.of("recipient@example.org")]
    assert len({raw.split(b"X-Case: ")[1].split(b"\r\n")[0] for raw in whole}) == expected
    assert all(b"Pay at once." in raw and b"After" in raw for raw in whole)
