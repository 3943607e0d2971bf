"""A scenario on a real server, ready to be synced again and again from the same beginning."""

from __future__ import annotations

import imaplib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final
from unittest import mock

import time_machine
from django.db import connection, connections
from django.utils import timezone

from accounts import sessions
from accounts.models import DownloadPeriod, Mailbox
from mailstore import large, packs, partials, pulling, reading, reconciling, remapping, removal, syncing, tasks
from mailstore.models import LEASE, SyncSchedule
from organizations.models import Organization, User
from protocols.imap import connection as connection_of_imap
from tests.mailstore.kill_points import state
from tests.mailstore.kill_points.scenarios import Scenario
from tests.mailstore.kill_points.snapshots import Snapshots
from tests.mailstore.receiving.server import Account
from tests.servers.dovecot import Dovecot

AFTER_THE_LEASE: Final = LEASE + timedelta(seconds=1)
BEGINNING: Final = "beginning"

#: So small that a few messages pass every step several times.
SMALL: Final = {
    (pulling, "BATCH"): 4,
    (pulling, "FIRST_PAGE"): 3,
    (pulling, "BATCH_OCTETS"): 500_000,
    (reconciling, "FLAGS_AT_ONCE"): 4,
    (reconciling, "UIDS_AT_ONCE"): 6,
    (removal, "AT_ONCE"): 3,
    (connection_of_imap, "LARGE_LITERAL"): 100_000,
    (large, "LARGE_MESSAGE"): 100_000,
    (packs, "LARGE_MESSAGE"): 100_000,
    (reading, "LARGE_MESSAGE"): 100_000,
    (large, "PART"): 30_000,
    (partials, "SETTLED_EVERY"): 50_000,
    (remapping, "OUTLINES_AT_ONCE"): 3,
}
#: What a sync without news may write: whose turn it was and when, and that the server was reached.
BOOKKEEPING: Final = ("mailstore_syncschedule", "mailstore_syncrun", "mailstore_mailhost", "accounts_mailbox")


class LockableAccount(Account):
    """An account whose folders the server can be made to refuse."""

    home: Path

    def lock(self, folder: str) -> None:
        """Take away what the folder consists of on the server, but not its name."""
        [place] = self.home.glob(f"mdbox/mailboxes/{folder}/dbox-Mails")
        place.chmod(0)


@dataclass
class Bench:
    """The state before the sync, and the state that it leaves when nothing interrupts it."""

    scenario: Scenario
    account: LockableAccount
    snapshots: Snapshots
    expected: state.State = field(default_factory=dict)
    seconds: float = 0.0  # that an uninterrupted sync takes

    def restore(self) -> None:
        self.snapshots.restore(BEGINNING)

    def sync(self, *, late: timedelta = timedelta(0)) -> None:
        """The sync of the scenario, `late` after its time, as a worker does it that was told of the mailbox."""
        with self.moment(late):
            tasks.sync_mailbox(self.account.mailbox.pk)

    def resume(self) -> None:
        """Once the lease has passed a worker finds the mailbox by itself: the queue knows nothing of it any more."""
        with self.moment(AFTER_THE_LEASE):
            tasks.sync_next()
        self.settle()

    def settle(self) -> None:
        """The further syncs that the scenario takes until there is nothing left to note."""
        for number in range(1, self.scenario.settles_in):
            self._once_more(AFTER_THE_LEASE + timedelta(seconds=number))

    def writes_of_another_sync(self) -> list[str]:
        """Sync once more, without news; return the statements that changed anything but the books of the scheduler."""
        writes: list[str] = []

        def note(execute: object, sql: str, params: object, many: bool, context: dict[str, object]) -> object:
            if sql.startswith(("INSERT", "UPDATE", "DELETE")) and not any(table in sql for table in BOOKKEEPING):
                writes.append(sql)
            assert callable(execute)
            return execute(sql, params, many, context)

        with connection.execute_wrapper(note):
            self._once_more(AFTER_THE_LEASE + timedelta(seconds=30))
        return writes

    def is_free(self) -> bool:
        """Whether a worker could claim the mailbox at the time of the sync."""
        return SyncSchedule.objects.due(timezone.now() + self.scenario.later).exists()

    def is_held(self) -> bool:
        return SyncSchedule.objects.filter(leased_until__isnull=False).exists()

    def faults(self) -> list[str]:
        """What is wrong after the sync and the syncs that settle it; then sync once more."""
        schedule = SyncSchedule.objects.get()
        found = state.stored_state()
        lines = state.differences(self.expected, found) if self.expected else []
        lines += self._compared_with_server()
        if schedule.leased_until is not None or schedule.waiting_for:
            lines.append(f"still held until {schedule.leased_until}, or waiting for {schedule.waiting_for!r}")
        lines += [f"the next sync wrote: {sql}" for sql in self.writes_of_another_sync()]
        lines += state.differences(found, state.stored_state())
        return lines

    @contextmanager
    def moment(self, late: timedelta) -> Iterator[None]:
        small = dict(SMALL)
        if self.scenario.beside:
            small[syncing, "MANY"] = 5
        with ExitStack() as stack:
            for (module, name), value in small.items():
                stack.enter_context(mock.patch.object(module, name, value))
            stack.enter_context(time_machine.travel(timezone.now() + self.scenario.later + late))
            yield

    def _once_more(self, late: timedelta) -> None:
        with self.moment(late):
            SyncSchedule.objects.update(due_at=timezone.now())
            tasks.sync_mailbox(self.account.mailbox.pk)

    def _compared_with_server(self) -> list[str]:
        seen, there = state.shown(), state.served(self.account.client)
        if not self.scenario.mirrors:
            there = {place: message for place, message in there.items() if place in seen}
            seen = {place: message for place, message in seen.items() if place in there}
        return [f"against the server: {line}" for line in state.differences(there, seen)]


@contextmanager
def prepared(scenario: Scenario, dovecot: Dovecot, snapshots: Snapshots) -> Iterator[Bench]:
    """Make what the scenario needs, for a user of `dovecot` whom nobody else uses, and put it aside."""
    snapshots.restore("empty")
    with mock.patch.object(sessions, "dialer", return_value=dovecot.dialer), ExitStack() as stack:
        mailbox = _mailbox(dovecot)
        client = imaplib.IMAP4("127.0.0.1", mailbox.imap_port)
        stack.callback(client.logout)
        client.login(mailbox.address, mailbox.password.reveal())
        account = LockableAccount(mailbox, client)
        account.home = dovecot.log.parent / "mail" / mailbox.address
        scenario.prepare(account)
        SyncSchedule.objects.update(due_at=timezone.now())
        connections.close_all()
        snapshots.save(BEGINNING)
        yield Bench(scenario, account, snapshots)
        connections.close_all()


def _mailbox(dovecot: Dovecot) -> Mailbox:
    organization = Organization.objects.create(name="Example Ltd")
    owner = User.objects.create_user("alice@example.org", None, organization=organization, name="Alice")
    credentials = dovecot.new_user()
    mailbox = Mailbox(
        organization=organization,
        owner=owner,
        address=credentials.username,
        imap_host=dovecot.endpoint().host,
        imap_port=dovecot.plain_port,
        imap_security="none",
        download_period=DownloadPeriod.EVERYTHING,
    )
    mailbox.password = credentials.password
    mailbox.save()
    return mailbox
