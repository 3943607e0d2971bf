"""Words of a large download: found wherever they were put, and gone with the last message of their batch."""

from __future__ import annotations

import pytest
from django.db import connection

from mailstore import bulk
from mailstore.models import Message
from mailstore.postings import posted
from mailstore.searching import search_messages
from mailstore.writing import store_batch
from tests.mailstore.receiving.letters import fetched, letter, placed

pytestmark = pytest.mark.django_db


@pytest.fixture
def store_posted(inbox, claim, packs):
    """`store_posted(*uids)` stores letters with the postings that the reader process would make of them."""

    def storing(*uids: int) -> None:
        messages = placed(packs, *(fetched(uid, letter(uid, subject=f"Number{uid} greetings")) for uid in uids))
        ordered, postings = posted([read.texts for read, _ in messages])
        messages = [
            (read._replace(in_order=words), place) for (read, place), words in zip(messages, ordered, strict=True)
        ]
        store_batch(inbox, messages, claim=claim, packs=packs, postings=postings)

    return storing


def found(text: str) -> set[int]:
    return set(search_messages(Message.objects.all(), text).values_list("uid", flat=True))


def rows(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return cursor.fetchone()[0]


def test_batches_are_found_by_their_postings(store_posted):
    store_posted(1, 2, 3)
    store_posted(4, 5)
    assert found("greetings") == {1, 2, 3, 4, 5}
    assert found("subject:number4") == {4}
    assert found('"number2 greetings"') == {2}
    assert found("greetings -number1") == {2, 3, 4, 5}


def test_a_batch_of_which_something_is_stored_already_is_found_all_the_same(store_posted):
    store_posted(1, 2)
    store_posted(2, 3)
    assert [found(f"number{uid}") for uid in (1, 2, 3)] == [{1}, {2}, {3}]


def test_a_batch_that_the_database_refuses_as_a_whole_is_found_all_the_same(store_posted, monkeypatch):
    insert_rows, refused = bulk.insert_rows, []

    def refusing(model, columns, rows):
        if model is Message and len(rows) > 1:
            refused.append(len(rows))
            raise ValueError("too much at once")
        insert_rows(model, columns, rows)

    monkeypatch.setattr(bulk, "insert_rows", refusing)
    store_posted(1, 2, 3)
    assert refused
    assert [found(f"number{uid}") for uid in (1, 2, 3)] == [{1}, {2}, {3}]


def test_postings_leave_with_the_last_message_of_their_batch(store_posted):
    store_posted(1, 2)
    store_posted(3)
    Message.objects.filter(uid=1).delete()
    assert found("greetings") == {2, 3}
    if connection.vendor == "postgresql":
        held = rows("mailstore_posting")
        assert rows("mailstore_postingbatch") == 2
    Message.objects.filter(uid=2).delete()
    assert found("greetings") == {3}
    if connection.vendor == "postgresql":
        assert rows("mailstore_postingbatch") == 1
        assert 0 < rows("mailstore_posting") < held
    Message.objects.all().delete()
    if connection.vendor == "postgresql":
        assert rows("mailstore_postingbatch") == rows("mailstore_posting") == 0
