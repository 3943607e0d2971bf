"""Due times, claims and what a card says, on whichever engine the suite runs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts.models import Mailbox, State
from mailstore import claiming, heartbeat, runs, schedule, tasks, waits
from mailstore.models import LEASE, SyncSchedule
from mailstore.writing import Claim
from tests.mailstore.receiving.letters import NOON
from tests.simultaneously import simultaneously

pytestmark = pytest.mark.django_db


@pytest.fixture
def nudged(monkeypatch) -> list[int]:
    """Mailboxes for which a task was put into the queue."""
    queue: list[int] = []
    monkeypatch.setattr(tasks.sync_mailbox, "apply_async", lambda arguments, **_: queue.append(arguments[0]))
    return queue


def test_a_new_mailbox_is_due_at_once(mailbox):
    schedule.ensure(mailbox)
    assert claiming.claim_next(timezone.now()).mailbox_pk == mailbox.pk


@pytest.mark.proves("R28")
def test_two_beats_or_none_for_an_hour_sync_a_mailbox_once(mailbox, monkeypatch):
    synced: list[int] = []
    monkeypatch.setattr(tasks, "wake", lambda task: task())  # as if a worker were free at once
    monkeypatch.setattr(tasks.syncing, "sync", lambda pk, fence: synced.append(pk))
    _vouched_for(mailbox)
    SyncSchedule.objects.update(due_at=timezone.now() - timedelta(hours=1))
    tasks.sync_due_mailboxes()
    tasks.sync_due_mailboxes()
    assert synced == [mailbox.pk]
    SyncSchedule.objects.update(leased_until=timezone.now() - timedelta(seconds=1))  # its worker died
    tasks.sync_due_mailboxes()
    assert synced == [mailbox.pk, mailbox.pk]


@pytest.mark.parametrize("change", [{"paused_at": NOON}, {"imap_host": ""}, {"downloads": False}])
def test_a_mailbox_that_does_not_receive_by_itself_is_never_due(mailbox, change):
    schedule.ensure(mailbox)
    Mailbox.objects.filter(pk=mailbox.pk).update(**change)
    assert claiming.claim_next(timezone.now()) is None


@pytest.mark.proves("E10")
def test_a_mailbox_that_does_not_download_by_itself_is_synced_when_somebody_asks(mailbox, nudged):
    Mailbox.objects.filter(pk=mailbox.pk).update(downloads=False)
    schedule.request_sync(mailbox.pk)
    fence = SyncSchedule.objects.claim(mailbox.pk, timezone.now())
    assert fence is not None
    runs.finish(mailbox, Claim(mailbox.pk, fence), timezone.now(), arrived=0)
    SyncSchedule.objects.update(due_at=timezone.now())
    assert SyncSchedule.objects.claim(mailbox.pk, timezone.now()) is None


@pytest.mark.proves("E10")
def test_asking_for_a_sync_nudges_after_the_commit(mailbox, nudged, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        schedule.request_sync(mailbox.pk)
        assert nudged == []
    assert nudged == [mailbox.pk]


@pytest.mark.proves("R3")
def test_without_a_broker_asking_still_works(mailbox, monkeypatch, django_capture_on_commit_callbacks):
    def refuse(*_, **__):
        raise OperationalError("no broker")

    monkeypatch.setattr(tasks.sync_mailbox, "apply_async", refuse)
    with django_capture_on_commit_callbacks(execute=True):
        schedule.request_sync(mailbox.pk)
    assert SyncSchedule.objects.due(timezone.now()).exists()


def test_a_sync_asked_for_during_a_sync_follows_it_at_once(mailbox, nudged):
    row = schedule.ensure(mailbox)
    fence = SyncSchedule.objects.claim(mailbox.pk, timezone.now())
    schedule.request_sync(mailbox.pk)
    now = timezone.now()
    runs.finish(mailbox, Claim(mailbox.pk, fence), now, arrived=3)
    row.refresh_from_db()
    assert (row.due_at, row.arrived) == (now, 3)


@pytest.mark.proves("E10")
@pytest.mark.parametrize(("own", "minutes"), [(None, 5), (30, 30)])
def test_a_mailbox_is_due_again_after_its_interval(mailbox, schedule, own, minutes):
    Mailbox.objects.filter(pk=mailbox.pk).update(sync_interval=own)
    mailbox.refresh_from_db()
    fence = SyncSchedule.objects.claim(mailbox.pk, timezone.now())
    now = timezone.now()
    runs.finish(mailbox, Claim(mailbox.pk, fence), now, arrived=0)
    schedule.refresh_from_db()
    assert timedelta(minutes=minutes) <= schedule.due_at - now <= timedelta(minutes=minutes * 1.1)


@pytest.mark.proves("R1")
def test_a_dead_workers_claim_passes_and_the_next_one_gets_a_higher_number(mailbox, schedule):
    now = timezone.now()
    first = SyncSchedule.objects.claim(mailbox.pk, now)
    assert SyncSchedule.objects.claim(mailbox.pk, now + LEASE - timedelta(seconds=1)) is None
    assert SyncSchedule.objects.claim(mailbox.pk, now + LEASE) == first + 1
    assert timedelta(seconds=90) >= LEASE


@pytest.mark.django_db(transaction=True)
@pytest.mark.proves("G7", "R4")
def test_of_twenty_workers_at_once_one_gets_the_claim(mailbox, schedule):
    outcomes = simultaneously(*[lambda: SyncSchedule.objects.claim(mailbox.pk, timezone.now())] * 20)
    assert sorted(outcomes, key=str) == [1, *[None] * 19]


@pytest.mark.django_db(transaction=True)
@pytest.mark.proves("R1", "R34")
def test_a_heartbeat_renews_the_lease_while_a_worker_waits(mailbox, schedule):
    fence = SyncSchedule.objects.claim(mailbox.pk, timezone.now())
    SyncSchedule.objects.update(leased_until=timezone.now())
    with heartbeat.heartbeat(Claim(mailbox.pk, fence), every=0.01):
        for _ in range(500):
            schedule.refresh_from_db()
            if schedule.is_running(timezone.now()):
                break
    assert schedule.is_running(timezone.now())


def test_waits_double_up_to_an_hour():
    assert [waits.backed_off(failures).total_seconds() / 60 for failures in (1, 2, 3, 6, 7, 50)] == [
        1,
        2,
        4,
        32,
        60,
        60,
    ]


@pytest.mark.proves("E11")
def test_a_card_tells_folder_count_rate_and_time_left(schedule):
    now = NOON
    schedule.started_at, schedule.leased_until = now - timedelta(seconds=10), now + LEASE
    schedule.folder_name, schedule.done, schedule.total = "INBOX", 500, 2000
    shown = schedule_progress(schedule, now)
    assert (shown.state, shown.folder, shown.done, shown.total) == (State.SYNCING, "INBOX", 500, 2000)
    assert (shown.rate_per_second, shown.seconds_left) == (50, 30)


@pytest.mark.proves("E11")
def test_a_card_does_not_guess_before_it_can_measure(schedule):
    schedule.started_at, schedule.leased_until, schedule.done, schedule.total = NOON, NOON + LEASE, 50, 100
    shown = schedule_progress(schedule, NOON + timedelta(seconds=1))
    assert shown.rate_per_second is None
    assert shown.seconds_left is None


@pytest.mark.proves("E11")
def test_each_state_has_its_reason(schedule, mailbox):
    assert schedule_progress(schedule, NOON).waiting_for == "its turn"
    schedule.finished_at = NOON
    schedule.due_at = NOON + timedelta(minutes=5)
    assert schedule_progress(schedule, NOON).state is State.CONNECTED
    schedule.waiting_for = "the server, which is too busy"
    assert schedule_progress(schedule, NOON).state is State.WAITING
    assert schedule_progress(schedule, NOON).until == schedule.due_at
    schedule.mailbox.paused_at = NOON
    assert schedule_progress(schedule, NOON).state is State.PAUSED
    schedule.mailbox.attention = {"title": "The login was refused"}
    assert schedule_progress(schedule, NOON).state is State.NEEDS_ATTENTION
    assert schedule_progress(None, NOON).state is State.CONNECTED


schedule_progress = schedule.progress


def _paused(mailbox, attention, refusals=0):
    Mailbox.objects.filter(pk=mailbox.pk).update(
        paused_at=NOON, attention=attention, attention_since=NOON, login_refusals=refusals
    )


@pytest.mark.parametrize("attention", [runs.UNSTEADY_EPOCH.as_json(), None])
def test_pressing_sync_ends_a_pause_for_a_server_that_kept_renumbering(mailbox, attention):
    _paused(mailbox, attention)
    schedule.resume(mailbox.pk)
    mailbox.refresh_from_db()
    assert (mailbox.paused_at, mailbox.attention) == (None, None)


@pytest.mark.parametrize("refusals", [0, 2])
@pytest.mark.proves("R16")
def test_pressing_sync_never_ends_a_pause_for_refused_credentials(mailbox, refusals):
    _paused(mailbox, {"code": "login-refused", "protocol": "smtp"}, refusals)
    schedule.resume(mailbox.pk)
    mailbox.refresh_from_db()
    assert mailbox.paused_at == NOON


def _vouched_for(mailbox):
    """A login worked just now, so that its server is not in doubt."""
    Mailbox.objects.filter(pk=mailbox.pk).update(connected_at=timezone.now())


@pytest.mark.proves("R1")
def test_a_mailbox_whose_worker_died_is_taken_as_soon_as_its_lease_is_over(mailbox):
    _vouched_for(mailbox)
    assert claiming.claim_next(timezone.now())
    assert claiming.claim_next(timezone.now()) is None
    SyncSchedule.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert claiming.claim_next(timezone.now())


@pytest.mark.proves("E11")
def test_a_sync_that_came_through_does_not_hide_that_sending_is_refused(mailbox, claim):
    refused = {"title": "The server refuses the password.", "causes": [], "protocol": "smtp"}
    for attention, left in ((refused, refused), ({"title": "Reading failed.", "causes": []}, None)):
        Mailbox.objects.update(attention=attention, attention_since=timezone.now())
        mailbox.refresh_from_db()
        runs.finish(mailbox, claim, timezone.now(), arrived=0)
        assert Mailbox.objects.get().attention == left
