"""A database whose disk is full: nothing is lost, and the page says what to do (fault R23)."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from django.db import OperationalError, connection
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox
from delivery.models import OutboxMessage
from mailstore import syncing
from mailstore.full_database import DATABASE_FULL, is_full
from mailstore.models import SyncSchedule

pytestmark = pytest.mark.django_db(transaction=True)


def full_on_postgresql() -> OperationalError:
    told = OperationalError("could not extend file: No space left on device")
    told.__cause__ = psycopg.errors.DiskFull()
    return told


@pytest.fixture
def full_disk(monkeypatch) -> Iterator[None]:
    """A database that may not grow by a single page; PostgreSQL knows no such limit, there the write says so itself."""
    if connection.vendor != "sqlite":

        def refuse(*_: object, **__: object) -> None:
            raise full_on_postgresql()

        monkeypatch.setattr(OutboxMessage, "save", refuse)
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA page_count")
        cursor.execute(f"PRAGMA max_page_count = {cursor.fetchone()[0]}")
    yield
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA max_page_count = 4294967294")


@pytest.mark.proves("R23")
def test_a_mail_that_finds_no_room_is_refused_with_its_text_still_there(client_of, alice, mailbox, full_disk):
    values = {"mailbox": mailbox.pk, "to": "bob@example.org", "subject": "Hello", "submission_key": "key"}
    answer = client_of(alice).post(reverse("delivery:compose"), values | {"text": "Dear Bob, " + "word " * 50_000})
    assert answer.status_code == 422
    assert "the disk of this installation is full" in answer.content.decode()
    assert "Dear Bob" in answer.content.decode()
    assert not OutboxMessage.objects.exists()


@pytest.mark.proves("R23")
def test_a_sync_that_finds_no_room_says_so_and_waits(mailbox: Mailbox, monkeypatch, expected_errors):
    expected_errors("disk of the database")

    def full(*_: object) -> None:
        raise OperationalError("database or disk is full")

    monkeypatch.setattr(syncing, "imap_session", full)
    fence = SyncSchedule.objects.claim(mailbox.pk, timezone.now())
    syncing.sync(mailbox.pk, fence)
    schedule = SyncSchedule.objects.get()
    assert (schedule.waiting_for, schedule.leased_until) == (DATABASE_FULL, None)
    assert schedule.due_at > timezone.now()


def test_other_troubles_of_a_database_are_no_full_disk():
    assert is_full(full_on_postgresql())
    assert not is_full(OperationalError("database is locked"))
