"""The main job on other people's servers: mail read from Dovecot over TLS, the answer sent through Postfix."""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest
from imapclient import IMAPClient
from playwright.sync_api import Page, expect

from protocols.credentials import Credentials
from tests.servers.browser import message_box
from tests.servers.dovecot import Dovecot
from tests.servers.postfix import Postfix
from tests.servers.processes import wait_until
from tests.servers.product import Product, running_product
from tests.walks import doing

SUBJECT, QUESTION = "Delivery window for Thursday", "We can offer 8 to 10 or 14 to 16. Please choose."
ANSWER = "Eight to ten suits us."
ACCEPTED = re.compile(r"250 2\.0\.0 Ok: (\d+ bytes )?queued as")  # Postfix counts the octets of a BDAT (RFC 3030)


@pytest.fixture(scope="module")
def alice(dovecot: Dovecot) -> Credentials:
    return dovecot.new_user("alice")


@pytest.fixture(scope="module")
def bob(dovecot: Dovecot) -> Credentials:
    return dovecot.new_user("bob")


@pytest.fixture(scope="module")
def letter(dovecot: Dovecot, alice: Credentials, bob: Credentials) -> EmailMessage:
    """Waits unread in Alice's mailbox before the product knows of it."""
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = bob.username, alice.username, SUBJECT
    letter["Message-ID"] = "<window@example.org>"
    letter.set_content(QUESTION)
    with IMAPClient("127.0.0.1", dovecot.plain_port, ssl=False, timeout=10) as client:
        client.login(alice.username, alice.password.reveal())
        client.append("INBOX", letter.as_bytes())
    return letter


@pytest.fixture(scope="module")
def product(state_folder: Path, dovecot: Dovecot, postfix: Postfix, letter: EmailMessage) -> Iterator[Product]:
    """Set up as for internal servers: their network, their ports and their authorities are allowed."""
    authorities = state_folder / "authorities.pem"
    authorities.write_text(dovecot.ca_pem + postfix.ca_pem)
    with running_product(
        state_folder,
        EMAILSETTINGS_EXTRA_CA_FILE=str(authorities),
        EMAILSETTINGS_DIAL_NETWORKS="127.0.0.0/8",
        EMAILSETTINGS_DIAL_PORTS=f"{dovecot.tls_port},{postfix.submission_port}",
    ) as running:
        yield running


@pytest.mark.proves("D1", "E1")
def test_servers_typed_by_hand_connect(
    product: Product, tab: Page, dovecot: Dovecot, postfix: Postfix, alice: Credentials
):
    doing.sign_in(tab, product.url, product.email, product.password)
    doing.begin_to_connect(tab, product.url, alice.username)
    tab.get_by_role("button", name="Type the servers myself").click()
    for part, host, port, security in (
        ("Reading mail", "IMAP host", dovecot.tls_port, "TLS"),
        ("Sending mail", "SMTP host", postfix.submission_port, "STARTTLS"),
    ):
        server = tab.get_by_role("group", name=part)
        server.get_by_label(host).fill("127.0.0.1")
        server.get_by_label("Port").fill(str(port))
        server.get_by_text(security, exact=True).click()
        expect(server.get_by_role("radio", name=security, exact=True)).to_be_checked()
    tab.get_by_label("Password").fill(alice.password.reveal())
    tab.get_by_role("button", name="Connect", exact=True).click()
    expect(tab.get_by_role("heading", name=f"{alice.username} is connected")).to_be_visible(timeout=doing.SLOW)
    expect(tab.get_by_text("It can read and send.")).to_be_visible()


@pytest.mark.proves("E2", "G5")
def test_the_letter_is_read_and_the_server_has_noticed_nothing(tab: Page, dovecot: Dovecot, alice: Credentials):
    doing.download(tab)
    doing.open_conversation(tab, SUBJECT)
    expect(tab.locator("article.message .body.text").last).to_contain_text(QUESTION)
    with _folder(dovecot, alice, "INBOX") as client:
        flags = client.get_flags(client.search(["SUBJECT", SUBJECT]))
    assert list(flags.values()) == [(b"\\Recent",)], "neither read nor opened by SELECT, which takes \\Recent away"


@pytest.mark.proves("I1", "I2")
def test_the_answer_goes_through_postfix_and_the_log_has_its_words(tab: Page):
    tab.locator(".reply-bar").get_by_role("link", name="Reply").click()
    expect(tab.get_by_label("Subject")).to_have_value(f"Re: {SUBJECT}")
    message_box(tab).fill(ANSWER)
    doing.send(tab)
    expect(doing.verdict(tab)).to_contain_text("Sent", timeout=doing.SLOW)
    expect(doing.attempts(tab)).to_contain_text("TLS 1.3")
    expect(doing.servers_words(doing.attempts(tab))).to_contain_text(ACCEPTED)


@pytest.mark.proves("I6")
def test_it_arrives_once_as_an_answer_and_its_copy_lies_in_sent_once(
    tab: Page, dovecot: Dovecot, postfix: Postfix, alice: Credentials, bob: Credentials, letter: EmailMessage
):
    expect(doing.copy_in_sent(tab)).to_contain_text("Filed", timeout=doing.SLOW)
    wait_until(lambda: postfix.deliveries(bob.username), "delivery to Bob", seconds=60)
    assert postfix.deliveries(bob.username) == 1
    [answer] = _answers(dovecot, bob, "INBOX")
    [copy] = _answers(dovecot, alice, "Sent")
    assert answer["In-Reply-To"] == letter["Message-ID"]
    assert answer["Message-ID"] == copy["Message-ID"]
    submitted = answer.get_all("Received")[-1]
    assert "ESMTPSA" in submitted, "over TLS and signed in (RFC 3848)"


@contextmanager
def _folder(dovecot: Dovecot, owner: Credentials, name: str) -> Iterator[IMAPClient]:
    """Opened by EXAMINE."""
    with IMAPClient("127.0.0.1", dovecot.plain_port, ssl=False, timeout=10) as client:
        client.login(owner.username, owner.password.reveal())
        client.select_folder(name, readonly=True)
        yield client


def _answers(dovecot: Dovecot, owner: Credentials, folder: str) -> list[EmailMessage]:
    with _folder(dovecot, owner, folder) as client:
        found = client.fetch(client.search(["BODY", ANSWER]), ["BODY.PEEK[]"])
    return [email.message_from_bytes(each[b"BODY[]"], policy=default) for each in found.values()]
