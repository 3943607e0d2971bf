"""What the tests of receiving share: letters, a folder with a claim on its mailbox, and a way to store into it."""

from __future__ import annotations

import imaplib
from collections.abc import Callable, Iterator

import pytest
from django.utils import timezone

from accounts import sessions
from accounts.models import DownloadPeriod, Mailbox
from mailstore.models import Folder, SyncSchedule
from mailstore.packs import PackWriter
from mailstore.writing import NO_UIDS, Claim, Stored, store_batch
from protocols.imap.fetching import FetchedMessage
from protocols.imap.plan import UidSet
from tests.mailstore.receiving.letters import make_folder, placed
from tests.mailstore.receiving.server import Account
from tests.servers.dovecot import Dovecot


@pytest.fixture
def schedule(mailbox: Mailbox) -> SyncSchedule:
    return SyncSchedule.objects.get(mailbox=mailbox)


@pytest.fixture
def claim(schedule: SyncSchedule) -> Claim:
    fence = SyncSchedule.objects.claim(schedule.pk, timezone.now())
    assert fence is not None
    return Claim(schedule.pk, fence)


@pytest.fixture
def inbox(mailbox: Mailbox) -> Folder:
    return make_folder(mailbox, "INBOX", special_use=Folder.SpecialUse.INBOX)


@pytest.fixture
def packs(claim: Claim) -> Iterator[PackWriter]:
    with PackWriter(claim.mailbox_pk, claim.fence) as writer:
        yield writer


Store = Callable[..., Stored]


@pytest.fixture
def store(inbox: Folder, claim: Claim, packs: PackWriter) -> Store:
    """`store(*fetched, folder=inbox, new_from=None)` reads and stores one batch."""

    def storing(
        *messages: FetchedMessage, folder: Folder = inbox, new_from: int | None = None, covered: UidSet = NO_UIDS
    ) -> Stored:
        return store_batch(
            folder, placed(packs, *messages), claim=claim, packs=packs, covered=covered, new_from=new_from
        )

    return storing


@pytest.fixture
def account(
    dovecot: Dovecot, make_mailbox: Callable[..., Mailbox], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Account]:
    """A fresh user on Dovecot whose whole mail is to be downloaded."""
    monkeypatch.setattr(sessions, "dialer", lambda: dovecot.dialer)
    monkeypatch.setattr(sessions, "trust", lambda: dovecot.trust)
    credentials = dovecot.new_user()
    endpoint = dovecot.endpoint()
    mailbox = make_mailbox(
        credentials.username,
        imap_host=endpoint.host,
        imap_port=endpoint.port,
        imap_security="none",
        password=credentials.password,
        download_period=DownloadPeriod.EVERYTHING,
    )
    client = imaplib.IMAP4("127.0.0.1", endpoint.port)
    client.login(credentials.username, credentials.password.reveal())
    try:
        yield Account(mailbox, client)
    finally:
        client.logout()
