"""The sandbox's mailboxes as another mail program sees them: without the product in between."""

from __future__ import annotations

import email
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import default

from imapclient import IMAPClient

from tests.servers.product import Product


class SandboxMail:
    """Looks only: every folder is opened by EXAMINE."""

    def __init__(self, product: Product) -> None:
        self.port = int((product.state / "sandbox" / "ports").read_text().split()[0])
        self.password = product.sandbox_password

    @contextmanager
    def folder(self, address: str, name: str) -> Iterator[IMAPClient]:
        with IMAPClient("127.0.0.1", self.port, ssl=False, timeout=10) as client:
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
