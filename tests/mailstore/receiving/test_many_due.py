"""Many mailboxes due at once, a tenth of their servers silent: nobody twice, no server too often, everybody in turn.

The servers are one light stub under many names (spec G7, fault R26). The normal run takes a sample.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import median

import pytest
from django.db import connection
from django.utils import timezone

from accounts import sessions
from accounts.models import Mailbox
from mailservers.rulebook import load_rules
from mailstore import claiming, syncing
from mailstore.models import SyncSchedule
from organizations.models import Organization
from protocols.credentials import Credentials, Secret
from protocols.errors import Unreachable
from protocols.network import Dialer, DialPolicy
from protocols.steps import StepName
from tests.environment import ROOT

pytestmark = pytest.mark.django_db(transaction=True)

WORKERS = 10
PER_HOST = 3
SILENCE = 1.0  # seconds that a silent server holds a worker; a sync takes a small part of it


@dataclass
class Turn:
    """One sync, as the workers saw it. Moments are seconds of the clock."""

    mailbox_pk: int
    host: str
    began: float
    ended: float


@dataclass
class Crowd:
    """The mailboxes and what became of them."""

    hosts: dict[int, str]
    dead: set[str]
    turns: list[Turn] = field(default_factory=list)

    @property
    def alive(self) -> set[int]:
        return {pk for pk, host in self.hosts.items() if host not in self.dead}


class PartlySilent(Dialer):
    """Every name leads to the stub; the dead ones take their time and do not answer."""

    def __init__(self, port: int, crowd: Crowd) -> None:
        names = dict.fromkeys(crowd.hosts.values(), "127.0.0.1")
        super().__init__(DialPolicy(endpoints=frozenset({("127.0.0.1", port)}), names=names))
        self.dead = crowd.dead

    def connect(self, host, port, **options):
        if host in self.dead:
            time.sleep(SILENCE)
            raise Unreachable("Nothing answered.", reply="timed out", step=StepName.TCP)
        return super().connect(host, port, **options)


@pytest.fixture
def stub() -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.imap_stub"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield int(process.stdout.readline())
        process.stdin.close()


def make_crowd(number: int, hosts: int, port: int, organizations: list[Organization], seed: int) -> Crowd:
    """`number` mailboxes on `hosts` servers and in all organizations, due in one second an hour ago, in any order."""
    chance = random.Random(seed)
    names = [f"imap{each}.test" for each in range(hosts)]
    mailboxes = [
        Mailbox(
            organization=chance.choice(organizations),
            address=f"user{each}@example.org",
            display_name="User",
            imap_host=names[each % hosts],
            imap_port=port,
            imap_security="none",
        )
        for each in range(number)
    ]
    Mailbox.objects.bulk_create(mailboxes, batch_size=500)
    due_at = timezone.now() - timedelta(hours=1)
    SyncSchedule.objects.bulk_create(
        [SyncSchedule(mailbox=mailbox, due_at=due_at + timedelta(seconds=chance.random())) for mailbox in mailboxes]
    )
    return Crowd(
        {mailbox.pk: mailbox.imap_host for mailbox in mailboxes}, set(chance.sample(names, max(1, hosts // 10)))
    )


def serve(crowd: Crowd, *, seconds: float) -> None:
    """Let the workers go until each mailbox whose server answers was synced."""
    deadline, lock, served = time.monotonic() + seconds, threading.Lock(), set[int]()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while not failures and not crowd.alive <= served and time.monotonic() < deadline:
                claimed = claiming.claim_next(timezone.now())
                if claimed is None:
                    time.sleep(0.05)
                    continue
                began = time.monotonic()
                syncing.sync(claimed.mailbox_pk, claimed.fence)
                with lock:
                    pk = claimed.mailbox_pk
                    crowd.turns.append(Turn(pk, crowd.hosts[pk], began, time.monotonic()))
                    served.add(pk)
        except BaseException as exc:
            failures.append(exc)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def most_at_once(turns: list[Turn]) -> int:
    changes = sorted([(turn.began, 1) for turn in turns] + [(turn.ended, -1) for turn in turns])
    at_once = most = 0
    for _, change in changes:
        at_once += change
        most = max(most, at_once)
    return most


@pytest.mark.proves("G7", "R26", "R28")
@pytest.mark.parametrize(
    ("number", "hosts"), [(150, 30), pytest.param(10_000, 500, marks=pytest.mark.slow)], ids=["sample", "all"]
)
def test_all_are_served_in_turn(
    number, hosts, stub, organization, other_organization, settings, monkeypatch, request, capsys
):
    settings.SYNC_SLOTS, settings.SYNCS_PER_HOST = WORKERS, PER_HOST
    load_rules()
    seed = request.config.getoption("randomly_seed", default=None) or 1
    crowd = make_crowd(number, hosts, stub, [organization, other_organization], seed)
    dialer = PartlySilent(stub, crowd)
    monkeypatch.setattr(sessions, "dialer", lambda: dialer)
    # A sealed password is bound to its row, so thousands cannot be made at once.
    monkeypatch.setattr(sessions, "opened", lambda of: Credentials(of.__self__.address, Secret("secret")))
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()

    serve(crowd, seconds=60 + number / 2)

    lasted = time.monotonic() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    synced = set(SyncSchedule.objects.filter(finished_at__isnull=False).values_list("pk", flat=True))
    assert synced == crowd.alive
    first: dict[int, float] = {}
    by_mailbox: dict[int, list[Turn]] = {}
    by_host: dict[str, list[Turn]] = {}
    for turn in sorted(crowd.turns, key=lambda turn: turn.began):
        first.setdefault(turn.mailbox_pk, turn.began - began)
        by_mailbox.setdefault(turn.mailbox_pk, []).append(turn)
        by_host.setdefault(turn.host, []).append(turn)
    assert {most_at_once(turns) for turns in by_mailbox.values()} == {1}
    assert max(most_at_once(turns) for turns in by_host.values()) <= PER_HOST
    waits = [wait for pk, wait in first.items() if pk in crowd.alive]
    assert max(waits) <= 5 * median(waits)
    silent = sum(turn.ended - turn.began for turn in crowd.turns if turn.host in crowd.dead)
    share = silent / (WORKERS * lasted)
    assert share <= 0.2
    with capsys.disabled():
        print(
            f"\n{number} mailboxes on {hosts} servers, {len(crowd.dead)} silent, {WORKERS} workers, seed {seed}: "
            f"{lasted:.1f} s, {grown:.0f} MB more, longest wait {max(waits):.1f} s, median {median(waits):.1f} s, "
            f"silent servers used {share:.0%} of the slots"
        )
