"""A mailbox on some server, with an independent client (IMAPClient) to change and to inspect it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

from accounts.models import Mailbox
from mailstore import syncing
from mailstore.models import Folder, Message, SyncSchedule
from mailstore.packs import read_raw
from tests.mailstore.receiving.letters import letter
from tests.servers.imap_servers import ImapServer


@dataclass
class Account:
    """One user of `server`, and our mailbox for it.

    Folder names are without the server's prefix; messages are named by their place in the folder, 1 the oldest.
    """

    server: ImapServer
    mailbox: Mailbox
    client: IMAPClient

    def path(self, name: str) -> str:
        """The server's name of one of the user's own folders; levels in `name` are separated by "/"."""
        return name if name == "INBOX" else self.server.prefix + name.replace("/", self.server.delimiter)

    def deliver(
        self, raw: bytes, folder: str = "INBOX", *, flags: Iterable[str] = (), at: datetime | None = None
    ) -> None:
        self.client.append(self.path(folder), raw, list(flags), at)

    def deliver_letters(self, *numbers: int, folder: str = "INBOX") -> None:
        for number in numbers:
            self.deliver(letter(number), folder)

    def create(self, folder: str) -> None:
        self.client.create_folder(self.path(folder))

    def rename(self, old: str, new: str) -> None:
        self.client.rename_folder(self.path(old), self.path(new))

    def delete(self, folder: str) -> None:
        self.client.delete_folder(self.path(folder))

    def flag(self, places: list[int], *flags: str, folder: str = "INBOX", remove: bool = False) -> None:
        self.client.select_folder(self.path(folder))
        (self.client.remove_flags if remove else self.client.add_flags)(self._uids(places), flags)
        self.leave()

    def expunge(self, places: list[int], folder: str = "INBOX") -> None:
        self.client.select_folder(self.path(folder))
        self.client.delete_messages(self._uids(places))
        self.client.expunge()
        self.leave()

    def move(self, places: list[int], source: str, target: str) -> None:
        self.client.select_folder(self.path(source))
        uids = self._uids(places)
        self.client.copy(uids, self.path(target))
        self.client.delete_messages(uids)
        self.client.expunge()
        self.leave()

    def _uids(self, places: list[int]) -> list[int]:
        uids = sorted(self.client.search("ALL"))
        return [uids[place - 1] for place in places]

    def leave(self) -> None:
        """Leave the open folder without removing anything from it."""
        if self.client.has_capability("UNSELECT"):
            self.client.unselect_folder()
            return
        self.client.select_folder("INBOX", readonly=True)
        with suppress(IMAPClientError):  # pymap does not close what is read-only; Courier appends to nothing then
            self.client.close_folder()

    def on_server(self) -> dict[str, dict[int, tuple[str, frozenset[str]]]]:
        """Hash and flags of every message, by folder (the server's name) and UID."""
        seen: dict[str, dict[int, tuple[str, frozenset[str]]]] = {}
        for flags, _, listed in self.client.list_folders():
            name = "NIL" if listed is None else listed  # pymap does not quote it
            if {rb"\noselect", rb"\nonexistent"} & {flag.lower() for flag in flags}:
                continue
            if not self.client.select_folder(name, readonly=True)[b"EXISTS"]:
                seen[name] = {}
                continue
            fetched = self.client.fetch(self.client.search("ALL"), ["FLAGS", "BODY.PEEK[]"])
            seen[name] = {
                uid: (hashlib.sha256(found[b"BODY[]"]).hexdigest(), _lasting(found[b"FLAGS"]))
                for uid, found in fetched.items()
            }
        self.leave()
        return seen

    def stored(self) -> dict[str, dict[int, tuple[str, frozenset[str]]]]:
        """The same, as our store has it."""
        seen: dict[str, dict[int, tuple[str, frozenset[str]]]] = {
            folder.name: {} for folder in self.mailbox.folders.filter(vanished_at=None, is_selectable=True)
        }
        for message in Message.objects.live().filter(mailbox=self.mailbox).select_related("folder"):
            assert message.uidvalidity == message.folder.uidvalidity
            assert message.uid not in seen[message.folder.name]
            octets = hashlib.sha256(read_raw(message, verify=True)).hexdigest()
            seen[message.folder.name][message.uid] = (octets, _flags(message))
        return seen

    def sync(self) -> SyncSchedule:
        """Make the mailbox due, claim it and sync it, as a worker does."""
        now = timezone.now()
        SyncSchedule.objects.filter(mailbox=self.mailbox).update(due_at=now)
        fence = SyncSchedule.objects.claim(self.mailbox.pk, now)
        assert fence is not None
        syncing.sync(self.mailbox.pk, fence)
        self.mailbox.refresh_from_db()
        return SyncSchedule.objects.get(mailbox=self.mailbox)

    def assert_in_line(self) -> None:
        """What we show is what the server has: every folder, UID, octet and flag."""
        assert self.stored() == self.on_server()

    def folder(self, name: str = "INBOX") -> Folder:
        return self.mailbox.folders.get(name=self.path(name))

    def messages(self, name: str = "INBOX") -> dict[int, int]:
        """Primary key by UID of the messages that a reader sees."""
        return dict(Message.objects.live().filter(folder=self.folder(name)).values_list("uid", "pk"))

    def try_create(self, name: str) -> bool:
        """Create a folder; False where this server takes no such name."""
        try:
            self.create(name)
        except IMAPClientError:
            return False
        return True

    def try_delete(self, name: str) -> bool:
        """Delete a folder; False where this server keeps it."""
        try:
            self.delete(name)
        except IMAPClientError:
            return False
        return True

    def try_deliver(self, raw: bytes) -> bool:
        """Append a message; False where this server takes no such message."""
        try:
            self.deliver(raw)
        except IMAPClientError:
            return False
        return True


def _lasting(flags: Iterable[bytes]) -> frozenset[str]:
    """Without Recent, which tells of a session, and Deleted, which we do not show."""
    return frozenset(flag.decode() for flag in flags if flag.lower() not in (rb"\recent", rb"\deleted"))


def _flags(message: Message) -> frozenset[str]:
    system = {
        r"\Seen": message.is_seen, r"\Flagged": message.is_flagged,
        r"\Answered": message.is_answered, r"\Draft": message.is_draft,
    }  # fmt: skip
    return frozenset([flag for flag, is_set in system.items() if is_set] + list(message.keywords))
