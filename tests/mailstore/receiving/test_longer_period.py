"""A longer period fetches the older mail at the next sync; what is stored is neither fetched again nor removed (E7)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from mailstore import pulling
from mailstore.models import Arrival, Folder, Message
from protocols.errors import Unreachable
from protocols.imap.plan import UidSet
from tests.mailstore.receiving.letters import letter
from tests.mailstore.receiving.server import Account

pytestmark = [pytest.mark.django_db, pytest.mark.proves("E7")]

DAYS_AGO = (400, 200, 60, 20, 3)  # UID 1 is the oldest


@pytest.fixture
def account(account: Account) -> Account:
    """With one letter of each age, downloaded for the last week."""
    for number, days in enumerate(DAYS_AGO, start=1):
        account.deliver(letter(number), at=timezone.now() - timedelta(days=days))
    choose(account, "week")
    account.sync()
    assert account.uids() == [5]
    return account


@pytest.fixture
def fetched(monkeypatch) -> list[str]:
    """What was asked of the server, as sequence sets."""
    asked: list[str] = []
    unwatched = pulling.pull

    def watched(run, folder, wanted: UidSet, **how):
        asked.extend([str(wanted)] if wanted else [])
        return unwatched(run, folder, wanted, **how)

    monkeypatch.setattr(pulling, "pull", watched)
    return asked


def choose(account: Account, period: str) -> None:
    account.mailbox.download_period = period
    account.mailbox.save(update_fields=["download_period"])


def test_each_longer_period_fetches_what_it_adds_and_nothing_twice(account: Account, fetched: list[str]):
    kept = Message.objects.get().pk
    for period, uids, asked in (("month", [4, 5], "4"), ("quarter", [3, 4, 5], "3"), ("everything", None, "1:2")):
        fetched.clear()
        choose(account, period)
        account.sync()
        assert account.uids() == (uids or [1, 2, 3, 4, 5])
        assert fetched == [asked]
    assert Message.objects.get(uid=5).pk == kept
    fetched.clear()
    account.sync()
    assert not fetched


def test_older_mail_is_no_news(account: Account):
    before = Arrival.objects.count()
    choose(account, "year")
    account.sync()
    assert len(account.uids()) == 4
    assert Arrival.objects.count() == before


def test_a_shorter_period_removes_nothing_and_a_longer_one_again_fetches_nothing(account: Account, fetched: list[str]):
    choose(account, "everything")
    account.sync()
    fetched.clear()
    for period in ("day", "year", "everything"):
        choose(account, period)
        account.sync()
        assert account.uids() == [1, 2, 3, 4, 5]
    assert not fetched


def test_what_was_deleted_on_the_server_meanwhile_does_not_come(account: Account):
    account.expunge("3")
    choose(account, "everything")
    account.sync()
    assert account.uids() == [1, 2, 4, 5]


def test_new_mail_comes_as_news_beside_the_older_mail(account: Account):
    account.deliver(letter(6))
    choose(account, "everything")
    account.sync()
    assert account.uids() == [1, 2, 3, 4, 5, 6]
    assert [arrival.message.uid for arrival in Arrival.objects.all()] == [6]


def test_a_broken_line_is_no_reason_to_forget_the_older_mail(account: Account, fetched: list[str], monkeypatch):
    choose(account, "everything")
    with monkeypatch.context() as broken:
        watched = pulling.pull

        def break_off(run, folder, wanted: UidSet, **how):
            watched(run, folder, wanted & UidSet([4]), **how)
            raise Unreachable("The line broke.")

        broken.setattr(pulling, "pull", break_off)
        account.sync()
    assert account.uids() == [4, 5]
    fetched.clear()
    choose(account, "week")  # what was begun is finished, whatever is chosen meanwhile
    account.sync()
    assert account.uids() == [1, 2, 3, 4, 5]
    assert fetched == ["1:3"]


def test_a_folder_from_before_is_asked_once_for_what_is_missing(account: Account, fetched: list[str]):
    """What the migration leaves: nobody knows how far back the folder reached."""
    choose(account, "month")
    folder = Folder.objects.get(name="INBOX")
    Folder.objects.filter(pk=folder.pk).update(covers_from=folder.synced_at)
    account.sync()
    account.sync()
    assert fetched == ["4"]
