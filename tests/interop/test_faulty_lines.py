"""Lines that break, stall or crawl between us and a real Dovecot (faults R6 and R7): nothing partial, always onward."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest

from accounts import sessions
from accounts.models import Mailbox, State
from mailservers.rulebook import load_rules
from mailstore import schedule
from mailstore.models import Message
from protocols.imap import fetching
from protocols.network import Dialer, DialPolicy
from tests.interop.account import Account
from tests.mailstore.receiving.letters import letter
from tests.servers.fault_proxy import Fault, FaultProxy, fault_proxy
from tests.servers.imap_servers import Fleet, ImapServer

pytestmark = [pytest.mark.django_db, pytest.mark.once]

MESSAGES = 24
SAMPLE = 8  # cuts of the normal run; all of them with --all
SEED = 4


@pytest.fixture(params=["dovecot", "dovecot compressed"])
def server(request: pytest.FixtureRequest, fleet: Fleet) -> ImapServer:
    return fleet.server(request.param)


@pytest.fixture
def proxy(account: Account, monkeypatch: pytest.MonkeyPatch):
    """Between our mailbox and its server; the account's own client goes straight."""
    load_rules()
    incoming = Mailbox.incoming
    monkeypatch.setattr(fetching, "PROGRESS_TIMEOUT", 1.0)
    monkeypatch.setattr(Mailbox, "incoming", lambda mailbox: replace(incoming(mailbox), timeout=1.0))
    with fault_proxy(account.server.port) as running:
        policy = DialPolicy(endpoints=frozenset({("127.0.0.1", running.port)}))
        monkeypatch.setattr(sessions, "dialer", lambda: Dialer(policy))
        Mailbox.objects.filter(pk=account.mailbox.pk).update(imap_port=running.port)
        yield running


def deliver(account: Account) -> None:
    for number in range(1, MESSAGES + 1):
        noise = random.Random(number).randbytes(1500).hex()  # does not compress away
        account.deliver(letter(number, body=f"{noise}\r\n"))


def words_of(account: Account) -> tuple[State, str]:
    row = account.mailbox.schedule
    row.refresh_from_db()
    told = schedule.progress(row, row.due_at)
    return told.state, told.waiting_for


def assert_whole(account: Account) -> int:
    """All that is stored is octet by octet what the server has; return how many."""
    there, here = account.on_server()["INBOX"], account.stored().get("INBOX", {})
    assert here.items() <= there.items()
    return len(here)


def cut_and_resume(account: Account, proxy: FaultProxy, fault: Fault) -> None:
    proxy.fault = fault
    account.sync()
    stored = assert_whole(account)
    assert account.mailbox.attention is None
    proxy.fault = Fault()
    account.sync()
    assert assert_whole(account) == MESSAGES >= stored
    account.assert_in_line()


def start_again(account: Account) -> None:
    Message.objects.filter(mailbox=account.mailbox).delete()
    account.mailbox.folders.all().delete()


@pytest.mark.proves("R6")
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_line_cut_at_any_kilobyte_stores_nothing_partial_and_resumes(account, proxy, reset, pytestconfig):
    deliver(account)
    account.sync()
    whole = proxy.to_client
    assert whole > 20_000
    cuts = list(range(1024, whole, 1024))
    if not pytestconfig.option.run_slow:
        cuts = sorted(random.Random(SEED).sample(cuts, SAMPLE))
    print(f"seed {SEED}: cut at {cuts} of {whole}")
    for cut in cuts:
        start_again(account)
        cut_and_resume(account, proxy, Fault(cut_after=cut, reset=reset))


@pytest.mark.proves("R6")
def test_a_line_that_breaks_again_and_again_still_gets_forward(account, proxy, monkeypatch):
    monkeypatch.setattr("mailstore.pulling.FIRST_PAGE", 5)
    monkeypatch.setattr("mailstore.pulling.BATCH", 5)
    deliver(account)
    proxy.fault = Fault(cut_after=24_000)
    counts = [0]
    while counts[-1] < MESSAGES and len(counts) < 12:
        account.sync()
        counts.append(assert_whole(account))
    assert counts == sorted(counts)
    assert counts[-1] == MESSAGES
    assert len(counts) > 3, "the line never broke"
    account.assert_in_line()


@pytest.mark.proves("R6")
def test_a_line_cut_behind_the_last_message_has_lost_nothing(account, proxy):
    deliver(account)
    cut_and_resume(account, proxy, Fault(swallow=re.compile(rb"OK .*Logging out|BYE Logging out")))


@pytest.mark.proves("R7")
def test_a_line_that_falls_silent_gives_the_worker_back(account, proxy):
    deliver(account)
    for offset in (0, 300, 9_000, 30_000):
        start_again(account)
        proxy.fault = Fault(silent_from=offset)
        account.sync()
        state, words = words_of(account)
        assert (state, bool(words)) == (State.WAITING, True)
        assert_whole(account)
    proxy.fault = Fault()
    account.sync()
    account.assert_in_line()


@pytest.mark.proves("R7")
def test_a_slow_line_is_waited_for_and_a_trickle_is_not(account, proxy):
    deliver(account)
    proxy.fault = Fault(rate=200_000, delay=0.02)
    account.sync()
    account.assert_in_line()
    start_again(account)
    proxy.fault = Fault(rate=20)
    account.sync()
    assert words_of(account)[0] == State.WAITING
    assert not account.stored().get("INBOX")


@pytest.mark.proves("G3")
def test_a_sync_without_news_is_five_commands_and_about_a_kilobyte(account, proxy):
    deliver(account)
    account.create("Work")
    account.sync()
    account.sync()
    before = (len(proxy.commands), proxy.to_client + proxy.to_server)
    account.sync()
    if account.server.name == "dovecot":
        assert [command.split()[1] for command in proxy.commands[before[0] :]] == [b"LOGIN", b"ID", b"LIST", b"LOGOUT"]
    octets = proxy.to_client + proxy.to_server - before[1]
    print(f"{octets} octets on {account.server.name}")
    assert octets < 1_700
