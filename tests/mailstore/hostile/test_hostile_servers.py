"""The whole sync against servers that lie, stall or break off, each a text file (faults R6 to R15, threat T25).

Whatever a server does: the mailbox ends in a state with words, nothing partial is stored, memory stays bounded, other
mailboxes are synced meanwhile, and once the server is honest again the store is what the server has.
"""

from __future__ import annotations

import hashlib
import resource
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from fnmatch import fnmatchcase

import pytest
from django.db import connection as database
from django.utils import timezone

from accounts import sessions
from accounts.models import DownloadPeriod, Mailbox, State
from mailservers.rulebook import load_rules
from mailstore import schedule, syncing
from mailstore.models import Folder, Message, SyncSchedule
from mailstore.packs import read_raw
from protocols.imap import connection, fetching
from protocols.network import Dialer, DialPolicy
from tests.mailstore.hostile.script import HONEST, HONEST_UIDS, Script, read, scripts
from tests.mailstore.receiving.letters import letter
from tests.servers.scripted import scripted

pytestmark = [pytest.mark.django_db, pytest.mark.once]

MOST_MEMORY = 150 * 1024  # KB that one script may add to the highest memory of the process
THROTTLING = """
[THROTTLED] Request is throttled. Suggested Backoff Time: 46573 milliseconds
[UNAVAILABLE] Temporary authentication failure
[LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)
[INUSE] Mailbox is in use by another session
[SERVERBUG] Internal error occurred. Refer to server log for more information.
[ALERT] Too many simultaneous connections. (Failure)
Server Unavailable. 15 - service is temporarily unavailable
User is authenticated but not connected.
Too many connections, try again later
Too many concurrent connections
Too many login attempts: rate limit exceeded
Maximum number of simultaneous connections reached
Service temporarily unavailable
Server is busy, please try again later
The service is not available right now: server busy
Temporary system failure
Temporary authentication failure
Try again in 5 minutes
Your account is being throttled
Internal server error
temporarily unavailable: server too busy
too many imap sessions
""".strip().splitlines()


@pytest.fixture
def sync(make_mailbox: Callable[..., Mailbox], monkeypatch: pytest.MonkeyPatch) -> Callable[..., SyncSchedule]:
    """`sync(port)`: one sync of the mailbox against whatever listens there, with short timeouts."""
    load_rules()
    ports: set[int] = set()
    monkeypatch.setattr(sessions, "dialer", lambda: dialer_to(ports))
    monkeypatch.setattr(fetching, "PROGRESS_TIMEOUT", 0.5)
    monkeypatch.setattr(connection, "LINES_PER_COMMAND", 4 * 1024 * 1024)
    incoming = Mailbox.incoming
    monkeypatch.setattr(Mailbox, "incoming", lambda mailbox: replace(incoming(mailbox), timeout=0.5))
    mailbox = make_mailbox("alice@example.org", **reached_at(1))

    def run(port: int) -> SyncSchedule:
        ports.add(port)
        return synced(mailbox, port)

    return run


def reached_at(port: int) -> dict[str, object]:
    return {
        "imap_host": "127.0.0.1", "imap_port": port, "imap_security": "none",
        "download_period": DownloadPeriod.EVERYTHING,
    }  # fmt: skip


def dialer_to(ports: set[int]) -> Dialer:
    return Dialer(DialPolicy(endpoints=frozenset(("127.0.0.1", port) for port in ports)))


def synced(mailbox: Mailbox, port: int) -> SyncSchedule:
    now = timezone.now()
    Mailbox.objects.filter(pk=mailbox.pk).update(imap_port=port)
    SyncSchedule.objects.filter(mailbox=mailbox).update(due_at=now)
    fence = SyncSchedule.objects.claim(mailbox.pk, now)
    assert fence is not None
    syncing.sync(mailbox.pk, fence)
    return SyncSchedule.objects.select_related("mailbox").get(mailbox=mailbox)


def ending(row: SyncSchedule) -> tuple[State, str]:
    """The state on the mailbox's card, and the words beside it."""
    progress = schedule.progress(row, timezone.now())
    attention = row.mailbox.attention
    folders = row.mailbox.folders.exclude(problem="").values_list("problem", flat=True)
    words = attention["title"] if attention else progress.waiting_for
    return progress.state, words or " ".join(folders)


def shown() -> set[int]:
    """UIDs of what is stored, each made sure to be whole."""
    uids = set()
    for message in Message.objects.live():
        assert message.uid not in uids
        uids.add(message.uid)
        assert read_raw(message, verify=True) == letter(message.uid if message.uid in HONEST_UIDS else 3)
    return uids


@contextmanager
def bounded_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY


