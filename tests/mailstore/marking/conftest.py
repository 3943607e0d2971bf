"""A mailbox on Dovecot whose letters are stored, and a worker that carries out what its reader does."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.utils import timezone

from mailstore import carrying_out, marking
from mailstore.models import Change, ChangeQueue, Folder, Message
from organizations.models import User
from tests.mailstore.receiving.conftest import account  # noqa: F401  a fixture
from tests.mailstore.receiving.server import Account
from tests.servers.dovecot import dovecot  # noqa: F401  a fixture
from tests.servers.warm import WarmProcess

Kind = Change.Kind
WORKER = """
from protocols.imap.session import ImapSession
from protocols.imap.changing import ChangeableFolder
if "MOVE" in {without}:
    offered = ImapSession.capabilities.fget
    ImapSession.capabilities = property(lambda self: offered(self) - {{"MOVE"}})
if "COPYUID" in {without}:
    placed = ChangeableFolder._placed
    ChangeableFolder._placed = lambda self, *arguments: (placed(self, *arguments), None)[1]
from mailstore.tasks import carry_out_changes
carry_out_changes({pk})
"""
Worker = Callable[..., int]


@dataclass
class Desk:
    """Somebody who reads the mailbox of `account` and does things with its mail."""

    account: Account
    reader: User

    def message(self, number: int) -> Message:
        return Message.objects.get(mailbox=self.account.mailbox, subject=f"Letter {number}")

    def keys(self, *numbers: int) -> list[int]:
        return [self.message(number).pk for number in numbers]

    def mark(self, *numbers: int, kind: Change.Kind = Kind.SEEN, wanted: bool = True) -> marking.Action:
        keys = self.keys(*numbers)
        return marking.mark(self.account.mailbox, keys, kind, wanted=wanted, by=self.reader, now=timezone.now())

    def move(self, *numbers: int, to: str | None) -> marking.Action:
        target = self.account.folder(to) if to else None
        return marking.move(self.account.mailbox, self.keys(*numbers), target, by=self.reader, now=timezone.now())

    def undo(self, action: marking.Action) -> marking.Action | None:
        return marking.undo(action.batch, by=self.reader, now=timezone.now())

    def carry_out(self) -> None:
        """What the next worker does, however long it takes until it comes."""
        ChangeQueue.objects.exclude(due_at=None).update(due_at=timezone.now(), leased_until=None)
        fence = ChangeQueue.objects.claim(self.account.mailbox.pk, timezone.now() + timedelta(seconds=1))
        if fence is not None:
            carrying_out.carry_out(self.account.mailbox.pk, fence)

    def problems(self) -> list[str]:
        return [change.problem for change in Change.objects.refused_for(self.reader)]

    def on_server(self, folder: str = "INBOX") -> dict[str, set[str]]:
        """Subject -> flags, as another client sees them. A subject that is there twice fails the test."""
        self.account.client.select(f'"{folder}"', readonly=True)
        _, found = self.account.client.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        self.account.unselect()
        seen: dict[str, set[str]] = {}
        for part in found:
            if isinstance(part, tuple):
                subject = part[1].decode().removeprefix("Subject:").strip()
                assert subject not in seen, f"{subject} is in {folder} twice"
                seen[subject] = set(re.search(rb"FLAGS \(([^)]*)\)", part[0])[1].decode().split()) - {r"\Recent"}
        return seen


@pytest.fixture
def desk(account: Account, alice: User, monkeypatch: pytest.MonkeyPatch) -> Desk:  # noqa: F811
    """Three letters in the INBOX, downloaded; all folders are followed. No worker comes before `carry_out`."""
    monkeypatch.setattr(marking, "nudge", lambda task, pk: None)
    account.mailbox.owner = alice
    account.mailbox.save(update_fields=["owner"])
    account.deliver_letters(1, 2, 3)
    account.command("create", "Archive")
    account.sync()
    Folder.objects.filter(name="Archive").update(special_use=Folder.SpecialUse.ARCHIVE)
    Folder.objects.filter(mailbox=account.mailbox).update(is_followed=True)
    account.sync()
    return Desk(account, alice)


@pytest.fixture
def run_worker(desk: Desk, warm_process: WarmProcess) -> Worker:
    """`run_worker(without, stop="", log="")`: carry out the changes in a process that is killed when it passes `stop`;
    return how it ended.
    """

    def run(without: str, *, stop: str = "", log: str = "") -> int:
        code = WORKER.format(pk=desk.account.mailbox.pk, without=repr(without))
        return warm_process.run(code, dials=[desk.account.mailbox.imap_port], stop=stop and f"{stop}:1", log=log)

    return run
