"""The sandbox as another mail program sees it: without the product in between."""

from __future__ import annotations

import email
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import default

from imapclient import IMAPClient

from tests.servers.product import Product


class SandboxMail:
    """Looks only: every folder is opened by EXAMINE, and no message is submitted."""

    def __init__(self, product: Product) -> None:
        self.imap_port, self.smtp_port = map(int, (product.state / "sandbox" / "ports").read_text().split())
        self.password = product.sandbox_password

    @contextmanager
    def folder(self, address: str, name: str) -> Iterator[IMAPClient]:
        with IMAPClient("127.0.0.1", self.imap_port, ssl=False, timeout=10) as client:
            client.login(address, self.password)
            client.select_folder(name, readonly=True)
            yield client

    def count(self, address: str, name: str, words: str) -> int:
        """How many messages of a folder say `words` in their body."""
        with self.folder(address, name) as client:
            return len(client.search(["BODY", words]))

    def attachment(self, address: str, subject: str, filename: str) -> bytes:
        """The octets of an attachment in INBOX, decoded by the standard library."""
        with self.folder(address, "INBOX") as client:
            for data in client.fetch(client.search(["SUBJECT", subject]), ["BODY.PEEK[]"]).values():
                message = email.message_from_bytes(data[b"BODY[]"], policy=default)
                assert isinstance(message, EmailMessage)
                for part in message.iter_attachments():
                    if part.get_filename() == filename:
                        return bytes(part.get_payload(decode=True))
        raise LookupError(f"{address} has no {filename}")

    def takes(self, sender: str, recipient: str) -> bool:
        """Whether a message would be taken now: asked by RCPT, and no more."""
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=10) as client:
            client.login(sender, self.password)
            client.mail(sender)
            code, _ = client.rcpt(recipient)
            return code == 250