@pytest.mark.proves("T25", "R6", "R7", "R8", "R9", "R11", "R12", "R14", "V8")
@pytest.mark.parametrize("script", scripts(), ids=lambda script: script.name)
def test_a_hostile_server_ends_in_words_and_harms_nothing(script: Script, sync):
    with bounded_memory(), scripted(script.play) as server:
        for _ in range(script.runs):
            row = sync(server.port)
    state, words = ending(row)
    assert row.leased_until is None
    assert (state, fnmatchcase(words.lower(), script.promises["says"].lower())) == (
        State(script.promises["ends"].replace(" ", "_")),
        True,
    ), words
    assert words or state == State.CONNECTED
    assert words.isprintable()
    assert shown() == script.uids("stores")
    if row.mailbox.paused_at is None:
        with scripted(read("honest", HONEST).play) as server:
            row = sync(server.port)
        assert ending(row)[0] == State.CONNECTED
        assert shown() == script.uids("then")


def test_there_are_at_least_forty_scripts_and_each_says_what_it_does():
    titles = [script.title for script in scripts()]
    assert len(set(titles)) == len(titles) >= 40
    assert all(title.endswith(".") for title in titles)


@pytest.mark.proves("R15")
@pytest.mark.parametrize("text", THROTTLING)
@pytest.mark.parametrize("where", ["LOGIN", "EXAMINE"])
def test_a_server_that_asks_for_patience_gets_it(text: str, where: str, sync):
    script = read("busy", f"A busy server.\nON {where} *\nS: {{tag}} NO {text}\n")
    with scripted(script.play) as server:
        row = sync(server.port)
    state, words = ending(row)
    assert (state, row.mailbox.login_refusals, row.mailbox.paused_at) == (State.WAITING, 0, None)
    assert words
    assert 30 < (row.due_at - timezone.now()).total_seconds() < 4000


@pytest.mark.proves("T25", "R7")
@pytest.mark.django_db(transaction=True)
def test_other_mailboxes_are_synced_while_a_server_stalls(sync, make_mailbox, monkeypatch):
    stalling = read(
        "stalling", "A server that stalls in the middle of a message.\nON UID FETCH *\nS- * 1 FETCH (UID 1\nSTALL"
    )
    other = make_mailbox("bob@example.org", **reached_at(1))
    ended: list[str] = []

    def stalled(port: int) -> None:
        try:
            ended.append(ending(sync(port))[0])
        finally:
            database.close()

    with scripted(stalling.play) as bad, scripted(read("honest", HONEST).play) as good:
        monkeypatch.setattr(sessions, "dialer", lambda: dialer_to({bad.port, good.port}))
        worker = threading.Thread(target=stalled, args=(bad.port,))
        worker.start()
        row = synced(other, good.port)
        worker.join(20)
    assert ending(row)[0] == State.CONNECTED
    assert Message.objects.live().filter(mailbox=other).count() == 3
    assert ended == [State.WAITING]


def test_the_honest_server_is_honest(sync):
    with scripted(read("honest", HONEST).play) as server:
        assert ending(sync(server.port)) == (State.CONNECTED, "")
        assert shown() == set(HONEST_UIDS)
        assert hashlib.sha256(letter(1)).digest() == bytes(Message.objects.get(uid=1).sha256)
        assert ending(sync(server.port)) == (State.CONNECTED, "")


@pytest.mark.proves("R14")
def test_a_refused_message_is_asked_for_again_less_and_less_often_and_five_times(sync):
    refusing = next(script for script in scripts() if script.name == "one_message_refused")
    with scripted(refusing.play) as server:
        for tries in range(1, 6):
            sync(server.port)
            folder = Folder.objects.get()
            assert folder.refused == {"2": tries}
            assert "1 message" in folder.problem
            if tries < 5:
                assert folder.refused_until > timezone.now() + timedelta(minutes=50)
                asked = len(server.lines)
                sync(server.port)
                assert not any(b"UID FETCH 2 (UID FLAGS INT" in line for line in server.lines[asked:]), "too early"
                Folder.objects.update(refused_until=timezone.now())
        assert folder.refused_until is None
    assert shown() == {1, 3}


@pytest.mark.proves("R14")
def test_a_refused_message_that_can_be_read_again_is_stored(sync):
    refusing = next(script for script in scripts() if script.name == "one_message_refused_as_dovecot_does")
    with scripted(refusing.play) as server:
        sync(server.port)
    Folder.objects.update(refused_until=timezone.now())
    with scripted(read("honest", HONEST).play) as server:
        assert ending(sync(server.port)) == (State.CONNECTED, "")
    assert shown() == {1, 2, 3}
    assert Folder.objects.get().refused == {}
