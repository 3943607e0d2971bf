"""What the tests of the settings page share: a tree of folders, and each tab's form filled in as it stands."""

from __future__ import annotations

import pytest

from mailstore.models import Folder


@pytest.fixture
def folders(mailbox) -> dict[str, Folder]:
    """As a server lists them: a tree two levels deep below a folder that nobody can open, and Spam."""
    made = {}
    for name, fields in {
        "Work/Clients": {},
        "INBOX": {"special_use": "inbox", "uidvalidity": 7, "exists": 1204},
        "Work": {"is_selectable": False},
        "Work/Clients/Acme": {"problem": "The server does not open it: NO [NOPERM] Not yours."},
        "Spam": {"special_use": "junk", "is_followed": False},
        "Old.Dots": {"delimiter": "."},
    }.items():
        values = {"delimiter": "/", **fields}
        made[name] = Folder.objects.create(mailbox=mailbox, name=name, raw_name=name.encode(), **values)
    return made


@pytest.fixture
def receive(form_of, alice, mailbox):
    return form_of(alice, "settings", mailbox.pk, downloads="on", download_period="week", all_folders="all")


@pytest.fixture
def choose(form_of, alice, mailbox):
    return form_of(alice, "settings-folders", mailbox.pk, all_folders="all")


@pytest.fixture
def send(form_of, alice, mailbox):
    return form_of(alice, "settings-send", mailbox.pk, sends="on", display_name=mailbox.display_name, appends_sent="on")


@pytest.fixture
def interval(form_of, alice, mailbox):
    return form_of(alice, "settings-advanced", mailbox.pk, sync_interval="")


@pytest.fixture
def servers(form_of, alice, mailbox):
    return form_of(alice, "settings-servers", mailbox.pk, **server_values(mailbox), password="")


def server_values(mailbox) -> dict[str, object]:
    names = [f"{side}_{part}" for side in ("imap", "smtp") for part in ("host", "port", "security", "username")]
    return {name: getattr(mailbox, name) for name in names}
