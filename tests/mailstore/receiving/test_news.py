"""The quick way for new mail: what a look at the INBOX asks, writes and leaves alone (spec G3, G7)."""

from __future__ import annotations

import gc
import socket
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import sessions
from accounts.kept_sessions import KeptSessions
from accounts.models import Mailbox
from mailservers.rulebook import load_rules
from mailstore import claiming, pulling, run, schedule, tasks
from mailstore.models import Arrival, MailHost, SyncRun, SyncSchedule
from protocols.credentials import Secret
from protocols.errors import Deferred, Refused, Unreachable
from protocols.imap.session import ImapSession
from protocols.network import Dialer, DialPolicy
from providers.models import Provider
from tests.environment import ROOT
from tests.mailstore.receiving.server import Account
from tests.servers.fault_proxy import FaultProxy, fault_proxy

pytestmark = pytest.mark.django_db


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[KeptSessions]:
    pool = KeptSessions()
    for module in (sessions, claiming):
        monkeypatch.setattr(module, "KEPT", pool)
    yield pool
    pool.close()


@pytest.fixture
def line(account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """What is said to the server of `account`."""
    with fault_proxy(account.mailbox.imap_port) as proxy:
        policy = DialPolicy(endpoints=frozenset({("127.0.0.1", proxy.port)}), names={"localhost": "127.0.0.1"})
        monkeypatch.setattr(sessions, "dialer", lambda: Dialer(policy))
        Mailbox.objects.update(imap_port=proxy.port)
        account.mailbox.refresh_from_db()
        yield proxy


@pytest.fixture
def connected(account: Account, line: FaultProxy, kept: KeptSessions, monkeypatch: pytest.MonkeyPatch) -> Account:
    """Two letters in the INBOX, synced, and not due for an hour; nothing is put into a queue by itself."""
    account.deliver_letters(1, 2)
    account.sync()
    SyncSchedule.objects.update(due_at=timezone.now() + timedelta(hours=1))
    for task in (tasks.fetch_news, tasks.sync_mailbox):
        monkeypatch.setattr(task, "apply_async", lambda *_, **__: None)
    return account


def look(account: Account) -> SyncSchedule:
    """Its server told of news, and a worker took them up."""
    schedule.notice([account.mailbox.pk])
    tasks.fetch_news(account.mailbox.pk)
    return SyncSchedule.objects.get(pk=account.mailbox.pk)


def said(line: FaultProxy) -> list[str]:
    """The commands since the last call."""
    commands = [command.split(b" ", 1)[1].decode() for command in line.commands]
    line.commands.clear()
    return commands


@pytest.mark.proves("G3")
def test_new_mail_is_an_arrival_and_the_whole_mailbox_keeps_its_time(connected):
    before = SyncSchedule.objects.get()
    connected.deliver_letters(3)
    after = look(connected)
    assert connected.uids() == [1, 2, 3]
    assert Arrival.objects.count() == 1
    assert (after.due_at, after.news_at, after.leased_until) == (before.due_at, None, None)
    assert SyncRun.objects.first().words == "1 new message"


@pytest.mark.proves("G3")
def test_flags_and_removals_in_the_inbox_are_news_too(connected):
    connected.store("1", "+FLAGS", r"\Flagged")
    connected.expunge("2")
    look(connected)
    assert connected.uids() == [1]
    assert connected.folder().messages.get(uid=1).is_flagged


@pytest.mark.proves("G3")
def test_a_look_without_news_is_one_command_and_writes_the_schedules_row_alone(connected, line):
    look(connected)
    said(line)
    with CaptureQueriesContext(connection) as queries:
        look(connected)
    assert said(line) == ['STATUS "INBOX" (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)']
    statements = [query["sql"] for query in queries]
    writes = [sql for sql in statements if sql.startswith(("INSERT", "UPDATE", "DELETE"))]
    assert {sql.split('"')[1] for sql in writes} == {"mailstore_syncschedule"}
    assert len(statements) <= 7, "\n".join(statements)


@pytest.mark.proves("G3")
def test_on_a_kept_session_new_mail_takes_four_commands_and_no_login(connected, line):
    said(line)
    look(connected)
    assert "LOGOUT" not in said(line)
    connected.deliver_letters(3)
    look(connected)
    assert [command.split()[0] for command in said(line)] == ["STATUS", "ENABLE", "EXAMINE", "UID", "UNSELECT"]
    connected.deliver_letters(4)
    look(connected)
    assert [command.split()[0] for command in said(line)] == ["STATUS", "EXAMINE", "UID", "UNSELECT"]
    assert line.connections == 2  # that of the first sync, and the kept one
    assert connected.uids() == [1, 2, 3, 4]


@pytest.mark.proves("R8")
def test_a_kept_session_that_the_server_ended_costs_a_new_login_and_nothing_else(connected, line, kept):
    look(connected)
    [waiting] = kept._kept.values()
    waiting.session._connection.wire.sock.shutdown(socket.SHUT_RDWR)
    connected.deliver_letters(3)
    row = look(connected)
    assert connected.uids() == [1, 2, 3]
    assert (row.failures, row.waiting_for) == (0, "")
    assert line.connections == 3


@pytest.mark.proves("R16")
def test_a_session_of_another_password_or_server_is_not_used(connected, kept):
    look(connected)
    mailbox = Mailbox.objects.get()
    assert kept.holds(mailbox)
    mailbox.password = Secret("another one")
    assert not kept.holds(mailbox)


@pytest.mark.proves("R16")
def test_after_a_new_password_was_stored_the_session_of_the_old_one_is_not_asked(connected, line):
    look(connected)
    said(line)
    mailbox = Mailbox.objects.get()
    mailbox.password = Secret("not this one")
    mailbox.save()
    look(connected)
    assert [command.split()[0] for command in said(line)] == ["LOGIN", "LOGOUT"]
    assert Mailbox.objects.get().login_refusals == 1


@pytest.mark.proves("R16")
def test_a_row_read_without_its_password_finds_the_session_of_the_stored_one_only(connected, kept):
    look(connected)
    assert kept.holds(Mailbox.objects.defer("password").get())
    mailbox = Mailbox.objects.get()
    mailbox.password = Secret("another one")
    mailbox.save()
    assert not kept.holds(Mailbox.objects.defer("password").get())


@pytest.mark.proves("R16")
@pytest.mark.parametrize("ending", ["paused", "deleted"])
def test_the_kept_session_of_a_mailbox_that_was_paused_or_deleted_is_not_asked(connected, line, kept, ending):
    look(connected)
    said(line)
    pk = connected.mailbox.pk
    if ending == "paused":
        Mailbox.objects.update(paused_at=timezone.now())
    else:
        Mailbox.objects.filter(pk=pk).delete()
    SyncSchedule.objects.update(news_at=timezone.now(), due_at=timezone.now())
    assert len(kept) == 1
    for task in (tasks.fetch_news, tasks.sync_mailbox):
        task(pk)
    assert said(line) == []


@pytest.mark.proves("R16", "D4")
def test_news_try_no_login_that_was_refused(connected, line):
    schedule.notice([connected.mailbox.pk])
    said(line)
    Mailbox.objects.update(login_refusals=1)
    tasks.fetch_news(connected.mailbox.pk)
    assert said(line) == []


def test_an_inbox_that_was_not_downloaded_yet_makes_the_whole_mailbox_due(connected, line):
    connected.mailbox.folders.update(synced_at=None)
    said(line)
    row = look(connected)
    assert said(line) == []
    assert row.due_at <= timezone.now()
    assert row.news_at is None


@pytest.mark.proves("R12")
def test_an_inbox_that_is_not_opened_is_noted_by_a_whole_sync_which_is_due_at_once(connected, line, monkeypatch):
    def refuse(*_: object) -> None:
        raise Refused("The server refused.", reply="NO [NOPERM] no such right")

    monkeypatch.setattr(ImapSession, "examine", refuse)
    monkeypatch.setattr(ImapSession, "resync", refuse)
    connected.deliver_letters(3)
    row = look(connected)
    assert (row.failures, row.waiting_for, row.leased_until, row.news_at) == (0, "", None, None)
    assert row.due_at <= timezone.now()
    said(line)
    tasks.sync_mailbox(connected.mailbox.pk)
    assert not any(command.startswith("LOGIN") for command in said(line))  # the session is as good as before
    assert "NOPERM" in connected.folder().problem
    assert Mailbox.objects.get().attention is None
    assert SyncSchedule.objects.get().due_at < timezone.now() + timedelta(minutes=15)


@pytest.mark.proves("R12")
def test_a_server_that_is_busy_with_the_inbox_is_given_minutes(connected, monkeypatch):
    def put_off(*_: object) -> None:
        raise Deferred("The server put it off.", reply="NO [INUSE] later")

    load_rules()
    nudged: list[object] = []
    monkeypatch.setattr(tasks, "nudge", lambda task, pk: nudged.append(task))
    monkeypatch.setattr(ImapSession, "resync", put_off)
    connected.deliver_letters(3)
    row = look(connected)
    assert (row.failures, nudged, Mailbox.objects.get().attention) == (1, [], None)
    assert timedelta() < row.due_at - timezone.now() < timedelta(minutes=15)


@pytest.mark.proves("R12")
def test_an_inbox_whose_state_is_not_told_is_opened_to_find_out(connected, monkeypatch):
    def refuse(*_: object) -> None:
        raise Refused("The server refused.", reply="NO not now, not ever")

    monkeypatch.setattr(ImapSession, "status", refuse)
    connected.deliver_letters(3)
    row = look(connected)
    assert connected.uids() == [1, 2, 3]
    assert (row.failures, row.news_at, row.leased_until) == (0, None, None)


@pytest.mark.proves("R12", "D4")
def test_a_login_that_is_refused_brings_no_second_one_at_once(connected, line, monkeypatch):
    nudged: list[object] = []
    monkeypatch.setattr(tasks, "nudge", lambda task, pk: nudged.append(task))
    mailbox = Mailbox.objects.get()
    mailbox.password = Secret("not this one")
    mailbox.save()
    said(line)
    row = look(connected)
    assert [command.split()[0] for command in said(line)].count("LOGIN") == 1
    assert nudged == []
    assert row.due_at > timezone.now() + timedelta(minutes=5)


@pytest.mark.proves("R3")
def test_news_whose_nudge_was_lost_are_found_by_beat(connected, monkeypatch):
    nudged: list[int] = []
    monkeypatch.setattr(tasks, "nudge", lambda task, pk: nudged.append(pk) if task is tasks.fetch_news else None)
    schedule.notice([connected.mailbox.pk])
    tasks.sync_due_mailboxes()
    assert nudged == []  # it may still be on its way
    SyncSchedule.objects.update(news_at=timezone.now() - timedelta(seconds=11))
    tasks.sync_due_mailboxes()
    assert nudged == [connected.mailbox.pk]


def test_news_that_come_while_the_inbox_is_looked_at_are_not_lost(connected, monkeypatch):
    nudged: list[int] = []
    monkeypatch.setattr(tasks, "nudge", lambda task, pk: nudged.append(pk) if task is tasks.fetch_news else None)
    finish = tasks.news.runs.finish_news

    def late(*given: object, **named: bool) -> bool:
        schedule.notice([connected.mailbox.pk])
        return finish(*given, **named)

    monkeypatch.setattr(tasks.news.runs, "finish_news", late)
    row = look(connected)
    assert row.news_at is not None
    assert row.leased_until is None
    assert nudged == [connected.mailbox.pk]


@pytest.mark.proves("G7")
def test_many_new_messages_hold_the_slot_for_ten_seconds_and_the_rest_goes_on_in_the_slots_for_all(
    connected, monkeypatch
):
    connected.deliver_letters(*range(3, 13))
    fetched: list[int] = []
    real, monotonic = pulling._fetched, time.monotonic

    def slow(*given: object) -> Iterator[object]:
        for message in real(*given):
            fetched.append(message.uid)
            yield message

    with monkeypatch.context() as patched:
        patched.setattr(pulling, "_fetched", slow)
        patched.setattr(run, "monotonic", lambda: monotonic() + 4 * len(fetched))  # four seconds for each
        row = look(connected)
    assert fetched == [3, 4, 5]
    assert connected.uids() == [1, 2, 3, 4, 5]
    assert (row.failures, row.leased_until) == (0, None)
    assert row.due_at <= timezone.now()
    tasks.sync_next()
    assert connected.uids() == list(range(1, 13))
    assert Arrival.objects.count() == 10


@pytest.mark.proves("G2", "G7")
def test_news_end_a_long_run_of_the_same_mailbox_so_that_the_next_begins_with_them(connected, monkeypatch):
    monkeypatch.setattr(run, "INTERRUPTED_AFTER", -1.0)
    monkeypatch.setattr(run, "LOOK_EVERY", -1.0)
    connected.deliver_letters(3)
    SyncSchedule.objects.update(due_at=timezone.now())
    claimed = claiming.claim(connected.mailbox.pk, timezone.now())
    schedule.notice([connected.mailbox.pk])
    tasks.syncing.sync(connected.mailbox.pk, claimed.fence)
    row = SyncSchedule.objects.get()
    assert row.due_at <= timezone.now()
    assert row.news_at is not None
    assert SyncRun.objects.first().words.startswith("Used up its time")


@pytest.mark.proves("G7")
def test_a_quarter_of_a_servers_places_is_free_for_what_somebody_waits_for(make_mailbox, settings, kept):
    settings.SYNCS_PER_HOST = 4
    mailboxes = [make_mailbox(f"{number}@example.org", imap_host="busy.test") for number in range(6)]
    now = timezone.now()
    MailHost.objects.create(name="busy.test", reached_at=now)
    claims = [claiming.claim_next(now) for _ in mailboxes]
    assert sum(claim is not None for claim in claims) == 3
    waiting = list(SyncSchedule.objects.filter(leased_until=None).values_list("pk", flat=True))
    SyncSchedule.objects.filter(pk__in=waiting).update(news_at=now)
    assert [claiming.claim_news(pk, now) is not None for pk in waiting] == [True, False, False]


@pytest.mark.proves("G7")
@pytest.mark.parametrize(("known", "most"), [(True, 9), (False, 12)])
def test_a_claim_takes_few_queries_however_many_are_due(make_mailbox, settings, known, most):
    settings.SYNCS_PER_HOST, settings.SYNC_SLOTS = 16, 10
    for number in range(30):
        make_mailbox(f"{number}@example.org", imap_host=f"host{number % 3}.test")
    now = timezone.now()
    for name in (MailHost.LANES, *(f"host{number}.test" for number in range(3))):
        MailHost.objects.create(name=name, reached_at=now if known else None)
    with CaptureQueriesContext(connection) as queries:
        assert claiming.claim_next(now) is not None
    assert len(queries) <= most, "\n".join(query["sql"] for query in queries)


@pytest.mark.proves("G7")
def test_what_somebody_waits_for_has_a_worker_that_does_nothing_else():
    routes = settings.CELERY_TASK_ROUTES
    for name in ("mailstore.fetch_news", "mailstore.sync_mailbox", "mailstore.carry_out_changes"):
        assert routes[name] == {"queue": "prompt"}
    for file in ("docker-compose.yml", "emailsettings/management/commands/up.py"):
        text = (ROOT / file).read_text()
        assert text.count('"-Q", "prompt"') == 1
        assert text.count('"prompt"') == 1


@pytest.mark.proves("G7")
def test_few_sessions_are_kept_and_none_where_a_provider_allows_few(connected, monkeypatch):
    pool = KeptSessions(most=1, most_per_host=1)
    monkeypatch.setattr(sessions, "KEPT", pool)
    monkeypatch.setattr(claiming, "KEPT", pool)
    look(connected)
    assert len(pool) == 1
    Mailbox.objects.update(display_name="Same")
    pool._most = 0
    look(connected)
    assert len(pool) == 0
    pool._most = 1
    strict = Provider.objects.create(key="strict", name="Strict", limits={"connections": 3})
    Mailbox.objects.update(provider=strict)
    look(connected)
    assert len(pool) == 0


def test_a_session_that_nobody_used_for_a_while_says_goodbye(connected, line, monkeypatch):
    pool = KeptSessions(idle=0.1)
    monkeypatch.setattr(sessions, "KEPT", pool)
    look(connected)
    said(line)
    sweeper = pool._sweeper
    assert sweeper is not None
    sweeper.join(5)
    assert not sweeper.is_alive()
    assert len(pool) == 0
    assert said(line) == ["LOGOUT"]


@pytest.mark.proves("R12")
@pytest.mark.parametrize("error", [Refused("no", reply="NO no"), Unreachable("gone"), OSError("gone")])
@pytest.mark.parametrize("asked", [False, True])
def test_a_folder_that_cannot_be_left_ends_the_session_and_nothing_else(connected, kept, monkeypatch, error, asked):
    def fail(_: ImapSession) -> None:
        raise error

    monkeypatch.setattr(ImapSession, "leave_folder", fail)
    connected.deliver_letters(3)
    if asked:
        schedule.request_sync(connected.mailbox.pk)
        tasks.sync_mailbox(connected.mailbox.pk)
    else:
        look(connected)
    assert connected.uids() == [1, 2, 3]
    row = SyncSchedule.objects.get()
    assert (row.failures, row.requested_at, row.news_at, row.leased_until) == (0, None, None, None)
    assert SyncRun.objects.first().words == "1 new message"
    assert Mailbox.objects.get().attention is None
    assert len(kept) == 0


def test_after_a_fork_nothing_is_said_on_the_parents_lines(connected, kept, line):
    look(connected)
    said(line)
    kept._begin_anew()
    gc.collect()
    assert len(kept) == 0
    kept.close()
    assert said(line) == []
