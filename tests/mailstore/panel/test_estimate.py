"""How much the first download brings, asked from a real server and from one that says nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts import sessions
from accounts.models import DownloadPeriod
from mailstore import estimate
from mailstore.estimate import Estimate, estimate_download
from mailstore.models import Folder
from protocols.network import Dialer, DialPolicy
from tests.accounts.settings.mail import store
from tests.mailstore.receiving.letters import letter
from tests.servers.dovecot import Dovecot


@pytest.fixture
def mailbox_there(dovecot: Dovecot, make_mailbox, alice, monkeypatch):
    """Alice's mailbox on Dovecot with three messages in INBOX and one in Archive."""
    monkeypatch.setattr(sessions, "dialer", lambda: dovecot.dialer)
    monkeypatch.setattr(sessions, "trust", lambda: dovecot.trust)
    credentials = dovecot.new_user()
    endpoint = dovecot.endpoint()
    box = make_mailbox(
        credentials.username,
        alice,
        imap_host=endpoint.host,
        imap_port=endpoint.port,
        imap_security="none",
        password=credentials.password,
    )
    with sessions.imap_session(box) as session:
        for number in range(3):
            session.append(b"INBOX", letter(number))
        session._connection.command(b"CREATE", b"Archive")
        session.append(b"Archive", letter(9))
        session._connection.command(b"CREATE", b"Trash")
        session.append(b"Trash", letter(10))
    return box


@pytest.mark.proves("E2")
@pytest.mark.parametrize("period", [DownloadPeriod.WEEK, DownloadPeriod.EVERYTHING])
def test_the_estimate_counts_what_would_come(mailbox_there, period):
    mailbox_there.download_period = period
    found = estimate_download(mailbox_there, timezone.now())
    assert found is not None
    assert (found.messages, found.is_whole) == (4, True)
    assert found.size == pytest.approx(4 * len(letter(1)), rel=0.1)


@pytest.mark.proves("E2")
def test_the_estimate_stands_in_a_sentence(mailbox_there, alice, client_of):
    url = reverse("mailstore:estimate", args=[mailbox_there.pk])
    words = client_of(alice).get(url).content.decode().replace("\xa0", " ")
    assert "That is about 4 messages" in words
    assert "under a minute" in words


@pytest.mark.proves("E7")
def test_another_period_says_what_it_would_bring_beyond_what_is_here(mailbox_there, alice, client_of):
    def said(period: str) -> str:
        answer = client_of(alice).get(url, {"download_period": period})
        return " ".join(answer.content.decode().replace("\xa0", " ").split())

    url = reverse("mailstore:estimate", args=[mailbox_there.pk])
    assert "That is about 4 messages" in said("week")  # nothing was downloaded yet
    inbox = Folder.objects.create(
        mailbox=mailbox_there,
        name="INBOX",
        raw_name=b"INBOX",
        synced_at=timezone.now(),
        covers_from=timezone.now() - timedelta(days=7),
    )
    store(inbox)
    assert said("year").startswith("The next sync fetches the older mail: about 3 messages, ")
    assert said("day").startswith("Nothing is fetched or removed: what is stored stays.")
    mailbox_there.login_refusals = 1
    mailbox_there.save()
    assert "The server did not say quickly how much that is." in said("everything")


@pytest.fixture
def silent_port(monkeypatch) -> Iterator[int]:
    """The port of a server that takes connections and never says a word; left after a fraction of a second."""
    monkeypatch.setattr(estimate, "PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        policy = DialPolicy(endpoints=frozenset({("127.0.0.1", port)}), names={"silent.example": "127.0.0.1"})
        monkeypatch.setattr(sessions, "dialer", lambda: Dialer(policy))
        yield port
    for thread in asking():
        thread.join(15)


def asking() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("estimate-")]


@pytest.mark.proves("E2")
def test_nobody_waits_for_a_server_that_says_nothing(make_mailbox, alice, client_of, silent_port):
    box = make_mailbox("x@example.org", alice, imap_host="silent.example", imap_port=silent_port)
    started = time.monotonic()
    answer = client_of(alice).get(reverse("mailstore:estimate", args=[box.pk]))
    assert time.monotonic() - started < 15  # the server's own timeout is longer
    assert len(asking()) == 1, "it was left alone, not refused"
    assert answer.status_code == 200
    assert "did not say" in answer.content.decode()


def test_a_silent_server_piles_up_no_threads_and_keeps_no_process_from_stopping(
    make_mailbox, alice, client_of, monkeypatch, silent_port
):
    box, other = (
        make_mailbox(f"x{number}@example.org", alice, imap_host="silent.example", imap_port=silent_port)
        for number in range(2)
    )
    client = client_of(alice)
    for _ in range(3):
        assert "did not say" in client.get(reverse("mailstore:estimate", args=[box.pk])).content.decode()
    [thread] = asking()
    assert thread.daemon
    monkeypatch.setattr(estimate, "MOST_AT_ONCE", 1)
    assert estimate_download(other, timezone.now()) is None
    assert asking() == [thread]


def test_a_mailbox_can_be_asked_again_once_its_thread_has_ended(mailbox_there):
    for _ in range(2):
        assert estimate_download(mailbox_there, timezone.now()) is not None
        for thread in asking():
            thread.join(5)
    assert not estimate._being_asked


@pytest.mark.parametrize(
    ("messages", "size", "words"),
    [
        (10, 10_000, "under a minute"),
        (45_000, 0, "about 3 minutes"),
        (0, 6_000_000 * 60, "about 1 minute"),
        (10**7, 0, "about 11 hours"),
    ],
)
def test_the_duration_is_said_in_words(messages, size, words):
    assert Estimate(messages, size, is_whole=True).duration == words
