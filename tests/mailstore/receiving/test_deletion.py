"""A deleted mailbox leaves nothing, quickly, and nothing of its neighbours goes with it."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from delivery.models import OutboxMessage
from mailstore import deletion, leftovers, tasks
from mailstore.models import Attachment, Conversation, Folder, Leftover, Listing, Message, SyncSchedule, ThreadKey
from mailstore.packs import PackWriter, directory_of
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
