"""Telling: once per person and event, with the transaction, to nobody else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from notifications.choosing import choose
from notifications.kinds import Kind
from notifications.models import MailChoice, Notification
from notifications.removal import remove_outlived
from notifications.tasks import remove_outlived_notifications
from notifications.telling import tell
from organizations import live
from organizations.models import AuditEntry, User
from tests.conftest import person

pytestmark = pytest.mark.django_db

WORDS = {"title": "desk@ needs attention", "url": "/mailboxes/1/settings", "key": "mailbox-1"}


@pytest.mark.proves("A7")
def test_telling_twice_is_telling_once(alice, bob):
    now = timezone.now()
    tell([alice, bob], Kind.MAILBOX_DISCONNECTED, now=now, **WORDS)
    tell([alice], Kind.MAILBOX_DISCONNECTED, now=now + timedelta(minutes=5), **WORDS)
    assert Notification.objects.of(alice).get().at == now
    assert Notification.objects.of(bob).unread_count() == 1


def test_what_is_rolled_back_was_never_told(alice):
    with transaction.atomic():
        tell([alice], Kind.MAILBOX_DISCONNECTED, now=timezone.now(), **WORDS)
        transaction.set_rollback(True)
    assert not Notification.objects.exists()


def test_who_was_deactivated_or_removed_meanwhile_is_told_nothing(alice, bob, charlie):
    User.objects.filter(pk=alice.pk).update(is_active=False)
    User.objects.filter(pk=bob.pk).delete()
    tell([alice, bob, charlie], Kind.MAILBOX_DISCONNECTED, now=timezone.now(), **WORDS)
    assert [notification.user for notification in Notification.objects.all()] == [charlie]


def test_open_pages_hear_of_it_after_the_commit(alice, bob, monkeypatch, django_capture_on_commit_callbacks):
    heard = []
    monkeypatch.setattr(live, "_publish", lambda channel, text: heard.append((channel, text)))
    with django_capture_on_commit_callbacks(execute=True):
        tell([alice, bob], Kind.MAILBOX_DISCONNECTED, now=timezone.now(), **WORDS)
        assert not heard
    channel = f"live:{alice.organization_id}"
    news = '{"kind": "notifications", "pk": %d}'
    assert heard == [(channel, news % alice.pk), (channel, news % bob.pk)]


def test_many_people_cost_as_many_queries_as_one(assert_queries, organization):
    crowd = [
        person(organization, f"Person{number}") for number in range(90)
    ]  # SQLite takes 999 values in one statement
    with assert_queries(2):
        tell(crowd, Kind.MAILBOX_DISCONNECTED, now=timezone.now(), **WORDS)
    assert Notification.objects.count() == 90


@pytest.mark.proves("A7")
def test_by_mail_goes_what_the_person_chose_and_otherwise_what_makes_sense(alice, bob, told):
    assert [kind for kind, wanted in MailChoice.objects.of(alice).items() if not wanted] == [Kind.MAILBOX_CONNECTED]
    everything_else = {kind: kind is Kind.MAILBOX_CONNECTED for kind in Kind}
    assert choose(alice, everything_else) == list(Kind)
    assert told(alice, kind=Kind.MAILBOX_DISCONNECTED).mail_due_at is None
    assert told(alice, kind=Kind.MAILBOX_CONNECTED).mail_due_at is not None
    assert told(bob, kind=Kind.MAILBOX_DISCONNECTED).mail_due_at is not None
    assert told(bob, kind=Kind.MAILBOX_CONNECTED).mail_due_at is None


def test_switching_a_kind_off_stops_what_still_waits_for_its_mail(alice, told):
    waiting, other = told(alice, kind=Kind.MAILBOX_DISCONNECTED), told(alice, kind=Kind.MESSAGE_FAILED)
    choose(alice, {kind: kind is not Kind.MAILBOX_DISCONNECTED for kind in Kind})
    assert list(Notification.objects.awaiting_mail()) == [other]
    assert Notification.objects.of(alice).filter(pk=waiting.pk).exists()
    entry = AuditEntry.objects.get(action="user.notifications_changed")
    assert entry.detail["after"] == {"mailbox_disconnected": False, "mailbox_connected": True}


def test_choosing_what_is_so_already_changes_nothing(alice):
    assert choose(alice, MailChoice.objects.of(alice)) == []
    assert not MailChoice.objects.exists()
    assert not AuditEntry.objects.exists()


def test_what_was_read_goes_after_ninety_days_and_what_is_unread_stays(alice, told, monkeypatch):
    monkeypatch.setattr("notifications.removal.AT_ONCE", 2)
    now = timezone.now()
    rows = [told(alice, minutes=200 * 24 * 60) for _ in range(7)]
    for row, days in zip(rows, (91, 91, 91, 91, 91, 89), strict=False):
        Notification.objects.filter(pk=row.pk).update(read_at=now - timedelta(days=days))
    assert remove_outlived(now) == 5
    assert set(Notification.objects.all()) == set(rows[5:])
    remove_outlived_notifications()
    assert set(Notification.objects.all()) == set(rows[5:])
