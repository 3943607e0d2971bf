"""Reading and starring on the server, with other clients at work there (spec G5; fault R32)."""

from __future__ import annotations

import pytest
from django.utils import timezone

from mailstore import flag_changes
from mailstore.models import Change, Listing
from protocols.imap.changing import ChangeableFolder
from tests.mailstore.marking.conftest import Desk, Kind

pytestmark = pytest.mark.django_db


@pytest.fixture
def writes(monkeypatch):
    """Every STORE that is sent: (added, removed)."""
    sent: list[tuple[list[str], list[str]]] = []
    original = ChangeableFolder.change_flags

    def noting(self, uids, *, add=(), remove=(), unchanged_since=None):
        sent.append((list(add), list(remove)))
        return original(self, uids, add=add, remove=remove, unchanged_since=unchanged_since)

    monkeypatch.setattr(ChangeableFolder, "change_flags", noting)
    return sent


@pytest.mark.proves("G5")
def test_reading_and_starring_show_at_once_and_reach_the_server(desk: Desk):
    desk.mark(1, 2)
    desk.mark(2, kind=Kind.FLAGGED)
    assert desk.message(1).is_seen
    assert Listing.objects.filter(folder__name="INBOX", unread_count=0).count() == 2
    assert desk.on_server()["Letter 1"] == set()
    desk.carry_out()
    assert desk.on_server() == {"Letter 1": {r"\Seen"}, "Letter 2": {r"\Seen", r"\Flagged"}, "Letter 3": set()}
    assert not Change.objects.open().exists()
    desk.account.sync()
    assert desk.message(2).is_flagged


def test_many_messages_are_marked_by_one_command(desk: Desk, writes):
    desk.mark(1, 2, 3)
    desk.carry_out()
    assert writes == [([r"\Seen"], [])]


@pytest.mark.proves("R32")
def test_a_sync_leaves_a_wish_alone_until_the_server_has_heard_of_it(desk: Desk):
    desk.mark(1)
    desk.account.store("1", "+FLAGS", r"\Answered")
    desk.account.sync()
    assert (desk.message(1).is_seen, desk.message(1).is_answered) == (True, True)
    desk.carry_out()
    desk.account.sync()
    assert desk.message(1).is_seen
    assert desk.on_server()["Letter 1"] == {r"\Seen", r"\Answered"}


@pytest.mark.proves("R32")
def test_answers_that_are_older_than_a_settled_change_do_not_undo_it(desk: Desk, monkeypatch):
    from mailstore import folder_sync

    original = folder_sync._opened

    def opened_then_marked(run, folder, known):
        answer = original(run, folder, known)
        if folder.name == "INBOX" and not Change.objects.exists():
            desk.mark(1)
            desk.carry_out()
        return answer

    desk.account.store("1", "+FLAGS", r"\Flagged")
    monkeypatch.setattr(folder_sync, "_opened", opened_then_marked)
    desk.account.sync()
    assert desk.message(1).is_seen
    assert desk.message(1).is_flagged
    desk.account.sync()
    assert desk.message(1).is_seen


@pytest.mark.proves("R32")
def test_what_another_client_changed_meanwhile_costs_a_second_write_and_loses_no_flag(desk: Desk, writes):
    desk.account.store("1", "+FLAGS", r"\Flagged \Answered")
    desk.mark(1)
    desk.carry_out()
    assert len(writes) == 2
    assert desk.on_server()["Letter 1"] == {r"\Seen", r"\Flagged", r"\Answered"}


@pytest.mark.proves("R32")
def test_what_another_client_did_already_is_not_written_again(desk: Desk, writes):
    desk.account.store("1", "+FLAGS", r"\Seen")
    desk.mark(1)
    desk.carry_out()
    assert len(writes) == 1
    assert desk.on_server()["Letter 1"] == {r"\Seen"}
    assert not Change.objects.open().exists()


@pytest.mark.proves("R32")
def test_changes_of_mind_end_with_the_last_one_everywhere(desk: Desk, writes):
    desk.mark(1)
    desk.mark(1, wanted=False)
    desk.mark(1)
    assert Change.objects.open().count() == 1
    desk.carry_out()
    assert len(writes) == 1
    assert desk.on_server()["Letter 1"] == {r"\Seen"}


def test_a_change_of_mind_while_the_first_wish_is_on_its_way_is_carried_out_too(desk: Desk, monkeypatch):
    original = flag_changes.faultpoint

    def change_mind(name: str) -> None:
        if name == "flags stored" and desk.message(1).is_seen:
            desk.mark(1, wanted=False)
        original(name)

    monkeypatch.setattr(flag_changes, "faultpoint", change_mind)
    desk.mark(1)
    desk.carry_out()
    assert not desk.message(1).is_seen
    assert desk.on_server()["Letter 1"] == set()
    assert not Change.objects.open().exists()


def test_a_flag_can_be_cleared_and_the_action_undone(desk: Desk):
    starred = desk.mark(1, 2, kind=Kind.FLAGGED)
    desk.carry_out()
    assert desk.undo(starred).count == 2
    assert not desk.message(1).is_flagged
    desk.carry_out()
    assert desk.on_server()["Letter 1"] == desk.on_server()["Letter 2"] == set()


def test_undo_leaves_what_was_decided_later(desk: Desk):
    starred = desk.mark(1, kind=Kind.FLAGGED)
    desk.carry_out()
    desk.mark(1, kind=Kind.FLAGGED, wanted=False)
    desk.mark(1, kind=Kind.FLAGGED)
    assert desk.undo(starred).count == 0
    assert desk.message(1).is_flagged


def test_a_message_that_is_gone_on_the_server_ends_quietly(desk: Desk):
    desk.account.expunge("1")
    desk.mark(1)
    desk.carry_out()
    assert desk.problems() == []
    assert not Change.objects.open().exists()


def test_what_a_folder_refuses_goes_back_with_the_words_of_the_server(desk: Desk):
    desk.account.command("create", "Old")
    desk.account.deliver_letters(7, folder="Old")
    desk.account.sync()
    desk.mark(7)
    desk.account.command("delete", "Old")
    desk.carry_out()
    assert not desk.message(7).is_seen
    [problem] = desk.problems()
    assert problem.startswith("The server says: ")
    change = Change.objects.get()
    assert change.sentence == "“Letter 7” was not marked as read."


@pytest.mark.proves("F3", "G5")
def test_a_right_that_ends_takes_queued_wishes_back(desk: Desk, bob):
    from accounts.models import MailboxGrant

    mailbox = desk.account.mailbox
    mailbox.is_shared = True
    mailbox.save(update_fields=["is_shared"])
    grant = MailboxGrant.objects.create(mailbox=mailbox, user=bob, may_send=True)
    before = desk.on_server()
    desk.reader = bob
    desk.mark(1)
    grant.delete()
    desk.carry_out()
    assert desk.on_server() == before
    assert not desk.message(1).is_seen
    assert desk.problems() == ["The right to change mail of this account has ended."]


def test_a_paused_account_takes_wishes_back(desk: Desk):
    mailbox = desk.account.mailbox
    mailbox.paused_at = timezone.now()
    mailbox.save(update_fields=["paused_at"])
    desk.mark(1)
    desk.carry_out()
    assert not desk.message(1).is_seen
    assert desk.problems() == ["This account is paused."]
