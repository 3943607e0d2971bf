"""A disk with less room than there is mail: what fits is kept, the rest waits on the server (fault R23)."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from django.db import OperationalError
from django.utils import timezone

from accounts.models import State
from mailstore import bulk, packs, schedule, writing
from mailstore.models import Folder, Message
from mailstore.packs import directory_of, read_raw
from protocols.imap.plan import UidSet
from tests.mailstore.receiving.letters import letter
from tests.mailstore.receiving.server import Account

pytestmark = pytest.mark.django_db

ROOM = 1024 * 1024  # octets
LETTER = letter(1, body="x" * 98 + ("\r\n" + "x" * 98) * 1_000)  # about 100 kB: ten of them fit


class SmallDisk:
    """Lets packs grow by `room` octets in all, then says ENOSPC as a file system does: after a part of a write."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        self._write, self._truncate = os.write, os.ftruncate
        monkeypatch.setattr(packs.os, "write", self._writing)
        monkeypatch.setattr(packs.os, "ftruncate", self._truncating)

    def _writing(self, descriptor: int, octets: memoryview) -> int:
        if not self.room and octets:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._write(descriptor, octets[: self.room])
        self.room -= written
        return written

    def _truncating(self, descriptor: int, size: int) -> None:
        before = os.fstat(descriptor).st_size
        self._truncate(descriptor, size)
        self.room += before - size


@pytest.fixture
def small_disk(account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """1 MB for the packs of the account: a file system of that size where we may mount one."""
    directory = directory_of(account.mailbox.pk)
    directory.mkdir(parents=True)
    command = [shutil.which("mount") or "mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(directory)]
    is_mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    if not is_mounted:
        SmallDisk(monkeypatch, ROOM)
    yield
    if is_mounted:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def numbered(number: int) -> bytes:
    return LETTER.replace(b"<1@", b"<%d@" % number, 1)


def assert_whole(account: Account) -> list[int]:
    """Each stored message can be read, the folder's cursor holds them and no other; return their UIDs."""
    messages = list(Message.objects.filter(mailbox=account.mailbox))
    for message in messages:
        assert read_raw(message, verify=True)
    stored = sorted(message.uid for message in messages)
    assert UidSet.parse(account.folder().stored) == UidSet(stored)
    return stored


@pytest.mark.proves("R23")
def test_with_more_mail_than_room_what_fits_is_kept_and_the_rest_waits(account, small_disk, expected_errors):
    expected_errors("it is full")
    for number in range(1, 16):
        account.deliver(numbered(number))
    waiting = account.sync()
    kept = assert_whole(account)
    assert 8 <= len(kept) < 15
    assert "full" in waiting.waiting_for
    assert schedule.progress(waiting, timezone.now()).state == State.WAITING
    account.sync()
    assert assert_whole(account) == kept


@pytest.mark.proves("R23")
def test_a_message_that_is_too_large_does_not_keep_the_small_ones_out(account, monkeypatch, expected_errors):
    expected_errors("it is full")
    disk = SmallDisk(monkeypatch, 10_000)
    account.deliver_letters(1, 2)
    account.deliver(numbered(3))
    account.deliver_letters(4, 5)
    account.sync()
    assert assert_whole(account) == [1, 2, 4, 5]
    disk.room = ROOM
    done = account.sync()
    assert assert_whole(account) == [1, 2, 3, 4, 5]
    assert done.waiting_for == ""


@pytest.mark.proves("R23")
@pytest.mark.parametrize(("rows", "kept"), [(0, []), (1, [1]), (3, [1, 2]), (5, [1, 2, 3, 4])])
def test_a_database_without_room_for_a_batch_keeps_what_fits(account, monkeypatch, expected_errors, rows, kept):
    expected_errors("disk of the database")
    account.deliver_letters(*range(1, 9))
    insert = bulk.insert_rows

    def limited(model, columns, values):
        if model is Message and len(values) > rows:
            raise OperationalError("database or disk is full")
        insert(model, columns, values)

    with monkeypatch.context() as patched:
        patched.setattr(writing.bulk, "insert_rows", limited)
        waiting = account.sync()
    assert "full" in waiting.waiting_for
    assert assert_whole(account) == kept
    stored = sum(path.stat().st_size for path in directory_of(account.mailbox.pk).iterdir())
    assert stored == sum(message.stored_size for message in Message.objects.all()), "what no row names was given back"
    account.sync()
    assert account.uids() == list(range(1, 9))
    assert Folder.objects.get(mailbox=account.mailbox, name="INBOX").synced_at is not None
