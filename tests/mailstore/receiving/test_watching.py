"""The watcher on a real server: who is watched, what becomes of news, and what it survives (spec G3, fault R7, R16)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from accounts.models import Mailbox
from mailstore import claiming, runs, schedule, tasks, watching, watching_rows
from mailstore.models import SyncSchedule, Watcher
from mailstore.watching import Pace, WatchKeeper
from mailstore.writing import Claim
from organizations import generations
from protocols.errors import Deferred, LoginRefused, Unreachable
from protocols.imap.idle_line import IdleNotOffered
from protocols.steps import StepName
from providers.models import Provider
from tests.mailstore.receiving.server import Account
from tests.servers.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
QUICK = Pace(look_every=0.05)


@pytest.fixture
def nudged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Mailboxes for which a task was put into the queue."""
    queue: list[int] = []
    monkeypatch.setattr(tasks.fetch_news, "apply_async", lambda arguments, **_: queue.append(arguments[0]))
    return queue


@pytest.fixture
def connected(account: Account) -> Account:
    """Synced once, and not due for a while."""
    account.sync()
    SyncSchedule.objects.update(due_at=timezone.now() + timedelta(hours=1))
    return account


@contextmanager
def keeping(pace: Pace = QUICK, holder: str = "test") -> Iterator[WatchKeeper]:
    """A keeper in a loop and thread of its own; whatever breaks it is raised at the end."""
    keeper, broken = WatchKeeper(holder, pace), list[BaseException]()
    loop, stopped = asyncio.new_event_loop(), asyncio.Event()

    def run() -> None:
        try:
            loop.run_until_complete(keeper.run(stopped))
        except BaseException as exc:
            broken.append(exc)
        finally:
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield keeper
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(stopped.set)
        thread.join(10)
    assert not broken, broken
    assert not thread.is_alive()


def watches(keeper: WatchKeeper, number: int) -> None:
    wait_until(lambda: keeper.watching == number, f"{number} watched mailboxes, but {keeper.watching}")


@pytest.mark.proves("G3")
def test_new_mail_is_noted_and_nudges_a_worker_and_the_whole_mailbox_keeps_its_time(connected, nudged):
    with keeping() as keeper:
        watches(keeper, 1)
        assert nudged == []
        connected.deliver_letters(1)
        wait_until(lambda: nudged, "nudge")
    assert nudged == [connected.mailbox.pk]
    row = SyncSchedule.objects.get()
    assert row.news_at is not None
    assert row.due_at > timezone.now()


def test_mail_that_came_while_nobody_watched_is_found_when_the_watch_begins(connected, nudged):
    connected.deliver_letters(1)
    with keeping():
        wait_until(lambda: nudged, "nudge")
    assert nudged == [connected.mailbox.pk]


@pytest.mark.proves("G3")
def test_flags_changed_elsewhere_are_gathered_for_a_moment(connected, nudged, monkeypatch):
    monkeypatch.setattr(watching, "CHANGES_WAIT", 0.4)
    connected.deliver_letters(1, 2, 3)
    connected.sync()
    with keeping() as keeper:
        watches(keeper, 1)
        for uid in ("1", "2", "3"):
            connected.store(uid, "+FLAGS", r"\Flagged")
        wait_until(lambda: nudged, "nudge")
    assert nudged == [connected.mailbox.pk]


@pytest.mark.parametrize(
    "change",
    [
        {"paused_at": timezone.now()},
        {"downloads": False},
        {"imap_host": ""},
        {"login_refusals": 1},
    ],
)
@pytest.mark.proves("G3", "R16")
def test_a_mailbox_that_is_not_to_be_watched_any_more_is_left_within_moments(connected, nudged, change):
    with keeping() as keeper:
        watches(keeper, 1)
        Mailbox.objects.update(**change)
        watches(keeper, 0)
        Mailbox.objects.update(paused_at=None, downloads=True, imap_host=connected.mailbox.imap_host, login_refusals=0)
        watches(keeper, 1)
        Mailbox.objects.all().delete()
        watches(keeper, 0)


