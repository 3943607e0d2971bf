"""A mailbox is in the schedule from its first save on, and due again when what decides about it changed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Mailbox
from mailstore.models import SyncSchedule
from protocols.credentials import Secret


@pytest.fixture
def resting(mailbox: Mailbox) -> SyncSchedule:
    """Alice's mailbox, synced and not due for an hour. Read again, as a view would."""
    SyncSchedule.objects.update(due_at=timezone.now() + timedelta(hours=1), finished_at=timezone.now())
    return SyncSchedule.objects.select_related("mailbox").get(mailbox=mailbox)


def is_due(row: SyncSchedule) -> bool:
    return SyncSchedule.objects.due(timezone.now()).filter(pk=row.pk).exists()


def test_a_new_mailbox_is_due(mailbox):
    assert is_due(SyncSchedule.objects.get(mailbox=mailbox))


def test_a_mailbox_that_only_sends_has_no_schedule(make_mailbox):
    mailbox = make_mailbox("notices@example.org", imap_host="")
    assert not SyncSchedule.objects.filter(mailbox=mailbox).exists()


def test_a_mailbox_that_gets_an_imap_server_later_is_due(make_mailbox):
    mailbox = make_mailbox("notices@example.org", imap_host="")
    mailbox.imap_host = "imap.example.org"
    mailbox.save()
    assert is_due(SyncSchedule.objects.get(mailbox=mailbox))


@pytest.mark.parametrize(
    ("name", "value"),
    [("imap_host", "imap2.example.org"), ("imap_port", 143), ("password", Secret("new")), ("download_period", "year")],
)
def test_what_decides_about_the_sync_makes_it_due(resting, name, value):
    setattr(resting.mailbox, name, value)
    resting.mailbox.save()
    assert is_due(resting)


def test_another_name_does_not_make_it_due(resting):
    resting.mailbox.display_name = "Alice in Berlin"
    resting.mailbox.save()
    assert not is_due(resting)


def test_a_refused_login_keeps_its_waiting_time(resting):
    resting.mailbox.login_refusals = 1
    resting.mailbox.download_period = "year"
    resting.mailbox.save()
    assert not is_due(resting)


def test_new_credentials_after_a_refusal_are_tried_at_once(resting):
    Mailbox.objects.update(login_refusals=2, paused_at=timezone.now())
    mailbox = Mailbox.objects.get(pk=resting.mailbox_id)
    mailbox.password, mailbox.login_refusals, mailbox.paused_at = Secret("right"), 0, None
    mailbox.save()
    assert is_due(resting)


def test_a_mailbox_that_does_not_download_is_left_alone(resting):
    resting.mailbox.downloads = False
    resting.mailbox.save()
    resting.refresh_from_db()
    assert not is_due(resting)
    assert resting.waiting_for == ""
