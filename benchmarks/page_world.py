"""An organization with many mailboxes, written as a sync writes it; its reader sees most of them through a role."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox, MailboxGrant
from benchmarks.asking import ask, milliseconds
from benchmarks.page_times import LIMIT, Times
from delivery.models import OutboxMessage, OutboxRecipient
from mailstore.models import LEASE, Folder, Message, SyncSchedule
from mailstore.packs import PackWriter
from mailstore.reading import Envelope, read_message
from mailstore.writing import Claim, store_batch
from organizations.models import Organization, Role, User
from organizations.roles import add_member

BATCH = 1_000
LARGEST = 0.1  # of all messages lie in the reader's own mailbox
SMALL = (10, 400)  # mailboxes and messages of the small store
SENT_PER_MAILBOX = 20
SYLLABLES = ["ka", "lo", "mi", "ren", "ta", "vo", "sel", "dur", "ni", "pa", "gor", "es", "tu", "bel", "han", "ri"]


def measure(rounds: int, seed: int, mailboxes: int, messages: int) -> dict[str, Times]:
    """Queries with a small store, then fill it, then time: every page once per round, in turn."""
    call_command("migrate", verbosity=0)
    world = World(seed)
    world.grow(*SMALL)
    small = {page: _queries(world.client, url) for page, url in world.pages().items()}
    world.grow(mailboxes, messages)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    times: dict[str, Times] = {}
    for page, url in world.pages().items():
        times[page] = {"ms": [], "processor": [], "queries": [small[page], _queries(world.client, url)]}
    for _ in range(rounds):
        for page, url in world.pages().items():
            wall, processor = milliseconds(world.client, url)
            times[page]["ms"].append(wall)
            times[page]["processor"].append(processor)
    return times


class World:
    """Grows in place, so that the small and the full store differ in size only."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.words = ["".join(self.chance.choices(SYLLABLES, k=self.chance.randint(1, 4))) for _ in range(20_000)]
        self.organization = Organization.objects.create(name="Benchmark")
        self.reader = self._person("reader")
        self.role = Role.objects.create(organization=self.organization, name="Desk")
        add_member(self.role, self.reader, added_by=None)
        self.owner = self._person("owner")
        self.mailboxes: list[Mailbox] = []
        self.client = Client()
        self.client.force_login(self.reader)

    def pages(self) -> dict[str, str]:
        """Name -> address. All are asked for by the reader."""
        inbox = Folder.objects.get(mailbox=self.mailboxes[0])
        message = Message.objects.filter(folder=inbox).latest("pk")
        word = self.words[self.chance.randrange(50, 200)]
        return {
            LIMIT: reverse("account_logout"),
            "settings page": reverse("email-settings"),
            "conversation list": reverse("mailstore:folder", args=[inbox.pk]),
            "conversation": reverse("mailstore:conversation", args=[message.conversation_id]),
            "message page": reverse("mailstore:message", args=[message.pk]),
            "search, one word": f"{reverse('mailstore:search')}?q={word}",
            "search, sender and word": f"{reverse('mailstore:search')}?q=from:carol+{word}",
            "email log": reverse("delivery:email-log"),
        }

    def grow(self, mailboxes: int, messages: int) -> None:
        """Up to so many of each."""
        for number in range(len(self.mailboxes), mailboxes):
            self._add_mailbox(number)
        stored = Message.objects.count()
        own = int((messages - stored) * LARGEST)
        self._receive(self.mailboxes[0], own)
        others = self.mailboxes[1:]
        share, rest = divmod(messages - stored - own, len(others))
        for position, mailbox in enumerate(others):
            self._receive(mailbox, share + (position < rest))

    def _person(self, name: str) -> User:
        return User.objects.create_user(f"{name}@example.org", None, organization=self.organization, name=name.title())

    def _add_mailbox(self, number: int) -> None:
        """The first is the reader's own; of the others, four of five are shared with the reader's role."""
        mailbox = Mailbox.objects.create(
            organization=self.organization,
            owner=self.reader if number == 0 else self.owner,
            address=f"box{number}@example.org",
            display_name=f"Box {number}",
            imap_host="imap.example.org",
            smtp_host="smtp.example.org",
            is_shared=number > 0,
        )
        if number % 5:
            MailboxGrant.objects.create(mailbox=mailbox, role=self.role, may_access=True, may_send=number % 50 == 1)
        now = timezone.now()
        SyncSchedule.objects.update_or_create(mailbox=mailbox, defaults={"due_at": now, "finished_at": now})
        self.mailboxes.append(mailbox)
        self._send(mailbox)

    def _receive(self, mailbox: Mailbox, messages: int) -> None:
        now = timezone.now()
        SyncSchedule.objects.filter(mailbox=mailbox).update(fence=1, leased_until=now + LEASE)
        folder, _ = Folder.objects.get_or_create(
            mailbox=mailbox, raw_name=b"INBOX",
            defaults={"name": "INBOX", "uidvalidity": 1, "special_use": "inbox", "synced_at": now, "delimiter": "/"},
        )  # fmt: skip
        first = Message.objects.filter(folder=folder).count() + 1
        letters = self._letters(mailbox, first, messages)
        with PackWriter(mailbox.pk, 1) as packs:
            while batch := list(islice(letters, BATCH)):
                placed = [(read_message(envelope, raw), packs.append(raw)) for envelope, raw in batch]
                store_batch(folder, placed, claim=Claim(mailbox.pk, 1), packs=packs)
        SyncSchedule.objects.filter(mailbox=mailbox).update(leased_until=None)

    def _letters(self, mailbox: Mailbox, first: int, count: int) -> Iterator[tuple[Envelope, bytes]]:
        """Plain letters of 20 to 200 words; four of ten answer an earlier one."""
        chance, now = self.chance, timezone.now()
        for uid in range(first, first + count):
            topic, subject = "", self._text(5).capitalize()
            if uid > first and chance.random() < 0.4:
                earlier = chance.randrange(max(first, uid - 200), uid)
                topic, subject = f"References: <{earlier}.{mailbox.pk}@example.com>\r\n", f"Re: {subject}"
            raw = (
                f"Message-ID: <{uid}.{mailbox.pk}@example.com>\r\n"
                f"From: Carol {self._text(1).title()} <carol{uid % 97}@example.com>\r\n"
                f"To: {mailbox.address}\r\nSubject: {subject}\r\n"
                f"Date: Tue, 10 Mar 2026 12:00:00 +0000\r\n{topic}"
                f"Content-Type: text/plain; charset=utf-8\r\n\r\n{self._text(chance.randint(20, 200))}\r\n"
            ).encode()
            flags = frozenset([r"\Seen"] if chance.random() < 0.8 else [])
            yield Envelope(uid, flags, now - timedelta(minutes=chance.randrange(500_000)), len(raw)), raw

    def _text(self, words: int) -> str:
        """The commoner words come first and far more often."""
        count = len(self.words)
        return " ".join(self.words[int(count ** self.chance.random()) - 1] for _ in range(words))

    def _send(self, mailbox: Mailbox) -> None:
        now = timezone.now()
        sent = OutboxMessage.objects.bulk_create(
            OutboxMessage(
                organization=self.organization,
                mailbox=mailbox,
                author=self.owner,
                sender=mailbox.address,
                submission_key=f"{mailbox.pk}-{number}",
                from_header=mailbox.address,
                to_header="bob@example.com",
                subject=self._text(4),
                message_id=f"<{number}.{mailbox.pk}@example.org>",
                size=25,
                created_at=now - timedelta(minutes=self.chance.randrange(100_000)),
            )
            for number in range(SENT_PER_MAILBOX)
        )
        OutboxRecipient.objects.bulk_create(
            OutboxRecipient(
                message=message, address="bob@example.com", state="sent", not_before=now, state_at=now, expires_at=now
            )
            for message in sent
        )


def _queries(client: Client, url: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        ask(client, url)
    return len(captured)
