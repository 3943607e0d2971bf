"""Clocks that jump, and dates that no calendar should hold (fault R22)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.models import Mailbox
from mailstore import claiming, runs, schedule, tasks
from mailstore.models import ChangeQueue, Comparison, MailHost, SyncSchedule, Watcher
from mailstore.reading import Envelope, read_message
from mailstore.waits import backed_off, jittered
from tests.mailstore.receiving.letters import NOON

pytestmark = [pytest.mark.django_db, pytest.mark.proves("R22")]
DAY = timedelta(days=1)


@pytest.fixture
def mailbox(make_mailbox) -> Mailbox:
    mailbox = make_mailbox(imap_host="imap.example.org")
    schedule.ensure(mailbox)
    return mailbox


@pytest.fixture
def tomorrow() -> datetime:
    """What the clock said before it was put back."""
    return timezone.now() + DAY


def row(mailbox: Mailbox) -> SyncSchedule:
    return SyncSchedule.objects.get(pk=mailbox.pk)


def test_a_mailbox_that_was_synced_tomorrow_is_due_now(mailbox, tomorrow):
    rows = SyncSchedule.objects.filter(pk=mailbox.pk)
    rows.update(started_at=tomorrow, finished_at=tomorrow, due_at=tomorrow + timedelta(minutes=15))
    tasks.sync_due_mailboxes()
    assert SyncSchedule.objects.due(timezone.now()).filter(pk=mailbox.pk).exists()
    assert row(mailbox).finished_at <= timezone.now()


@pytest.mark.parametrize("mark", ["requested_at", "news_at"])
def test_what_was_asked_or_told_tomorrow_is_found_again_now(mailbox, tomorrow, mark):
    rows = SyncSchedule.objects.filter(pk=mailbox.pk)
    rows.update(**{mark: tomorrow})
    tasks.sync_due_mailboxes()
    assert timezone.now() - timedelta(minutes=1) < getattr(row(mailbox), mark) <= timezone.now()


@pytest.mark.parametrize("mark", ["requested_at", "news_at"])
@pytest.mark.parametrize("ahead", [timedelta(seconds=30), DAY])
def test_a_run_sees_to_what_a_clock_ahead_of_its_own_marked_before_it_began(mailbox, mark, ahead):
    now = timezone.now()
    rows = SyncSchedule.objects.filter(pk=mailbox.pk)
    rows.update(due_at=now, **{mark: now + ahead})
    claimed = claiming.claim_next(now)
    runs.finish(mailbox, claimed, now, arrived=0)
    assert getattr(row(mailbox), mark) is None
    assert not SyncSchedule.objects.due(timezone.now()).exists()


@pytest.mark.parametrize("ahead", [timedelta(seconds=30), DAY])
def test_a_look_at_the_inbox_sees_to_news_of_a_clock_ahead_of_its_own_but_not_to_later_ones(mailbox, ahead):
    now = timezone.now()
    rows = SyncSchedule.objects.filter(pk=mailbox.pk)
    MailHost.objects.create(name="imap.example.org", reached_at=now)
    for told_meanwhile in (True, False):
        rows.update(news_at=now + ahead)
        claimed, _ = claiming.claim_news(mailbox.pk, now)
        if told_meanwhile:
            rows.update(news_at=now + ahead)
        assert runs.finish_news(mailbox, claimed, now, arrived=0, changed=False) is not told_meanwhile
    assert row(mailbox).news_at is None


def test_a_worker_that_died_tomorrow_holds_nothing_until_then(mailbox, tomorrow):
    assert SyncSchedule.objects.claim(mailbox.pk, tomorrow) is not None
    assert SyncSchedule.objects.claim(mailbox.pk, timezone.now()) is None
    tasks.sync_due_mailboxes()
    assert SyncSchedule.objects.claim(mailbox.pk, timezone.now()) == 2


def test_a_refused_login_keeps_its_distance_to_the_second_try(mailbox, tomorrow):
    Mailbox.objects.filter(pk=mailbox.pk).update(login_refusals=1)
    SyncSchedule.objects.filter(pk=mailbox.pk).update(started_at=tomorrow, due_at=tomorrow + timedelta(minutes=12))
    tasks.sync_due_mailboxes()
    wait = row(mailbox).due_at - timezone.now()
    assert timedelta(minutes=9) < wait <= timedelta(minutes=10)


def test_changes_comparisons_servers_and_the_watcher_do_not_wait_for_tomorrow_either(mailbox, tomorrow):
    ChangeQueue.objects.create(mailbox=mailbox, due_at=tomorrow, leased_until=tomorrow)
    Comparison.objects.create(mailbox=mailbox, requested_at=tomorrow, leased_until=tomorrow)
    MailHost.objects.create(name="imap.example.org", failures=5, retry_at=tomorrow, busy_until=tomorrow)
    Watcher.objects.take("gone", tomorrow, watching=0, wanted=0)
    tasks.sync_due_mailboxes()
    now = timezone.now()
    assert ChangeQueue.objects.due(now).exists()
    assert Comparison.objects.get().leased_until is None
    host = MailHost.objects.get(name="imap.example.org")
    assert (host.retry_at <= now, host.busy_until) == (True, None)
    assert Watcher.objects.take("next", now + Watcher.GONE_AFTER, watching=0, wanted=0)


def test_where_no_clock_jumped_nothing_is_written(mailbox):
    now = timezone.now()
    marked = now + timedelta(seconds=30)  # by another machine
    SyncSchedule.objects.filter(pk=mailbox.pk).update(due_at=now)
    fence = SyncSchedule.objects.claim(mailbox.pk, now)
    ChangeQueue.objects.create(mailbox=mailbox, due_at=now + jittered(backed_off(30)), leased_until=None)
    MailHost.objects.create(name="imap.example.org", failures=30, retry_at=now + jittered(backed_off(30)))
    SyncSchedule.objects.filter(pk=mailbox.pk).update(requested_at=marked, news_at=marked)
    before = (row(mailbox), ChangeQueue.objects.values().get(), MailHost.objects.values().get())
    tasks.sync_due_mailboxes()
    after = (row(mailbox), ChangeQueue.objects.values().get(), MailHost.objects.values().get())
    assert before == after
    assert row(mailbox).leased_until == before[0].leased_until
    assert (row(mailbox).requested_at, row(mailbox).news_at) == (marked, marked)
    assert SyncSchedule.objects.holding(mailbox.pk, fence).exists()


def test_after_a_jump_forward_a_late_worker_is_fenced(mailbox, tomorrow):
    now = timezone.now()
    SyncSchedule.objects.filter(pk=mailbox.pk).update(due_at=now)
    late = SyncSchedule.objects.claim(mailbox.pk, now)
    newer = SyncSchedule.objects.claim(mailbox.pk, tomorrow)
    assert newer == late + 1
    assert not SyncSchedule.objects.holding(mailbox.pk, late).exists()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n", datetime(1970, 1, 1, tzinfo=UTC)),
        (b"Date: Fri, 31 Dec 9999 23:59:59 -1200\r\n", None),
        (b"Date: Mon, 1 Jan 0001 00:00:00 +1400\r\n", None),
        (b"Date: 31 Feb 2024 25:61:61 +9999\r\n", None),
        (b"", None),
    ],
)
def test_order_is_the_time_of_arrival_whatever_the_date_field_claims(written, read):
    message = read_message(Envelope(1, frozenset(), NOON, 100), written + b"Subject: when\r\n\r\ntext\r\n")
    assert (message.received_at, message.date) == (NOON, read)


@pytest.mark.parametrize("told", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)])
def test_an_absurd_time_of_arrival_stays_within_what_any_time_zone_can_show(told):
    message = read_message(Envelope(1, frozenset(), told, 100), b"Subject: when\r\n\r\ntext\r\n")
    assert datetime(1970, 1, 1, tzinfo=UTC) <= message.received_at <= datetime(9990, 1, 1, tzinfo=UTC)
