"""SMTP smuggling before a real Postfix: whatever a message says, it stays one message (threat T3)."""

from __future__ import annotations

import imaplib
from collections.abc import Iterator

import pytest

from protocols.credentials import Credentials
from protocols.smtp.session import SmtpSession, open_session
from tests.servers.dovecot import Dovecot
from tests.servers.postfix import Postfix
from tests.servers.processes import wait_until

#: Seven spellings that one server or another has taken for the end of a message (RFC 5321, 4.1.1.4 knows the first).
SPELLINGS = [b"\r\n.\r\n", b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\n.\r"]


@pytest.fixture
def sender(dovecot: Dovecot) -> Credentials:
    return dovecot.new_user("sender")


@pytest.fixture
def session(postfix: Postfix, sender: Credentials) -> Iterator[SmtpSession]:
    with open_session(postfix.endpoint(), sender, dialer=postfix.dialer, trust=postfix.trust) as session:
        yield session


def received(dovecot: Dovecot, user: Credentials) -> list[bytes]:
    """Everything in INBOX, oldest first."""
    with imaplib.IMAP4("127.0.0.1", dovecot.plain_port, timeout=10) as imap:
        imap.login(user.username, user.password.reveal())
        imap.select("INBOX", readonly=True)
        _, found = imap.fetch("1:*", "(BODY.PEEK[])")
        return [part[1] for part in found if isinstance(part, tuple)]


@pytest.mark.proves("T3")
def test_no_spelling_of_the_end_makes_a_second_message(dovecot: Dovecot, postfix: Postfix, sender, session):
    recipient, victim = dovecot.new_user("recipient"), dovecot.new_user("victim")

    def submit(raw: bytes, to: Credentials) -> None:
        [reply] = session.submit(sender.username, [to.username], raw, before_final_dot=lambda: None)
        assert reply.accepted

    for number, end in enumerate(SPELLINGS):
        smuggled = (
            b"MAIL FROM:<ceo@example.org>\r\nRCPT TO:<%b>\r\nDATA\r\nSubject: smuggled\r\n\r\nPay at once."
            % victim.username.encode()
        )
        submit(b"Subject: %d\r\n\r\nBefore" % number + end + smuggled + end + b"After\r\n", recipient)
    submit(b"Subject: honest\r\n\r\nThe last one\r\n", victim)
    wait_until(lambda: postfix.deliveries(recipient.username) == len(SPELLINGS), "delivery")
    wait_until(lambda: postfix.deliveries(victim.username) >= 1, "delivery")
    whole = received(dovecot, recipient)
    assert len(whole) == len(SPELLINGS)
    assert all(b"Pay at once." in raw and b"After" in raw for raw in whole)
    [honest] = received(dovecot, victim)
    assert b"Subject: honest" in honest
