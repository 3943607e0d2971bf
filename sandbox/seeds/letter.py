"""A letter: one message before it becomes octets."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from sandbox.seeds.cast import Contact

UTF8: Final = "utf-8"


@dataclass(frozen=True, slots=True)
class Attachment:
    """content_id: given for a picture that the HTML shows inline."""

    filename: str
    content_type: str
    data: bytes
    content_id: str = ""


@dataclass(slots=True)
class Letter:
    """One message of the seeded mail.

    at:       Unix time it was sent.
    parent:   the letter it answers.
    raw:      octets written by hand, instead of everything that would be composed.
    readers:  keys of the residents who get a copy although no address names them (a list, a blind copy).
    unread, flagged: of the copies in an INBOX. folders: resident's key -> where this copy is kept.
    headers:  more header fields.
    """

    at: int
    sender: Contact
    to: tuple[Contact, ...]
    subject: str
    text: str
    cc: tuple[Contact, ...] = ()
    html: str = ""
    charset: str = UTF8
    parent: Letter | None = None
    attachments: tuple[Attachment, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    readers: tuple[str, ...] = ()
    folders: dict[str, str] = field(default_factory=dict)
    unread: bool = False
    flagged: bool = False
    draft: bool = False
    raw: bytes = b""

    @property
    def message_id(self) -> str:
        """The same for the same letter at every first start."""
        seed = f"{self.sender.address} {self.subject} {self.text}"
        digest = hashlib.sha256(seed.encode()).hexdigest()[:20]
        return f"<{digest}@{self.sender.domain}>"

    @property
    def ancestors(self) -> list[Letter]:
        """What it answers, oldest first."""
        found: list[Letter] = []
        letter = self.parent
        while letter is not None:
            found.append(letter)
            letter = letter.parent
        return found[::-1]
