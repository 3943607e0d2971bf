"""Who may sync next: caps for servers, servers that do not answer, and the order (spec G7, fault R26)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from celery import current_app
from django.utils import timezone

from accounts.models import Mailbox
from mailservers.rulebook import load_rules
from mailstore import claiming, comparing, hosts, runs, schedule, tasks, waking
from mailstore.models import LEASE, Comparison, MailHost, SyncSchedule
from mailstore.writing import Claim, ClaimLost
from protocols.errors import CertificateRefused, Deferred, LoginRefused, MailError, Unreachable
from protocols.steps import StepName

pytestmark = pytest.mark.django_db
SILENT = Unreachable("nothing answers", step=StepName.TCP)
SECOND = timedelta(seconds=1)


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def due(make_mailbox, now):
    """`due("host", 3)`: mailboxes on one server, due one second after each other, before all others so far."""
    made: list[Mailbox] = []

    def make(host: str, number: int = 1) -> list[Mailbox]:
        mine = [make_mailbox(f"{len(made) + n}@example.org", imap_host=host) for n in range(number)]
        for mailbox in mine:
            made.append(mailbox)
            SyncSchedule.objects.filter(mailbox=mailbox).update(due_at=now - timedelta(hours=1) + len(made) * SECOND)
        return mine

    return make


def answered(name: str, now: datetime) -> None:
    MailHost.objects.update_or_create(name=name, defaults={"reached_at": now, "failures": 0})


def take_all(now: datetime) -> list[Claim]:
    claims = []
    while (claimed := claiming.claim_next(now)) is not None:
        claims.append(claimed)
    return claims


@pytest.mark.proves("G7")
def test_who_has_been_due_the_longest_comes_first_whatever_the_server(due, now):
    first, second, third = due("a.test")[0], due("b.test")[0], due("a.test")[0]
    for name in ("a.test", "b.test"):
        answered(name, now)
    SyncSchedule.objects.filter(mailbox=third).update(due_at=now - timedelta(hours=2))
    assert [claimed.mailbox_pk for claimed in take_all(now)] == [third.pk, first.pk, second.pk]


@pytest.mark.proves("G7", "R26")
def test_a_server_takes_so_many_at_once_and_the_others_are_not_kept_waiting(due, now, settings):
    settings.SYNCS_PER_HOST = 2
    many, other = due("many.test", 30), due("other.test", 1)
    for name in ("many.test", "other.test"):
        answered(name, now)
    claims = take_all(now)
    assert [claimed.mailbox_pk for claimed in claims] == [many[0].pk, many[1].pk, other[0].pk]
    runs.finish(many[0], claims[0], now, arrived=0)
    assert claiming.claim_next(now).mailbox_pk == many[2].pk


@pytest.mark.proves("R26")
def test_servers_nobody_knows_are_tried_one_at_a_time_in_a_fifth_of_the_slots(due, now, settings):
    settings.SYNC_SLOTS = 10
    mailboxes = [due(f"{number}.test", 3) for number in range(5)]
    claims = take_all(now)
    assert [claimed.mailbox_pk for claimed in claims] == [mailboxes[0][0].pk, mailboxes[1][0].pk]
    runs.connected(mailboxes[0][0], now)
    hosts_now = {SyncSchedule.objects.get(pk=claimed.mailbox_pk).mailbox.imap_host for claimed in take_all(now)}
    assert hosts_now == {"0.test", "2.test"}


def test_a_login_in_the_wizard_vouches_for_a_new_server(due, now, settings):
    settings.SYNC_SLOTS = 2
    due("unknown.test")
    [fresh] = due("fresh.test")
    Mailbox.objects.filter(pk=fresh.pk).update(connected_at=now)
    assert len(take_all(now)) == 2


def fail(mailbox: Mailbox, claimed: Claim, now: datetime, error: MailError = SILENT) -> None:
    runs.fail(mailbox, claimed, error, now)


@pytest.mark.proves("R26")
def test_after_three_silent_tries_a_server_is_left_alone_and_its_mailboxes_say_so(due, now, settings):
    load_rules()
    settings.SYNC_SLOTS = 10
    mailboxes = {mailbox.pk: mailbox for mailbox in due("dead.test", 10)}
    for _ in range(3):
        [claimed] = take_all(now)
        fail(mailboxes[claimed.mailbox_pk], claimed, now)
    assert take_all(now) == []
    for row in SyncSchedule.objects.select_related("mailbox"):
        shown = schedule.progress(row, now)
        assert shown.waiting_for
        assert shown.until >= now + timedelta(minutes=1)
    later = now + timedelta(minutes=2)
    [probe] = take_all(later)
    runs.connected(mailboxes[probe.mailbox_pk], later)
    waiting = SyncSchedule.objects.filter(failures=0).exclude(pk=probe.mailbox_pk)
    assert {(row.due_at, row.waiting_for) for row in waiting} == {(later, "")}
    assert len(take_all(later)) == 9


@pytest.mark.proves("R26")
def test_a_person_who_asks_is_not_told_to_wait_for_a_server_that_is_left_alone(due, now, monkeypatch):
    monkeypatch.setattr(schedule, "nudge", lambda *_: None)
    [mailbox] = due("dead.test")
    MailHost.objects.create(name="dead.test", failures=9, retry_at=now + timedelta(hours=1))
    assert take_all(now) == []
    schedule.request_sync(mailbox.pk)
    assert [claimed.mailbox_pk for claimed in take_all(timezone.now())] == [mailbox.pk]


@pytest.mark.parametrize(
    "error",
    [
        Deferred("busy", reply="[UNAVAILABLE] later"),
        LoginRefused("no", reply="[AUTHENTICATIONFAILED] no"),
        CertificateRefused("expired", step=StepName.TLS),
        Unreachable("broke", step=StepName.LOGIN),
    ],
)
@pytest.mark.proves("R15")
def test_a_server_that_answers_with_no_is_not_silent(due, now, error):
    [mailbox, other] = due("strict.test", 2)
    [claimed] = take_all(now)
    fail(mailbox, claimed, now, error)
    assert MailHost.objects.get(name="strict.test").failures == 0
    assert [claimed.mailbox_pk for claimed in take_all(now)] == [other.pk]


@pytest.mark.parametrize(("slots", "rests"), [(2, 15), (4, 2.5), (5, 0), (50, 0)])
@pytest.mark.proves("R26")
def test_a_lane_rests_where_one_slot_is_more_than_a_fifth(due, now, settings, slots, rests):
    settings.SYNC_SLOTS = slots
    [mailbox] = due("dead.test")
    [claimed] = take_all(now)
    fail(mailbox, claimed, now + timedelta(seconds=10))
    free_from = MailHost.objects.get(name="dead.test").busy_until
    assert free_from == now + timedelta(seconds=10 + rests)


def test_the_lane_of_a_worker_that_died_is_free_after_its_lease(due, now, settings):
    settings.SYNC_SLOTS = 2
    due("one.test")
    due("two.test")
    assert len(take_all(now)) == 1
    assert len(take_all(now + LEASE)) == 1


@pytest.mark.proves("G7", "R7")
def test_a_claim_says_who_holds_it_and_can_be_taken_away(due, now, alice):
    [mailbox] = due("slow.test")
    claimed = claiming.claim_next(now)
    row = SyncSchedule.objects.get()
    assert (row.holder, row.started_at) == (claiming.holder(), now)
    assert schedule.release(mailbox, by=alice, now=now)
    with pytest.raises(ClaimLost):
        claimed.hold(now)
    assert not schedule.release(mailbox, by=alice, now=now)
    runs.finish(mailbox, claimed, now, arrived=9)  # the worker wakes up late
    assert SyncSchedule.objects.get().arrived == 0
    assert claiming.claim_next(timezone.now()).fence > claimed.fence


@pytest.fixture
def broker():
    """A queue in memory instead of tasks that run at once."""
    current_app.conf.task_always_eager = False
    with current_app.connection_or_acquire() as connection:
        yield connection
        connection.default_channel.queue_delete(waking.QUEUE)
    current_app.conf.task_always_eager = True


@pytest.mark.proves("G7")
def test_one_wake_up_waits_however_often_workers_are_woken(broker):
    for _ in range(5):
        waking.wake(tasks.sync_next)
    assert broker.default_channel.queue_declare(queue=waking.QUEUE, passive=True).message_count == 1


@pytest.mark.proves("R3")
def test_waking_without_a_broker_does_no_harm(broker, monkeypatch, caplog):
    def refuse(*_, **__):
        raise OSError("gone")

    monkeypatch.setattr(waking, "_waiting", refuse)
    waking.wake(tasks.sync_next)
    assert "beat will do it" in caplog.text


def ask_to_compare(mailbox: Mailbox, now: datetime) -> None:
    Comparison.objects.update_or_create(mailbox=mailbox, defaults={"requested_at": now})


@pytest.mark.proves("G7", "R26")
def test_a_comparison_takes_one_of_the_places_at_its_server(due, now, settings):
    settings.SYNCS_PER_HOST = 2
    first, second, third = due("busy.test", 3)
    answered("busy.test", now)
    ask_to_compare(third, now)
    fence = claiming.claim_comparison(third.pk, now)
    assert [claimed.mailbox_pk for claimed in take_all(now)] == [first.pk]
    ask_to_compare(second, now)
    assert claiming.claim_comparison(second.pk, now) is None
    waits = Comparison.objects.get(pk=second.pk)
    assert (waits.tries, waits.is_under_way(now)) == (0, True), "a full server is no failed try"
    Comparison.objects.holding(third.pk, fence).update(requested_at=None, leased_until=None)
    assert claiming.claim_comparison(second.pk, now) is not None


@pytest.mark.proves("R26")
def test_a_comparison_at_a_server_in_doubt_takes_a_lane_and_tells_what_it_learned(due, now, settings, monkeypatch):
    load_rules()
    settings.SYNC_SLOTS = 5  # one lane
    [silent], [unknown] = due("silent.test"), due("unknown.test")
    ask_to_compare(silent, now)
    fence = claiming.claim_comparison(silent.pk, now)
    assert claiming.claim(unknown.pk, now) is None
    assert not hosts.admit(silent, now, asked=True)

    def nothing_answers(*args: object) -> None:
        raise SILENT

    monkeypatch.setattr(comparing, "imap_session", nothing_answers)
    comparing.compare(silent.pk, fence)
    assert Comparison.objects.get(pk=silent.pk).trouble
    assert MailHost.objects.get(name="silent.test").failures == 1
    assert claiming.claim(unknown.pk, timezone.now() + timedelta(seconds=1)) is not None