def test_the_mailboxes_of_a_deactivated_person_are_not_watched(connected, nudged, alice):
    Mailbox.objects.update(owner=alice)
    with keeping() as keeper:
        watches(keeper, 1)
        type(alice).objects.filter(pk=alice.pk).update(is_active=False)
        watches(keeper, 0)


def test_a_provider_that_allows_few_connections_is_left_to_the_schedule(connected, nudged):
    few = Provider.objects.create(key="few", name="Few", limits={"connections": 2})
    with keeping() as keeper:
        watches(keeper, 1)
        Mailbox.objects.update(provider=few)
        watches(keeper, 0)
        Provider.objects.update(limits={"connections": 3})
        watches(keeper, 1)


def test_a_mailbox_whose_login_never_worked_is_not_tried(connected, nudged, logins):
    Mailbox.objects.update(connected_at=None)
    with keeping():
        wait_until(lambda: Watcher.objects.filter(wanted=0).exists(), "look at the rows")
    assert logins.count == 0


class Logins:
    """Stands for the dialing: counts, and fails with `failure`."""

    def __init__(self) -> None:
        self.count = 0
        self.failure: Exception | None = None
        self.real: Callable[..., object] = watching_rows.idle_line

    def __call__(self, mailbox: Mailbox) -> object:
        self.count += 1
        if self.failure is not None:
            raise self.failure
        return self.real(mailbox)


@pytest.fixture
def logins(monkeypatch: pytest.MonkeyPatch) -> Logins:
    counting = Logins()
    monkeypatch.setattr(watching_rows, "idle_line", counting)
    return counting


@pytest.mark.proves("D4", "R16")
def test_a_refused_login_is_counted_and_not_offered_again(connected, nudged, logins):
    logins.failure = LoginRefused("no", reply="[AUTHENTICATIONFAILED] no")
    with keeping():
        wait_until(lambda: Mailbox.objects.get().login_refusals == 1, "counted refusal")
        watches_nothing_for(0.4)
        Mailbox.objects.update(login_refusals=2)
        watches_nothing_for(0.2)
    assert (logins.count, Mailbox.objects.get().login_refusals) == (1, 2)
    row = SyncSchedule.objects.get()
    assert row.due_at >= timezone.now() + timedelta(minutes=9)


@pytest.mark.proves("R16")
def test_a_refusal_that_the_database_did_not_take_is_not_forgotten(connected, nudged, logins, monkeypatch):
    logins.failure = LoginRefused("no")
    real, failures = watching_rows.runs.refused_to_watch, []

    def fail_twice(pk, now):
        if len(failures) < 2:
            failures.append(pk)
            raise OperationalError("gone")
        real(pk, now)

    monkeypatch.setattr(watching_rows.runs, "refused_to_watch", fail_twice)
    with keeping():
        wait_until(lambda: Mailbox.objects.get().login_refusals == 1, "counted refusal")
    assert logins.count == 1


@pytest.mark.parametrize(
    "failure",
    [
        Unreachable("down", step=StepName.TCP),
        Deferred("busy", reply="[LIMIT] Too many connections"),
        IdleNotOffered("no IDLE"),
        RuntimeError("a fault of ours"),
    ],
)
@pytest.mark.proves("R15", "G3")
def test_a_failed_login_waits_at_least_a_minute_and_counts_nothing(connected, nudged, logins, failure, expected_errors):
    if isinstance(failure, RuntimeError):
        expected_errors("could not be watched")
    logins.failure = failure
    with keeping():
        wait_until(lambda: logins.count, "login")
        watches_nothing_for(0.5)
    assert (logins.count, Mailbox.objects.get().login_refusals, nudged) == (1, 0, [])


def watches_nothing_for(seconds: float) -> None:
    threading.Event().wait(seconds)


@pytest.mark.proves("G3")
def test_news_survive_a_database_that_is_gone_for_a_while(connected, nudged, monkeypatch):
    real, refused = schedule.notice, threading.Event()

    def notice(pks):
        if not refused.is_set():
            refused.set()
            raise OperationalError("gone")
        real(pks)

    monkeypatch.setattr(schedule, "notice", notice)
    with keeping() as keeper:
        watches(keeper, 1)
        connected.deliver_letters(1)
        wait_until(lambda: nudged, "nudge")
    assert refused.is_set()
    assert nudged == [connected.mailbox.pk]


