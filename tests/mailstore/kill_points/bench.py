"""A scenario on a real server, ready to be gone through again and again from the same beginning."""

from __future__ import annotations

import imaplib
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final
from unittest import mock

import time_machine
from django.db import connection, connections
from django.db.models import Q
from django.utils import timezone

from accounts import sessions
from accounts.models import DownloadPeriod, Mailbox
from mailstore import large, packs, partials, pulling, reading, reconciling, remapping, removal, syncing, tasks
from mailstore.models import Change, Comparison, SyncSchedule
from organizations.models import Organization, User
from protocols.imap import connection as connection_of_imap
from tests.mailstore.kill_points import state
from tests.mailstore.kill_points.scenarios import Scenario
from tests.mailstore.kill_points.snapshots import Snapshots
from tests.mailstore.kill_points.works import MOMENT
from tests.mailstore.receiving.server import Account
from tests.servers.dovecot import Dovecot

BEGINNING: Final = "beginning"
LAST_WORDS: Final = 0.3  # seconds in which the server ends what a killed process had asked for

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

    def put_aside(self) -> None:
        """Keep what is on the server, to bring it `back`."""
        self.client.logout()
        subprocess.run(["cp", "-a", self.home, self._aside], check=True)
        self._log_in()

    def back(self) -> None:
        self.client.logout()
        time.sleep(LAST_WORDS)
        shutil.rmtree(self.home)
        subprocess.run(["cp", "-a", self._aside, self.home], check=True)
        self._log_in()

    def lock(self, folder: str) -> None:
        """Take away what the folder consists of on the server, but not its name."""
        [place] = self.home.glob(f"mdbox/mailboxes/{folder}/dbox-Mails")
        place.chmod(0)

    @property
    def _aside(self) -> Path:
        return self.home.with_name(f"{self.home.name}-aside")

    def _log_in(self) -> None:
        self.client = logged_in(self.mailbox)


def logged_in(mailbox: Mailbox) -> imaplib.IMAP4:
    client = imaplib.IMAP4("127.0.0.1", mailbox.imap_port)
    client.login(mailbox.address, mailbox.password.reveal())
    return client


@dataclass
class Bench:
    """The state before the work of a scenario, and the state that it leaves when nothing interrupts it."""

    scenario: Scenario
    account: LockableAccount
    snapshots: Snapshots
    expected: state.State = field(default_factory=dict)
    seconds: float = 0.0  # that it takes uninterrupted

    def restore(self) -> None:
        self.snapshots.restore(BEGINNING)
        if self.scenario.work.on_server:
            self.account.back()

    def begin(self) -> None:
        """The work of the scenario at its time, as a process does it that was told of the mailbox."""
        with self.moment():
            self.scenario.work.begin(self.account.mailbox.pk)

    def resume(self) -> None:
        """Once the lease has passed it is found by itself: the queue knows nothing of it any more."""
        if self.scenario.work.on_server:
            time.sleep(LAST_WORDS)
        with self.moment(self._after_the_lease):
            self.scenario.work.go_on(self.account.mailbox.pk)
        self.settle()

    def settle(self) -> None:
        """The further syncs that the scenario takes until there is nothing left to note."""
        for number in range(1, self.scenario.settles_in):
            self._once_more(self._after_the_lease + timedelta(seconds=number))

    def writes_of_another_sync(self) -> list[str]:
        """Sync once more, without news; return the statements that changed anything but the books of the scheduler."""
        writes: list[str] = []

        def note(execute: object, sql: str, params: object, many: bool, context: dict[str, object]) -> object:
            if sql.startswith(("INSERT", "UPDATE", "DELETE")) and not any(table in sql for table in BOOKKEEPING):
                writes.append(sql)
            assert callable(execute)
            return execute(sql, params, many, context)

        with connection.execute_wrapper(note):
            self._once_more(self._after_the_lease + timedelta(seconds=30))
        return writes

    def is_free(self) -> bool:
        """Whether somebody could take the work up at its time."""
        return self.scenario.work.is_free(timezone.now() + self.scenario.later)

    def is_held(self) -> bool:
        return self.scenario.work.is_held()

    def faults(self) -> list[str]:
        """What is wrong after the work and the syncs that settle it; then sync once more."""
        found = state.stored_state()
        lines = state.differences(self.expected, found) if self.expected else []
        lines += self._compared_with_server()
        lines += self._stuck()
        lines += [f"the next sync wrote: {sql}" for sql in self.writes_of_another_sync()]
        lines += state.differences(found, state.stored_state())
        return lines

    def _stuck(self) -> Iterator[str]:
        """Rows that say of somebody that he is at it, or wait for something (V5)."""
        for schedule in SyncSchedule.objects.exclude(leased_until=None, waiting_for=""):
            yield f"still held until {schedule.leased_until}, or waiting for {schedule.waiting_for!r}"
        if self.is_held():
            yield "the claim still stands"
        for change in Change.objects.exclude(state=Change.State.DONE):
            yield f"{change} is {change.state}: {change.problem}"
        for comparison in Comparison.objects.filter(Q(requested_at__isnull=False) | ~Q(trouble="")):
            yield f"{comparison} was not made: {comparison.trouble}"

    @property
    def _after_the_lease(self) -> timedelta:
        return self.scenario.work.lease + MOMENT

    @contextmanager
    def moment(self, late: timedelta = timedelta(0)) -> Iterator[None]:
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
        account = LockableAccount(mailbox, logged_in(mailbox))
        stack.callback(lambda: account.client.logout())
        account.home = dovecot.log.parent / "mail" / mailbox.address
        scenario.prepare(account)
        SyncSchedule.objects.update(due_at=timezone.now())
        connections.close_all()
        snapshots.save(BEGINNING)
        if scenario.work.on_server:
            account.put_aside()
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
