"""What the tests of receiving share: letters, a folder with a claim on its mailbox, and a way to store into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.models import Mailbox
from mailstore.models import Folder, SyncSchedule
from mailstore.packs import PackWriter
from mailstore.reading import read_message
from mailstore.writing import NO_UIDS, Claim, Stored, store_batch
from protocols.imap.fetching import FetchedMessage
from protocols.imap.plan import UidSet

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


@pytest.fixture
def schedule(mailbox: Mailbox) -> SyncSchedule:
    return SyncSchedule.objects.create(mailbox=mailbox, due_at=timezone.now())


@pytest.fixture
def claim(schedule: SyncSchedule) -> Claim:
    fence = SyncSchedule.objects.claim(schedule.pk, timezone.now())
    assert fence is not None
    return Claim(schedule.pk, fence)


@pytest.fixture
def inbox(mailbox: Mailbox) -> Folder:
    return make_folder(mailbox, "INBOX", special_use=Folder.SpecialUse.INBOX)


def make_folder(mailbox: Mailbox, name: str, **fields: object) -> Folder:
    return Folder.objects.create(mailbox=mailbox, name=name, raw_name=name.encode(), uidvalidity=7, **fields)


@pytest.fixture
def packs(claim: Claim) -> Iterator[PackWriter]:
    with PackWriter(claim.mailbox_pk, claim.fence) as writer:
        yield writer


Store = Callable[..., Stored]


@pytest.fixture
def store(inbox: Folder, claim: Claim, packs: PackWriter) -> Store:
    """`store(*fetched, folder=inbox, new_from=None)` reads and stores one batch."""

    def storing(
        *messages: FetchedMessage, folder: Folder = inbox, new_from: int | None = None, covered: UidSet = NO_UIDS
    ) -> Stored:
        read = [read_message(message, timezone.now()) for message in messages]
        return store_batch(folder, read, claim=claim, packs=packs, covered=covered, new_from=new_from)

    return storing
