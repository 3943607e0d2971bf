"""Letters for the tests of receiving."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from accounts.models import Mailbox
from mailstore.models import Folder
from mailstore.packs import PackWriter
from mailstore.reading import Envelope, read_message
from mailstore.writing import Placed
from protocols.imap.fetching import FetchedMessage

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


def letter(
    number: int,
    *,
    subject: str = "",
    sender: str = "Carol Jones <carol@example.com>",
    to: str = "alice@example.org",
    answers: int | None = None,
    body: str = "Hello",
    extra: str = "",
) -> bytes:
    """A plain message whose Message-ID is <number@example.com>; `answers` is the number of another."""
    reply = f"In-Reply-To: <{answers}@example.com>\r\nReferences: <{answers}@example.com>\r\n" if answers else ""
    return (
        f"Message-ID: <{number}@example.com>\r\nFrom: {sender}\r\nTo: {to}\r\nSubject: {subject or f'Letter {number}'}"
        f"\r\nDate: Tue, 10 Mar 2026 12:00:00 +0000\r\n{reply}{extra}"
        f"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{body}\r\n"
    ).encode()


def fetched(uid: int, raw: bytes | None = None, *flags: str, at: datetime | None = None) -> FetchedMessage:
    """What the reader yields; without `raw` letter number `uid`, received `uid` minutes past noon."""
    raw = letter(uid) if raw is None else raw
    return FetchedMessage(uid, frozenset(flags), at or NOON + timedelta(minutes=uid), len(raw), raw)


def placed(packs: PackWriter, *messages: FetchedMessage) -> list[Placed]:
    """Messages as the writer takes them: octets in a pack, read."""
    return [
        (read_message(Envelope(*message_state(message)), message.raw), packs.append(message.raw))
        for message in messages
    ]


def message_state(message: FetchedMessage) -> tuple[int, frozenset[str], datetime | None, int]:
    return message.uid, message.flags, message.internal_date, message.size


def make_folder(mailbox: Mailbox, name: str, **fields: object) -> Folder:
    return Folder.objects.create(mailbox=mailbox, name=name, raw_name=name.encode(), uidvalidity=7, **fields)