def test_lines_stay_while_the_rows_cannot_be_read(connected, nudged, monkeypatch):
    with keeping() as keeper:
        watches(keeper, 1)
        real, failed = watching_rows.look, threading.Event()

        def look(*_):
            failed.set()
            raise OperationalError("gone")

        monkeypatch.setattr(watching_rows, "look", look)
        assert failed.wait(5)
        connected.deliver_letters(1)
        wait_until(lambda: nudged, "nudge")
        assert keeper.watching == 1
        monkeypatch.setattr(watching_rows, "look", real)


@pytest.mark.proves("R29")
def test_a_watcher_older_than_the_database_lets_go_of_all_lines(connected, newer_version, monkeypatch, expected_errors):
    expected_errors("prepared by a newer version")
    monkeypatch.setattr(generations, "LOOK_EVERY", 0)
    with keeping() as keeper:
        watches(keeper, 1)
        newer = newer_version()
        watches(keeper, 0)
        assert not Watcher.objects.exists()
        newer.delete()
        watches(keeper, 1)


@pytest.mark.proves("G3")
def test_the_second_watcher_stands_by_and_takes_over_when_the_first_ends(connected, nudged):
    with keeping(holder="second") as second:
        with keeping(holder="first") as first:
            wait_until(lambda: first.watching + second.watching == 1, "watch")
            holder = Watcher.objects.get().holder
        if holder == "first":
            watches(second, 1)
        assert Watcher.objects.get().holder == "second"
    assert not Watcher.objects.exists()


def test_a_watcher_that_died_is_replaced_after_a_while(db):
    now = timezone.now()
    assert Watcher.objects.take("dead", now, watching=3, wanted=4)
    assert not Watcher.objects.take("next", now + timedelta(seconds=20), watching=0, wanted=0)
    assert Watcher.objects.take("next", now + timedelta(seconds=31), watching=0, wanted=0)
    assert not Watcher.objects.take("dead", now + timedelta(seconds=32), watching=3, wanted=4)


def test_news_during_a_sync_bring_another_one_and_news_after_a_failure_do_not_hurry(connected, nudged):
    SyncSchedule.objects.update(due_at=timezone.now())
    fence = SyncSchedule.objects.claim(connected.mailbox.pk, timezone.now())
    schedule.notice([connected.mailbox.pk])
    row = SyncSchedule.objects.get()
    assert fence is not None
    assert row.news_at > row.started_at
    runs.finish(connected.mailbox, Claim(connected.mailbox.pk, fence), timezone.now(), arrived=0)
    assert claiming.claim_next(timezone.now()) is not None
    later = timezone.now() + timedelta(minutes=4)
    SyncSchedule.objects.update(failures=1, due_at=later, leased_until=None)
    nudged.clear()
    schedule.notice([connected.mailbox.pk])
    assert SyncSchedule.objects.get().due_at == later
    assert nudged == []
    assert claiming.claim_news(connected.mailbox.pk, timezone.now()) is None


@pytest.mark.proves("R26")
def test_a_host_that_does_not_answer_is_tried_once_and_holds_up_nobody(connected, nudged, make_mailbox, monkeypatch):
    dead = [
        make_mailbox(f"{number}@dead.test", imap_host="imap.dead.test", connected_at=timezone.now())
        for number in range(20)
    ]
    tried: list[int] = []
    real = watching_rows.idle_line

    def dial(mailbox):
        if mailbox.imap_host == "imap.dead.test":
            tried.append(mailbox.pk)
            raise Unreachable("nothing answers", step=StepName.TCP)
        return real(mailbox)

    monkeypatch.setattr(watching_rows, "idle_line", dial)
    with keeping() as keeper:
        watches(keeper, 1)
        watches_nothing_for(0.5)
    assert 1 <= len(tried) <= Pace().per_host
    assert len(dead) == 20
