"""The database breaks off, refuses a transaction, or keeps to itself whether it was committed (fault R5)."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from accounts.models import State
from mailstore import bulk, schedule
from mailstore.models import Message, SyncSchedule
from tests.mailstore.receiving.server import Account

pytestmark = pytest.mark.django_db(transaction=True)

LETTERS = range(1, 8)


@pytest.fixture
def small(account: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    """Seven letters, two in a batch."""
    for name in ("BATCH", "FIRST_PAGE"):
        monkeypatch.setattr(f"mailstore.pulling.{name}", 2)
    account.deliver_letters(*LETTERS)
    return account


def assert_waits_for_the_database(account: Account) -> None:
    row = SyncSchedule.objects.select_related("mailbox").get()
    assert (row.leased_until, row.failures) == (None, 1)
    assert row.due_at > timezone.now()
    shown = schedule.progress(row, timezone.now())
    assert shown.state == State.WAITING
    assert "database" in shown.waiting_for


def assert_whole(account: Account) -> None:
    account.sync()
    assert account.uids() == list(LETTERS)
    assert Message.objects.count() == len(LETTERS)


@pytest.mark.proves("R5", "V8")
@pytest.mark.parametrize("said", ["deadlock detected", "could not serialize access", "database is locked"])
def test_a_refused_transaction_is_tried_again_later_and_doubles_nothing(small, monkeypatch, said):
    insert, tries = bulk.insert_rows, []

    def refused_once(model, columns, values):
        if model is Message:
            tries.append(model)
            if len(tries) == 2:
                raise OperationalError(said)
        insert(model, columns, values)

    monkeypatch.setattr(bulk, "insert_rows", refused_once)
    with pytest.raises(OperationalError, match=said):
        small.sync()
    assert_waits_for_the_database(small)
    assert 0 < Message.objects.count() < len(LETTERS)
    assert_whole(small)


@pytest.mark.proves("R1", "R5")
def test_a_commit_whose_answer_was_lost_is_not_repeated(small, monkeypatch):
    commit, stored = connection.commit, []

    def answer_lost() -> None:
        number = 0 if stored else Message.objects.count()
        commit()
        if number:
            stored.append(number)
            raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(connection._connections["default"], "commit", answer_lost)
    with pytest.raises(OperationalError, match="unexpectedly"):
        small.sync()
    assert stored == [2], "the batch had been committed"
    assert_waits_for_the_database(small)
    assert_whole(small)
