"""One suite for every server: Dovecot in four shapes and pymap always, Cyrus and Courier with `--all`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from imapclient import IMAPClient

from accounts import sessions
from accounts.models import DownloadPeriod, Mailbox
from tests.interop.account import Account
from tests.servers.imap_servers import Fleet, ImapServer

ALWAYS = ("dovecot", "dovecot compressed", "dovecot without QRESYNC", "dovecot as IMAP4rev1", "pymap")

WITH_ALL = ("cyrus", "courier")


@pytest.fixture(params=[*ALWAYS, *(pytest.param(name, marks=pytest.mark.slow) for name in WITH_ALL)])
def server(request: pytest.FixtureRequest, fleet: Fleet) -> ImapServer:
    return fleet.server(request.param)


@pytest.fixture
def account(
    server: ImapServer, make_mailbox: Callable[..., Mailbox], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Account]:
    """A fresh user whose whole mail is to be downloaded, all folders followed."""
    monkeypatch.setattr(sessions, "dialer", lambda: server.dialer)
    credentials = server.new_user()
    endpoint = server.endpoint()
    mailbox = make_mailbox(
        credentials.username,
        imap_host=endpoint.host,
        imap_port=endpoint.port,
        imap_security="none",
        password=credentials.password,
        download_period=DownloadPeriod.EVERYTHING,
    )
    client = IMAPClient(endpoint.host, endpoint.port, ssl=False, timeout=20)
    client.login(credentials.username, credentials.password.reveal())
    try:
        yield Account(server, mailbox, client)
    finally:
        client.logout()
