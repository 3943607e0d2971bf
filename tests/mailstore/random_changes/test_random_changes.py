"""Clients change a mailbox at random while it is synced; once they rest, store, server and mbsync agree.

The seed is printed, but threads and a server answer in their own time: it repeats what each client tries, not the order
in which they meet.
"""

from __future__ import annotations

import imaplib
import random
import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mailstore.models import Folder, Message
from mailstore.packs import read_raw
from protocols.credentials import Credentials
from tests.mailstore.kill_points.bench import BOOKKEEPING
from tests.mailstore.kill_points.state import differences, flags_of, served, shown, stored_state
from tests.mailstore.random_changes.mutator import Mutator, numbered
from tests.mailstore.receiving.server import Account
from tests.servers.dovecot import Dovecot
from tests.servers.mbsync import pull

pytestmark = pytest.mark.django_db

LOOKS: Final = 4  # syncs, minutes apart, after which everything that was doubted is believed
SHORT_PERIOD: Final = timedelta(minutes=6)
MAILDIR_FLAGS: Final = {"S": r"\Seen", "F": r"\Flagged", "R": r"\Answered", "D": r"\Draft"}
TRACE: Final = re.compile(rb"^X-TUID: .*\n", re.MULTILINE)  # what mbsync adds to the header


@pytest.fixture
def connect(account: Account, dovecot: Dovecot) -> Callable[[], imaplib.IMAP4]:
    """One more client of the account."""

    def connecting() -> imaplib.IMAP4:
        client = imaplib.IMAP4("127.0.0.1", dovecot.plain_port)
        client.login(account.mailbox.address, account.mailbox.password.reveal())
        return client

    return connecting


@pytest.mark.proves("V1", "V2", "V3", "V6", "R9", "R10", "R12")
def test_after_random_changes_store_server_and_mbsync_agree(
    account: Account, dovecot: Dovecot, connect: Callable[[], imaplib.IMAP4], mbsync: str, tmp_path: Path
):
    change_at_random(account, connect, seed=random.getrandbits(32), clients=3, syncs=12)
    folder = tmp_path / "maildir"
    pull_with_mbsync(mbsync, account, dovecot, folder)
    assert list(in_the_store() - in_maildirs(folder)) == []
    assert list(in_maildirs(folder) - in_the_store()) == []


@pytest.mark.slow
@pytest.mark.parametrize("run", range(10))
@pytest.mark.proves("V1", "V2", "V3", "V6", "R9", "R10", "R12")
def test_after_very_many_random_changes_store_server_and_mbsync_agree(
    account: Account, dovecot: Dovecot, connect: Callable[[], imaplib.IMAP4], mbsync: str, tmp_path: Path, run: int
):
    change_at_random(account, connect, seed=random.getrandbits(32) + run, clients=4, syncs=100)
    folder = tmp_path / "maildir"
    pull_with_mbsync(mbsync, account, dovecot, folder)
    assert list(in_the_store() - in_maildirs(folder)) == []
    assert list(in_maildirs(folder) - in_the_store()) == []


def change_at_random(
    account: Account, connect: Callable[[], imaplib.IMAP4], *, seed: int, clients: int, syncs: int
) -> None:
    """Sync so many times while `clients` change the mailbox, then until all is believed, and compare."""
    numbers = numbered()
    mutators = [Mutator(connect, seed + client, numbers) for client in range(clients)]
    for mutator in mutators:
        mutator.start()
    for _ in range(syncs):
        account.sync()
    for mutator in mutators:
        mutator.rest()
    changes = sum(len(mutator.done) for mutator in mutators)
    print(f"seed {seed}: {changes} changes by {clients} clients during {syncs} syncs")
    assert [mutator.failure for mutator in mutators] == [None] * clients
    for look in range(LOOKS):
        with time_machine.travel(timezone.now() + look * SHORT_PERIOD):
            account.sync()
    told = "\n".join(line for mutator in mutators for line in [f"client {mutator.seed}", *mutator.done])
    there = {place: (flags - {r"\Deleted"}, octets) for place, (flags, octets) in served(account.client).items()}
    assert differences(there, shown()) == [], told
    assert live_folders() == listed_folders(account), told
    assert not Folder.objects.filter(vanished_at=None, is_selectable=True).exclude(problem="").exists(), told
    state = stored_state()
    with CaptureQueriesContext(connection) as captured, time_machine.travel(timezone.now() + LOOKS * SHORT_PERIOD):
        account.sync()
    writes = [query["sql"] for query in captured if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
    assert [sql for sql in writes if not any(table in sql for table in BOOKKEEPING)] == [], told
    assert differences(state, stored_state()) == []


def live_folders() -> set[str]:
    live = Folder.objects.filter(vanished_at=None, is_selectable=True)
    return {bytes(raw_name).decode() for raw_name in live.values_list("raw_name", flat=True)}


def listed_folders(account: Account) -> set[str]:
    _, lines = account.client.list()
    found = [re.match(rb'\(([^)]*)\) "/" "?([^"]+)"?$', line) for line in lines]
    return {match[2].decode() for match in found if match and b"\\Noselect" not in match[1]}


def pull_with_mbsync(mbsync: str, account: Account, dovecot: Dovecot, folder: Path) -> None:
    user = Credentials(account.mailbox.address, account.mailbox.password)
    pull(mbsync, folder, port=dovecot.plain_port, user=user)


def in_the_store() -> Counter[tuple[str, bytes, frozenset[str]]]:
    """Folder, octets with plain line ends, and system flags of each live message, Trash apart."""
    found: Counter[tuple[str, bytes, frozenset[str]]] = Counter()
    for message in Message.objects.live().select_related("folder"):
        octets = read_raw(message).replace(b"\r\n", b"\n")
        flags = frozenset(flag for flag in flags_of(message) if flag in MAILDIR_FLAGS.values())
        found[message.folder.wire_name.decode(), octets, flags] += 1
    return found


def in_maildirs(folder: Path) -> Counter[tuple[str, bytes, frozenset[str]]]:
    """The same of what mbsync has pulled."""
    found: Counter[tuple[str, bytes, frozenset[str]]] = Counter()
    for file in folder.rglob("*"):
        if file.is_file() and file.parent.name in ("cur", "new"):
            name = str(file.parent.parent.relative_to(folder))
            letters = file.name.partition(":2,")[2]
            flags = frozenset(MAILDIR_FLAGS[flag] for flag in letters if flag in MAILDIR_FLAGS)
            found[name, TRACE.sub(b"", file.read_bytes(), count=1), flags] += 1
    return found
