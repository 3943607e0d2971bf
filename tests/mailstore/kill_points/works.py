"""What is interrupted: a sync, the changes of readers, a comparison, a deletion. How it begins, and how it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from accounts.models import Mailbox
from mailstore import deletion, tasks
from mailstore.models import LEASE, ChangeQueue, Comparison, SyncSchedule, changes

MOMENT = timedelta(seconds=1)


class Work(Protocol):
    """lease:   how long nobody else may take it up, should its process die.
    on_server:  whether it changes what is on the mail server.
    gives_back: whether it gives its claim back when the database went away under it.
    """

    @property
    def lease(self) -> timedelta: ...

    @property
    def on_server(self) -> bool: ...

    @property
    def gives_back(self) -> bool: ...

    def begin(self, mailbox_pk: int) -> None:
        """As a process does it that was told of the mailbox."""

    def go_on(self, mailbox_pk: int) -> None:
        """As it is found by itself later: the queue knows nothing of it any more."""

    def is_free(self, now: datetime) -> bool:
        """Whether somebody could take it up at `now`."""

    def is_held(self) -> bool:
        """Whether a claim stands that was not given back."""


@dataclass(frozen=True)
class Sync:
    lease = LEASE
    on_server = False
    gives_back = True

    def begin(self, mailbox_pk: int) -> None:
        tasks.sync_mailbox(mailbox_pk)

    def go_on(self, mailbox_pk: int) -> None:
        tasks.sync_next()

    def is_free(self, now: datetime) -> bool:
        return SyncSchedule.objects.due(now).exists()

    def is_held(self) -> bool:
        return SyncSchedule.objects.filter(leased_until__isnull=False).exists()


@dataclass(frozen=True)
class Changes:
    """The wishes of readers, carried out on the server (spec G5)."""

    lease = changes.LEASE
    on_server = True
    gives_back = False

    def begin(self, mailbox_pk: int) -> None:
        tasks.carry_out_changes(mailbox_pk)

    def go_on(self, mailbox_pk: int) -> None:
        tasks.carry_out_due_changes()

    def is_free(self, now: datetime) -> bool:
        return ChangeQueue.objects.due(now).exists()

    def is_held(self) -> bool:
        return ChangeQueue.objects.filter(leased_until__isnull=False).exists()


@dataclass(frozen=True)
class Comparing:
    """The reconcile report (spec G6)."""

    lease = Comparison.LEASE
    on_server = False
    gives_back = False

    def begin(self, mailbox_pk: int) -> None:
        tasks.compare_mailbox(mailbox_pk)

    def go_on(self, mailbox_pk: int) -> None:
        tasks.sync_due_mailboxes()

    def is_free(self, now: datetime) -> bool:
        return Comparison.objects.waiting(now).exists()

    def is_held(self) -> bool:
        return Comparison.objects.filter(leased_until__isnull=False).exists()


@dataclass(frozen=True)
class Deleting:
    """Nobody claims it: who does not see it done does it again."""

    lease = MOMENT
    on_server = False
    gives_back = False

    def begin(self, mailbox_pk: int) -> None:
        Mailbox.objects.get(pk=mailbox_pk).delete()

    def go_on(self, mailbox_pk: int) -> None:
        for mailbox in Mailbox.objects.filter(pk=mailbox_pk):
            mailbox.delete()
        tasks.remove_leftovers()

    def is_free(self, now: datetime) -> bool:
        return False

    def is_held(self) -> bool:
        return False


@dataclass(frozen=True)
class StartingOver(Deleting):
    """The store is emptied for a new first download, which begins at once or, by itself, a while later."""

    lease = deletion.HELD_BACK

    def begin(self, mailbox_pk: int) -> None:
        deletion.empty(Mailbox.objects.get(pk=mailbox_pk))

    def go_on(self, mailbox_pk: int) -> None:
        tasks.remove_leftovers()
        tasks.sync_next()
