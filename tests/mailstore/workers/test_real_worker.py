"""A real Celery worker, started as `./run` starts it, that is told to end, killed and replaced during a sync (R27)."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest
from django.utils import timezone

from accounts.models import Mailbox
from mailstore.models import LEASE, Message, SyncRun, SyncSchedule
from tests.mailstore.receiving.conftest import account  # noqa: F401  a fixture
from tests.mailstore.receiving.letters import letter
from tests.mailstore.receiving.server import Account
from tests.servers.celery_workers import Workers, children, database_files, running_workers
from tests.servers.dovecot import dovecot  # noqa: F401  a fixture
from tests.servers.fault_proxy import Fault, FaultProxy, fault_proxy
from tests.servers.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

MESSAGES = 40
GRACE = 10.0  # seconds; what `./run` gives a worker
BODY = ("x" * 78 + "\r\n") * 100


@pytest.fixture
def slow(account: Account) -> Iterator[FaultProxy]:  # noqa: F811
    """A line so slow that the download of the account takes most of a minute."""
    for number in range(1, MESSAGES + 1):
        account.deliver(letter(number, body=BODY))
    with fault_proxy(account.mailbox.imap_port) as proxy:
        proxy.fault = Fault(rate=16_000)
        Mailbox.objects.update(imap_host="127.0.0.1", imap_port=proxy.port)
        SyncSchedule.objects.update(due_at=timezone.now())
        yield proxy


@pytest.fixture
def workers(slow: FaultProxy) -> Iterator[Workers]:
    with running_workers(slow.port) as running:
        yield running


def begin(workers: Workers, account: Account, *options: str, **variables: str) -> subprocess.Popen[bytes]:  # noqa: F811
    """Start a worker and wait until it is amid a download."""
    worker = workers.start(*options, **variables)
    workers.nudge("mailstore.sync_mailbox", account.mailbox.pk, queue="sync")
    held = SyncSchedule.objects.filter(leased_until__isnull=False, total__gt=0)
    wait_until(held.exists, "sync under way", seconds=60)
    return worker


def finish(account: Account, slow: FaultProxy) -> None:  # noqa: F811
    """What the next worker does, over a good line; then everything is here once."""
    Mailbox.objects.update(imap_host=account.mailbox.imap_host, imap_port=slow.target)
    SyncSchedule.objects.update(leased_until=None)
    account.sync()
    assert account.uids() == list(range(1, MESSAGES + 1))
    assert Message.objects.count() == MESSAGES


@pytest.mark.proves("R27", "V5")
def test_a_worker_that_is_told_to_end_hands_its_download_back(workers, account, slow):  # noqa: F811
    worker = begin(workers, account)
    worker.send_signal(signal.SIGTERM)
    worker.wait(GRACE)
    schedule = SyncSchedule.objects.get()
    assert schedule.leased_until is None
    assert schedule.due_at <= timezone.now()
    assert SyncRun.objects.latest("pk").words.startswith("Its worker was asked to end")
    assert Message.objects.count() < MESSAGES
    finish(account, slow)


@pytest.mark.slow
@pytest.mark.proves("R1", "R27")
def test_a_killed_pool_process_is_replaced_and_its_mailbox_waits_for_the_lease(workers, account, slow):  # noqa: F811
    worker = begin(workers, account)
    [pool_process] = children(worker.pid)
    os.kill(pool_process, signal.SIGKILL)  # as the kernel does where memory runs out
    wait_until(lambda: set(children(worker.pid)) - {pool_process}, "new pool process")
    schedule = SyncSchedule.objects.get()
    assert schedule.leased_until is not None
    assert schedule.leased_until <= timezone.now() + LEASE
    assert not SyncSchedule.objects.due(timezone.now()).exists()
    assert SyncSchedule.objects.due(timezone.now() + LEASE).exists()
    finish(account, slow)


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.proves("R27")
def test_a_pool_process_is_exchanged_after_its_tasks_and_shares_nothing_with_the_next(workers, account, slow):  # noqa: F811
    slow.fault = Fault()
    worker = workers.start("--max-tasks-per-child", "1")
    seen: list[int] = []
    for number in range(3):
        account.deliver(letter(MESSAGES + 1 + number))
        SyncSchedule.objects.update(due_at=timezone.now())
        workers.nudge("mailstore.sync_mailbox", account.mailbox.pk, queue="sync")
        wait_until(lambda: Message.objects.count() == MESSAGES + 1 + number, "sync", seconds=60)  # noqa: B023
        wait_until(lambda: not SyncSchedule.objects.exclude(leased_until=None).exists(), "end of the sync")
        seen.append(int(SyncSchedule.objects.get().holder.rpartition(" ")[2]))
    assert len(set(seen)) == 3
    assert worker.pid not in seen
    assert not database_files(worker.pid), "the worker itself must hold nothing that its pool processes inherit"


@pytest.mark.proves("R29")
def test_a_worker_older_than_the_database_leaves_the_work_to_others(workers, account, slow, newer_version):  # noqa: F811
    newer = newer_version()
    worker = workers.start()
    workers.nudge("mailstore.sync_mailbox", account.mailbox.pk, queue="sync")
    wait_until(lambda: workers.log.exists() and "9999_from_the_future" in workers.log.read_text(), "word", seconds=60)
    wait_until(lambda: "is left to others" in workers.log.read_text(), "word")
    assert worker.poll() is None
    assert not Message.objects.exists()
    assert SyncSchedule.objects.due(timezone.now()).exists()
    newer.delete()
    finish(account, slow)
