"""A mailbox on the real Dovecot, with an independent client (the standard library's) to change and to inspect it."""

from __future__ import annotations

import imaplib
import re
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from accounts.models import Mailbox
from mailstore import syncing
from mailstore.models import Folder, Message, SyncSchedule
from tests.mailstore.receiving.letters import letter


@dataclass
class Account:
    """One user of the server, and our mailbox for it."""

    mailbox: Mailbox
    client: imaplib.IMAP4

    def deliver(self, raw: bytes, folder: str = "INBOX", *, flags: str = "", at: datetime | None = None) -> None:
        date = imaplib.Time2Internaldate((at or timezone.now()).timestamp())
        crlf = raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        check(self.client.append(f'"{folder}"', f"({flags})", date, crlf))

    def deliver_letters(self, *numbers: int, folder: str = "INBOX") -> None:
        for number in numbers:
            self.deliver(letter(number), folder)

    def store(self, uids: str, change: str, flags: str, folder: str = "INBOX") -> None:
        self.select(folder)
        check(self.client.uid("STORE", uids, change, f"({flags})"))
        self.unselect()

    def expunge(self, uids: str, folder: str = "INBOX") -> None:
        self.select(folder)
        check(self.client.uid("STORE", uids, "+FLAGS", r"(\Deleted)"))
        check(self.client.expunge())
        self.unselect()

    def select(self, folder: str) -> None:
        check(self.client.select(f'"{folder}"'))

    def unselect(self) -> None:
        check(self.client.unselect())

    def command(self, name: str, *arguments: str) -> None:
        check(getattr(self.client, name)(*(f'"{argument}"' for argument in arguments)))

    def everything(self) -> dict[str, list[str]]:
        """What a client could see of every folder: flags, dates, sizes and octets, unseen messages left unseen."""
        seen: dict[str, list[str]] = {}
        _, lines = self.client.list()
        for line in lines:
            name = re.search(rb'"?([^" ]+)"?$', line)[1].decode()
            check(self.client.select(f'"{name}"', readonly=True))
            _, found = self.client.uid("FETCH", "1:*", "(FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")
            _, unseen = self.client.uid("SEARCH", "UNSEEN")
            lasting = re.sub(r" ?\\+Recent", "", repr(found))  # the session that asks first sees it, whoever that is
            seen[name] = [lasting, repr(unseen)]
            self.unselect()
        return seen

    def sync(self) -> SyncSchedule:
        """Make the mailbox due, claim it and sync it, as a worker does."""
        schedule, _ = SyncSchedule.objects.get_or_create(mailbox=self.mailbox, defaults={"due_at": timezone.now()})
        SyncSchedule.objects.filter(pk=schedule.pk).update(due_at=timezone.now())
        fence = SyncSchedule.objects.claim(self.mailbox.pk, timezone.now())
        assert fence is not None
        syncing.sync(self.mailbox.pk, fence)
        self.mailbox.refresh_from_db()
        schedule.refresh_from_db()
        return schedule

    def folder(self, name: str = "INBOX") -> Folder:
        return Folder.objects.get(mailbox=self.mailbox, name=name)

    def uids(self, name: str = "INBOX") -> list[int]:
        """The UIDs that a reader sees."""
        live = Message.objects.live().filter(folder__mailbox=self.mailbox, folder__name=name)
        return sorted(live.values_list("uid", flat=True))

    def subjects(self, name: str = "INBOX") -> list[str]:
        live = Message.objects.live().filter(folder__mailbox=self.mailbox, folder__name=name)
        return sorted(live.values_list("subject", flat=True))


def check(answer: tuple[str, object]) -> None:
    assert answer[0] == "OK", answer
