"""Mail that was moved or copied by another program is not stored twice (decision 10)."""

from __future__ import annotations

import pytest
from django.db import OperationalError

from mailstore import shared_octets, writing
from mailstore.models import Message
from mailstore.packs import directory_of, read_raw
from tests.mailstore.receiving.letters import letter

pytestmark = pytest.mark.django_db


def stored_octets(account) -> int:
    return sum(path.stat().st_size for path in directory_of(account.mailbox.pk).glob("*.pack"))


@pytest.fixture
def archived(account):
    """Three letters, two of which another program moved after they were stored."""
    account.command("create", "Archive")
    account.deliver_letters(1, 2, 3)
    account.sync()
    account.select("INBOX")
    account.client.uid("MOVE", "1:2", "Archive")
    account.unselect()
    return account


@pytest.mark.proves("V3")
def test_what_was_moved_names_the_octets_that_are_there(archived):
    before = stored_octets(archived)
    archived.deliver_letters(4, folder="Archive")
    archived.sync()
    assert archived.subjects("Archive") == ["Letter 1", "Letter 2", "Letter 4"]
    assert stored_octets(archived) == before + len(letter(4))
    for message in Message.objects.all():
        assert read_raw(message, verify=True) == letter(int(message.subject.split()[1]))


def test_the_copy_stays_when_the_message_it_was_copied_from_goes(archived):
    archived.sync()
    Message.objects.filter(folder__name="INBOX", subject__in=["Letter 1", "Letter 2"]).delete()
    for message in Message.objects.filter(folder__name="Archive"):
        assert read_raw(message, verify=True)


def test_other_octets_under_the_same_name_and_a_damaged_copy_are_not_believed(archived):
    mailbox = archived.mailbox
    assert shared_octets.place_of(mailbox.pk, letter(1)) is not None
    assert shared_octets.place_of(mailbox.pk, letter(1).replace(b"Hello", b"Hollo")) is None
    assert shared_octets.place_of(mailbox.pk, b"Subject: x\r\n\r\n") is None
    [pack] = directory_of(mailbox.pk).glob("*.pack")
    pack.write_bytes(b"x" * pack.stat().st_size)
    assert shared_octets.place_of(mailbox.pk, letter(1)) is None
    archived.sync()
    for message in Message.objects.filter(folder__name="Archive"):
        assert read_raw(message, verify=True)


@pytest.mark.proves("R23")
def test_a_full_database_cuts_off_nothing_that_is_shared(archived, monkeypatch, expected_errors):
    expected_errors("full")
    insert = writing._insert

    def full(*_):
        raise OperationalError("database or disk is full")

    monkeypatch.setattr(writing, "_insert", full)
    monkeypatch.setattr(writing, "is_full", lambda exc: True)
    monkeypatch.setattr("mailstore.endings.is_full", lambda exc: True)
    archived.sync()
    for message in Message.objects.all():
        assert read_raw(message, verify=True)
    monkeypatch.setattr(writing, "_insert", insert)
    archived.sync()
    assert archived.subjects("Archive") == ["Letter 1", "Letter 2"]
