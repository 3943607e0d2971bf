"""The writer's thread: the same rows as without it, in order, and every failure comes out where the work is given."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest
from django.db import OperationalError

from mailstore import bulk, pulling, syncing, writers, writing
from mailstore.models import Folder, Message, SyncSchedule
from mailstore.packs import PackWriter, directory_of, read_raw
from mailstore.writers import Batch, WriterThread
from mailstore.writing import Claim, ClaimLost
from protocols.imap.plan import UidSet
from tests.mailstore.receiving.letters import fetched, placed
from tests.mailstore.receiving.server import Account

pytestmark = pytest.mark.django_db(transaction=True)

MakeBatch = Callable[..., Batch]


@pytest.fixture
def batch(inbox: Folder, claim: Claim, packs: PackWriter) -> MakeBatch:
    def making(*uids: int) -> Batch:
        return Batch(inbox, placed(packs, *map(fetched, uids)), claim, packs, UidSet(), None)

    return making


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync of any size, on any engine, as a large one on PostgreSQL: reader process, writer thread, many batches."""
    monkeypatch.setattr(syncing, "MANY", 1)
    monkeypatch.setattr(pulling, "BATCH", 4)
    monkeypatch.setattr(pulling, "FIRST_PAGE", 4)
    monkeypatch.setattr(writers, "database_works_beside", lambda: True)


def uids() -> list[int]:
    return sorted(Message.objects.values_list("uid", flat=True))


def test_batches_are_stored_in_the_order_given(batch, inbox):
    with WriterThread() as writer:
        for uid in (30, 20, 10):
            writer.submit(batch(uid, uid + 1))
        writer.finish()
        assert [stored.messages for _, stored in writer.news()] == [2, 2, 2]
        assert writer.news() == []
    assert list(Message.objects.order_by("pk").values_list("uid", flat=True)) == [30, 31, 20, 21, 10, 11]
    assert inbox.stored == "10:11,20:21,30:31"


@pytest.mark.proves("R34")
def test_after_a_failure_nothing_that_was_given_later_is_stored(batch):
    first, second, third = batch(1), batch(2), batch(3)
    with WriterThread() as writer:
        writer.submit(first)
        writer.finish()
        SyncSchedule.objects.update(fence=99)
        writer.submit(second)
        with pytest.raises(ClaimLost):
            writer.finish()
        SyncSchedule.objects.update(fence=first.claim.fence)
        for call in (writer.finish, writer.news, lambda: writer.submit(third)):
            with pytest.raises(ClaimLost):
                call()
    assert uids() == [1]


def test_leaving_early_drops_what_waits_and_ends_the_thread(batch, monkeypatch):
    store, may_go_on = writing.store_batch, threading.Event()

    def slowly(*arguments, **options):
        assert may_go_on.wait(10)
        return store(*arguments, **options)

    monkeypatch.setattr(writing, "store_batch", slowly)
    with WriterThread() as writer:
        writer.submit(batch(1))
        writer.submit(batch(2))
        threading.Timer(0.3, may_go_on.set).start()
    assert not writer._thread.is_alive()
    assert uids() == [1]


def test_a_sync_with_helpers_stores_what_one_without_them_does(account: Account, beside):
    account.deliver_letters(*range(1, 19))
    done = account.sync()
    assert account.uids() == list(range(1, 19))
    assert (done.done, done.waiting_for) == (18, "")
    assert account.folder().stored == "1:18"
    for message in Message.objects.all():
        assert read_raw(message, verify=True)


@pytest.mark.proves("R34")
def test_a_lost_claim_ends_a_sync_with_helpers_quietly(account: Account, beside, monkeypatch):
    account.deliver_letters(*range(1, 19))
    commits = []

    def overtaken(name):
        if name == "batch committed":
            commits.append(name)
            if len(commits) == 2:
                SyncSchedule.objects.update(fence=99, waiting_for="the newer claim's")

    monkeypatch.setattr(writing, "faultpoint", overtaken)
    ended = account.sync()
    assert account.uids() == list(range(11, 19))
    assert (ended.fence, ended.waiting_for) == (99, "the newer claim's")


@pytest.mark.proves("R23")
def test_a_full_database_keeps_what_fits_while_more_mail_is_on_its_way(account, beside, monkeypatch, expected_errors):
    expected_errors("disk of the database")
    account.deliver_letters(*range(1, 31))
    insert = bulk.insert_rows

    def limited(model, columns, values):
        if model is Message and Message.objects.count() + len(values) > 9:
            raise OperationalError("database or disk is full")
        insert(model, columns, values)

    with monkeypatch.context() as patched:
        patched.setattr(writing.bulk, "insert_rows", limited)
        waiting = account.sync()
    assert "full" in waiting.waiting_for
    kept = account.uids()
    assert kept == [19, *range(23, 31)]
    assert UidSet.parse(account.folder().stored) == UidSet(kept)
    sizes = sum(os.path.getsize(path) for path in directory_of(account.mailbox.pk).iterdir())
    assert sizes == sum(Message.objects.values_list("stored_size", flat=True)), "what no row names was given back"
    account.sync()
    assert account.uids() == list(range(1, 31))
