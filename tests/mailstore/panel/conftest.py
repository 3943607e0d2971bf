"""Mail in the store, written as a sync writes it, and people with every kind of right to it."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from email.message import EmailMessage

import pytest
from django.utils import timezone

from accounts.models import Mailbox, MailboxGrant
from mailstore.models import LEASE, Folder, Message, SyncSchedule
from mailstore.packs import PackWriter
from mailstore.writing import Claim, store_batch
from organizations.models import Organization, User
from protocols.imap.fetching import FetchedMessage
from tests.conftest import person
from tests.mailstore.receiving.letters import placed

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

Deliver = Callable[..., Message]


@pytest.fixture
def deliver(db: None) -> Deliver:
    """`deliver(mailbox, raw, *flags, folder="INBOX", at=None)` stores a message and returns its row."""
    uids = itertools.count(1)

    def store(
        mailbox: Mailbox,
        raw: bytes | EmailMessage,
        *flags: str,
        folder: str = "INBOX",
        at: datetime | None = None,
    ) -> Message:
        octets = raw if isinstance(raw, bytes) else raw.as_bytes()
        now = timezone.now()
        SyncSchedule.objects.get_or_create(mailbox=mailbox, defaults={"due_at": now})
        SyncSchedule.objects.filter(mailbox=mailbox).update(fence=1, leased_until=now + LEASE)
        use = {"INBOX": "inbox", "Sent": "sent"}.get(folder, "")
        place, _ = Folder.objects.get_or_create(
            mailbox=mailbox,
            raw_name=folder.encode(),
            defaults={"name": folder, "uidvalidity": 7, "special_use": use, "synced_at": now, "delimiter": "/"},
        )
        fetched = FetchedMessage(next(uids), frozenset(flags), at or now - timedelta(minutes=5), len(octets), octets)
        with PackWriter(mailbox.pk, 1) as packs:
            store_batch(place, placed(packs, fetched), claim=Claim(mailbox.pk, 1), packs=packs)
        SyncSchedule.objects.filter(mailbox=mailbox).update(leased_until=None, finished_at=now)
        return Message.objects.get(folder=place, uid=fetched.uid)

    return store


def mail(subject: str = "Hello", text: str = "Good morning", **headers: str) -> EmailMessage:
    """A plain message; headers are given with underscores: `Message_ID="<1@example.com>"`."""
    message = EmailMessage()
    values = {"From": "Carol Jones <carol@example.com>", "To": "alice@example.org", "Subject": subject}
    values |= {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in values.items():
        message[name] = value
    message.set_content(text)
    return message


def html_mail(html: str, subject: str = "Hello", **headers: str) -> EmailMessage:
    """A message with HTML only, as far as a reader is concerned."""
    message = mail(subject, "plain", **headers)
    message.add_alternative(html, subtype="html")
    return message


def mail_with_files(**headers: str) -> EmailMessage:
    """HTML with an image inside, a PDF, and an HTML file."""
    message = html_mail('<p>See <img src="cid:logo@example.com"></p>', "Files", **headers)
    html = message.get_payload()[1]
    html.add_related(PIXEL, "image", "png", cid="<logo@example.com>", filename="logo.png")
    message.add_attachment(b"%PDF-1.4 x", maintype="application", subtype="pdf", filename="Rechnung März.pdf")
    message.add_attachment("<script>alert(1)</script>", subtype="html", filename="page.html")
    return message


@pytest.fixture
def cast(
    shared_mailbox: Mailbox,
    organization: Organization,
    administrator: User,
    alice: User,
    bob: User,
    charlie: User,
    dana: User,
) -> dict[str, User]:
    """Everybody who may come to `shared_mailbox` or to alice's own `mailbox`, by what they hold on the shared one."""
    people = {"all": alice, "access": bob, "nothing": charlie, "administrator": administrator, "elsewhere": dana}
    for name, ticks in {
        "send": {"may_send": True},
        "setup": {"may_setup": True},
        "ended": {"may_access": True, "may_send": True, "ends_at": timezone.now() - timedelta(seconds=1)},
    }.items():
        people[name] = person(organization, name.title())
        MailboxGrant.objects.create(mailbox=shared_mailbox, user=people[name], **ticks)
    return people
