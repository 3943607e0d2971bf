"""A database whose disk is full: nothing is lost, and the page says what to do (fault R23)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from django.db import DataError, InternalError, OperationalError, connection
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox
from delivery.models import OutboxMessage, OutboxMessageQuerySet, Typed
from delivery.outbox import kept_or_told
from mailstore import syncing
from mailstore.full_database import DATABASE_FULL, is_full
from mailstore.models import SyncSchedule
from organizations.scopes import Scope
from tests.api.conftest import Api, api_of, assert_problem

__all__ = ["api_of"]

pytestmark = pytest.mark.django_db(transaction=True)


def full_on_postgresql() -> OperationalError:
    told = OperationalError("could not extend file: No space left on device")
    told.__cause__ = psycopg.errors.DiskFull()
    return told


def refusing(error: Exception) -> Callable[..., None]:
    def refuse(*_: object, **__: object) -> None:
        raise error

    return refuse


@pytest.fixture
def full_disk(monkeypatch) -> Iterator[None]:
    """A database that may not grow by a single page; PostgreSQL knows no such limit, there the write says so itself."""
    if connection.vendor != "sqlite":
        monkeypatch.setattr(OutboxMessageQuerySet, "bulk_create", refusing(full_on_postgresql()))
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


def queue_by_api(api: Api, mailbox: Mailbox, **headers: str) -> object:
    text = "Dear Bob, " + "word " * 40_000
    mail = {"mailbox": mailbox.pk, "to": [{"address": "bob@example.org"}], "subject": "Hello", "text": text}
    return api.post("/outbox", mail, **headers)


@pytest.mark.proves("R23")
def test_a_program_is_told_that_there_is_no_room_and_its_mail_is_kept_once_there_is(
    api_of, alice, mailbox, monkeypatch, expected_errors
):
    expected_errors("Insufficient Storage")
    api = api_of(alice, Scope.OUTBOX_READ, Scope.OUTBOX_SEND)
    assert api.get("/outbox").data["items"] == []
    with monkeypatch.context() as patch:
        patch.setattr(OutboxMessageQuerySet, "bulk_create", refusing(full_on_postgresql()))
        answer = queue_by_api(api, mailbox, Idempotency_Key="one")
    assert_problem(answer, 507, "no-room")
    assert not OutboxMessage.objects.exists()
    assert queue_by_api(api, mailbox, Idempotency_Key="one").status_code == 201
    assert OutboxMessage.objects.count() == 1


@pytest.mark.proves("R23")
@pytest.mark.parametrize("trouble", ["read-only on SQLite", "read-only on PostgreSQL", "away"])
def test_a_database_that_takes_nothing_just_now_is_told_apart_from_a_full_one(
    api_of, client_of, alice, mailbox, monkeypatch, trouble, expected_errors
):
    expected_errors("Service Unavailable")
    read_only = InternalError("cannot execute INSERT in a read-only transaction")
    read_only.__cause__ = psycopg.errors.ReadOnlySqlTransaction()
    errors = {
        "read-only on SQLite": OperationalError("attempt to write a readonly database"),
        "read-only on PostgreSQL": read_only,
        "away": OperationalError("the connection is closed"),
    }
    monkeypatch.setattr(OutboxMessageQuerySet, "bulk_create", refusing(errors[trouble]))
    api = api_of(alice, Scope.OUTBOX_READ, Scope.OUTBOX_SEND)
    answer = queue_by_api(api, mailbox, Idempotency_Key="one")
    assert_problem(answer, 503, "not-kept")
    assert answer["Retry-After"] == "60"
    values = {"mailbox": mailbox.pk, "to": "bob@example.org", "subject": "Hello", "submission_key": "key"}
    page = client_of(alice).post(reverse("delivery:compose"), values | {"text": "Dear Bob, how are you?"})
    assert page.status_code == 422
    assert "the database takes nothing just now" in page.content.decode()
    assert "Dear Bob, how are you?" in page.content.decode()


@pytest.mark.proves("R23")
def test_a_disk_that_is_full_after_the_mail_but_before_what_was_typed_keeps_neither(
    client_of, alice, mailbox, monkeypatch
):
    monkeypatch.setattr(Typed.objects, "create", refusing(full_on_postgresql()))
    values = {"mailbox": mailbox.pk, "to": "bob@example.org", "subject": "Hello", "submission_key": "key"}
    answer = client_of(alice).post(reverse("delivery:compose"), values | {"text": "Dear Bob, how are you?"})
    assert answer.status_code == 422
    assert "the disk of this installation is full" in answer.content.decode()
    assert "Dear Bob, how are you?" in answer.content.decode()
    assert not OutboxMessage.objects.exists()


def test_a_defect_of_ours_is_no_trouble_of_the_database():
    with pytest.raises(DataError), kept_or_told():
        raise DataError("value too long")


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
