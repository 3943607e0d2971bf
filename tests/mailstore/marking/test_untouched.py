"""A sync by itself changes nothing on the server, whatever it finds there: a second client compares all of it (G5)."""

from __future__ import annotations

import re

import pytest

from protocols.imap.session import ImapSession
from tests.mailstore.marking.conftest import Desk

pytestmark = pytest.mark.django_db


def folders(desk: Desk) -> list[bytes]:
    """LIST without what it says of the last session that looked (RFC 9051, 7.3.1)."""
    return sorted(re.sub(rb" ?\\(Un)?[Mm]arked", b"", line) for line in desk.account.client.list()[1])


@pytest.mark.proves("G5", "V6")
def test_no_sync_leaves_a_trace_on_the_server(desk: Desk, monkeypatch):
    def never(self, raw_name):
        raise AssertionError("A sync opened a folder for writing.")

    monkeypatch.setattr(ImapSession, "select", never)
    account = desk.account

    def others_work() -> None:
        account.deliver_letters(8, 9)
        account.store("1", "+FLAGS", r"\Flagged \Deleted")
        account.store("2", "+FLAGS", r"\Seen $Label")
        account.expunge("3")
        account.command("create", "New")
        account.deliver_letters(10, folder="New")

    def others_go_on() -> None:
        account.command("rename", "New", "Renamed")
        account.store("2", "-FLAGS", r"\Seen")

    for change in (lambda: None, others_work, others_go_on, lambda: None):
        change()
        before = (account.everything(), folders(desk))
        account.sync()
        assert (account.everything(), folders(desk)) == before


@pytest.mark.proves("G5")
def test_a_change_touches_only_what_was_asked_for(desk: Desk):
    desk.account.store("2", "+FLAGS", r"\Deleted")
    desk.account.deliver_letters(20, folder="Sent")
    before = desk.account.everything()
    desk.mark(1)
    desk.carry_out()
    desk.account.sync()
    after = desk.account.everything()
    assert {name for name in after if after[name] != before[name]} == {"INBOX"}
    desk.mark(1, wanted=False)
    desk.carry_out()
    assert desk.account.everything() == before
