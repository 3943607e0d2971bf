"""What a whole sync makes of names that cannot be found, dead addresses and a password that worked (R15, R16, R37)."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from datetime import timedelta
from time import monotonic

import pytest
from django.utils import timezone

from accounts import sessions
from accounts.models import Mailbox, State
from mailservers.rulebook import load_rules
from mailstore import schedule, tasks
from mailstore.models import MailHost, SyncSchedule
from notifications.models import Notification
from protocols.credentials import Secret
from protocols.network import Dialer, DialPolicy
from tests.mailstore.receiving.server import Account
from tests.servers.fault_proxy import fault_proxy

pytestmark = pytest.mark.django_db
NAME = "mail.example.org"

Answers = Callable[[list[str] | OSError], None]


@pytest.fixture
def answers(account: Account, monkeypatch: pytest.MonkeyPatch) -> Answers:
    """`answers(addresses)`: what the DNS says of the server of `account` from now on."""
    said: list[list[str] | OSError] = []

    def resolve(name: str, port: int) -> list[str]:
        assert name == NAME
        if isinstance(said[-1], OSError):
            raise said[-1]
        return said[-1]

    load_rules()
    networks = tuple(map(ipaddress.ip_network, ("127.0.0.0/8", "::/0")))
    policy = DialPolicy(ports=frozenset({account.mailbox.imap_port}), networks=networks)
    monkeypatch.setattr(sessions, "dialer", lambda: Dialer(policy, resolve=resolve))
    Mailbox.objects.update(imap_host=NAME)
    MailHost.objects.create(name=NAME)
    account.mailbox.refresh_from_db()
    account.deliver_letters(1)
    return said.append


def waits(row: SyncSchedule) -> bool:
    """It is tried again within the hour, and nobody is asked for a password."""
    shown = schedule.progress(SyncSchedule.objects.select_related("mailbox").get(pk=row.pk), timezone.now())
    assert (row.mailbox.login_refusals, row.mailbox.paused_at) == (0, None)
    return shown.state is State.WAITING and timedelta(0) < row.due_at - timezone.now() <= timedelta(hours=1.3)


@pytest.mark.proves("R37")
@pytest.mark.parametrize(
    "failure",
    [
        socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
        TimeoutError("no answer within 10 s"),
    ],
)
def test_a_name_that_is_not_found_for_a_while_waits_and_then_the_mail_comes(account, answers, failure):
    answers(failure)
    row = account.sync()
    assert waits(row)
    assert MailHost.objects.get(name=NAME).failures == 1
    answers(["127.0.0.1"])
    row = account.sync()
    assert (row.failures, row.waiting_for) == (0, "")
    assert account.uids() == [1]
    assert MailHost.objects.get(name=NAME).failures == 0


@pytest.mark.proves("R37")
def test_a_broken_ipv6_costs_a_whole_sync_less_than_five_seconds(account, answers):
    answers(["2001:db8::1", "127.0.0.1"])
    began = monotonic()
    account.sync()
    assert account.uids() == [1]
    assert monotonic() - began < 5


@pytest.mark.proves("R37")
def test_a_server_that_moved_is_found_where_it_is_now(account, answers):
    answers(["127.0.0.1"])
    account.sync()
    answers(["127.0.0.9"])  # it has gone from there already, and the DNS lags behind
    assert waits(account.sync())
    answers(["127.0.0.9", "127.0.0.1"])
    account.deliver_letters(2)
    account.sync()
    assert account.uids() == [1, 2]


@pytest.mark.proves("R16", "D4")
def test_a_password_that_stops_to_work_is_tried_twice_and_then_never_again(account, alice, monkeypatch):
    load_rules()
    account.deliver_letters(1)
    account.sync()
    with fault_proxy(account.mailbox.imap_port) as line:
        policy = DialPolicy(endpoints=frozenset({("127.0.0.1", line.port)}), names={"localhost": "127.0.0.1"})
        monkeypatch.setattr(sessions, "dialer", lambda: Dialer(policy))
        mailbox = account.mailbox
        mailbox.owner, mailbox.imap_port, mailbox.password = alice, line.port, Secret("changed elsewhere")
        mailbox.save()

        def logins() -> int:
            return sum(b" LOGIN " in command for command in line.commands)

        def everybody_tries() -> None:
            schedule.notice([mailbox.pk])
            schedule.request_sync(mailbox.pk)
            for task in (tasks.fetch_news, tasks.sync_mailbox):
                task(mailbox.pk)
            tasks.sync_next()

        first = account.sync()
        assert timedelta(minutes=9) <= first.due_at - timezone.now() <= timedelta(minutes=13)
        assert logins() == 1
        everybody_tries()
        assert logins() == 1
        second = account.sync()  # the ten minutes are over
        assert logins() == 2
        assert second.mailbox.paused_at is not None
        assert Notification.objects.of(alice).count() == 1
        everybody_tries()
        SyncSchedule.objects.update(due_at=timezone.now())
        everybody_tries()
        assert logins() == 2
