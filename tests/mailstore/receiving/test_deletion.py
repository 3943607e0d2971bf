"""A deleted mailbox leaves nothing, quickly, and nothing of its neighbours goes with it."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from delivery.models import OutboxMessage
from mailstore.models import Attachment, Conversation, Folder, Listing, Message, SyncSchedule, ThreadKey
from tests.mailstore.receiving.letters import fetched, letter

BELOW = (Message, Conversation, Folder, Listing, Attachment, ThreadKey, SyncSchedule)


@pytest.fixture
def stored(mailbox, store):
    """Alice's mailbox with three letters, of which two are a conversation."""
    store(fetched(1), fetched(2, letter(2, answers=1)), fetched(3))
    return mailbox


def test_nothing_is_left_of_a_deleted_mailbox(stored):
    stored.delete()
    assert not any(model.objects.exists() for model in BELOW)


def test_the_mail_of_others_stays(stored, shared_mailbox):
    folder = Folder.objects.create(mailbox=shared_mailbox, name="INBOX", raw_name=b"INBOX")
    Conversation.objects.create(mailbox=shared_mailbox, subject="Prices", last_at=timezone.now())
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
