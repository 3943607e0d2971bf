"""A deleted mailbox leaves nothing, quickly, and nothing of its neighbours goes with it."""

from __future__ import annotations

import os

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from delivery.models import OutboxMessage
from mailstore import deletion, leftovers, schedule, tasks
from mailstore.models import Attachment, Conversation, Folder, Leftover, Listing, Message, SyncSchedule, ThreadKey
from mailstore.packs import PackWriter, directory_of, read_raw
from mailstore.partials import Partial
from tests.mailstore.receiving.letters import fetched, letter

BELOW = (Message, Conversation, Folder, Listing, Attachment, ThreadKey, SyncSchedule)


@pytest.fixture
def stored(mailbox, store, packs):
    """Alice's mailbox with three letters, of which two are a conversation; the worker that stored them is done."""
    store(fetched(1), fetched(2, letter(2, answers=1)), fetched(3))
    packs.__exit__(None, None, None)
    return mailbox


def test_nothing_is_left_of_a_deleted_mailbox(stored):
    stored.delete()
    assert not any(model.objects.exists() for model in BELOW)


def test_the_mail_of_others_stays(stored, shared_mailbox):
    folder = Folder.objects.create(mailbox=shared_mailbox, name="INBOX", raw_name=b"INBOX")
    Conversation.objects.create(mailbox=shared_mailbox, subject="Prices")
    stored.delete()
    assert list(Folder.objects.all()) == [folder]
    assert Conversation.objects.get().subject == "Prices"


def test_no_message_is_read_to_be_deleted(stored):
    with CaptureQueriesContext(connection) as captured:
        stored.delete()
    emptied = [query["sql"] for query in captured.captured_queries if query["sql"].startswith("DELETE")]
    first = next(place for place, sql in enumerate(emptied) if sql.startswith('DELETE FROM "mailstore_message"'))
    read = next(place for place, query in enumerate(captured.captured_queries) if query["sql"] == emptied[first])
    before = [query["sql"] for query in captured.captured_queries[:read]]
    assert not [sql for sql in before if sql.startswith("SELECT")]


def test_what_was_sent_stays_and_forgets_what_it_answered(stored, alice):
    sent = OutboxMessage.objects.create(
        organization=stored.organization,
        author=alice,
        mailbox=stored,
        answers=Message.objects.first(),
        created_at=timezone.now(),
        raw=b"",
        size=0,
    )
    stored.delete()
    sent.refresh_from_db()
    assert sent.mailbox is None
    assert sent.answers is None


def test_packs_that_an_interrupted_deletion_left_are_swept_up(stored):
    with transaction.atomic():
        stored.delete()  # and nothing is done after the commit, as where the process dies
    [left] = Leftover.objects.all()
    assert directory_of(left.mailbox_pk).exists()
    tasks.remove_leftovers()
    assert not directory_of(left.mailbox_pk).exists()
    assert Leftover.objects.exists(), "a worker may still be at it"
    leftovers.sweep(left.at + leftovers.STRAY_FOR)
    assert not Leftover.objects.exists()


def test_a_new_download_keeps_what_it_brought_when_the_old_packs_are_swept_up(stored, claim):
    with transaction.atomic():
        deletion.empty(stored)
    old = directory_of(stored.pk)
    before = {path.name for path in old.iterdir()}
    with PackWriter(stored.pk, claim.fence + 2, roll_at=1) as writer:
        place = writer.append(b"new")
    tasks.remove_leftovers()
    assert before
    assert {path.name for path in old.iterdir()} == {place.pack}


def _asked_by_a_person(mailbox_pk):
    schedule.request_sync(mailbox_pk)
    tasks.sync_mailbox(mailbox_pk)


@pytest.mark.parametrize("begin", [tasks.fetch_news, _asked_by_a_person])
def test_a_download_that_begins_before_the_old_packs_are_gone_loses_nothing(
    account, monkeypatch, django_capture_on_commit_callbacks, begin
):
    account.deliver_letters(1, 2)
    account.sync()
    SyncSchedule.objects.update(news_at=timezone.now(), requested_at=None)
    remove = leftovers.remove

    def remove_late(left):
        begin(left.mailbox_pk)
        remove(left)

    monkeypatch.setattr(leftovers, "remove", remove_late)
    with django_capture_on_commit_callbacks(execute=True):
        deletion.empty(account.mailbox)
    account.sync()
    assert account.uids() == [1, 2]
    for message in Message.objects.all():
        assert read_raw(message, verify=True)


def test_news_of_before_begin_no_download_of_an_emptied_mailbox(stored):
    SyncSchedule.objects.update(news_at=timezone.now(), requested_at=None)
    deletion.empty(stored)
    assert not SyncSchedule.objects.with_news(timezone.now()).exists()


def test_no_old_pack_goes_while_a_download_may_have_written_to_it_what_no_row_names_yet(stored):
    with transaction.atomic():
        deletion.empty(stored)
    [left] = Leftover.objects.all()
    later = left.at + leftovers.STRAY_FOR
    schedule.request_sync(stored.pk)
    fence = SyncSchedule.objects.claim(stored.pk, timezone.now())
    with PackWriter(stored.pk, fence, roll_at=2_000_000) as writer:
        place = writer.append(b"new")
    leftovers.sweep(later)
    assert (directory_of(stored.pk) / place.pack).exists()
    SyncSchedule.objects.update(leased_until=None)
    leftovers.sweep(later)
    assert not list(directory_of(stored.pk).glob("*.pack"))
    assert not Leftover.objects.exists()


def test_emptying_a_mailbox_that_was_never_due_leaves_its_directory_to_the_next_download(stored):
    SyncSchedule.objects.all().delete()
    deletion.empty(stored)
    assert Leftover.objects.get().fence is not None


def test_large_messages_that_an_interrupted_emptying_left_are_swept_up(stored):
    inbox = Folder.objects.get(mailbox=stored)
    for uid, end in ((8, Partial.place), (9, Partial.close)):
        growing = Partial(inbox, uid)
        growing.take(b"large")
        end(growing)
    with transaction.atomic():
        deletion.empty(stored)
    begun_since = Partial(inbox, 10)
    begun_since.take(b"new")
    begun_since.close()
    directory = directory_of(stored.pk)
    since = timezone.now().timestamp() + 1  # a file's time may be that of the kernel's last tick
    os.utime(directory / "partial" / f"{inbox.pk}-7-10-3.part", (since, since))
    assert len(list(directory.rglob("*.*"))) == 4
    tasks.remove_leftovers()
    assert [path.name for path in directory.rglob("*.*")] == [f"{inbox.pk}-7-10-3.part"]


def test_a_large_message_whose_row_a_download_has_yet_to_write_is_not_swept_up(stored):
    with transaction.atomic():
        deletion.empty(stored)
    growing = Partial(Folder.objects.get(mailbox=stored), 8)
    growing.take(b"large")
    path = directory_of(stored.pk) / growing.place().pack
    SyncSchedule.objects.update(leased_until=timezone.now())
    tasks.remove_leftovers()
    assert path.exists()
