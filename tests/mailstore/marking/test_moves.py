"""Moving, archiving, deleting: one copy in the right place, known under its key, never fetched again (G5; R33)."""

from __future__ import annotations

import pytest
from django.utils import timezone

from mailstore import marking, place_changes, pulling
from mailstore.marking import NoSuchFolder, folder_for
from mailstore.models import Arrival, Change, Folder, Message
from protocols.imap import changing
from protocols.imap.changing import ChangeableFolder
from protocols.imap.session import ImapSession
from tests.mailstore.marking.conftest import Desk, Kind

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["MOVE", "COPY and UID EXPUNGE", "without COPYUID", "COPY without COPYUID"])
def server(request, monkeypatch):
    """The same Dovecot, with less on offer."""
    less = {"MOVE"} if "COPY and" in request.param or "COPY without" in request.param else set()
    original = ImapSession.capabilities.fget
    monkeypatch.setattr(
        ImapSession, "capabilities", property(lambda self: original(self) - less - ({"IMAP4REV2"} & less))
    )
    if "without COPYUID" in request.param:
        placed = ChangeableFolder._placed

        def untold(self, command, uids, raw_name):
            placed(self, command, uids, raw_name)

        monkeypatch.setattr(ChangeableFolder, "_placed", untold)
    return request.param


@pytest.fixture
def fetched(monkeypatch):
    """How many messages any sync fetched."""
    count: list[int] = []
    original = pulling.pull

    def counting(*arguments, **named):
        count.append(original(*arguments, **named))
        return count[-1]

    monkeypatch.setattr(pulling, "pull", counting)
    return count


@pytest.mark.proves("G5", "R33")
def test_a_move_shows_at_once_and_ends_with_one_copy_that_is_not_fetched_again(desk: Desk, server, fetched):
    before = {message.pk for message in Message.objects.all()}
    desk.mark(2)
    desk.move(1, 2, to="Archive")
    assert desk.account.subjects() == ["Letter 3"]
    assert desk.account.subjects("Archive") == ["Letter 1", "Letter 2"]
    desk.carry_out()
    assert set(desk.on_server()) == {"Letter 3"}
    assert desk.on_server("Archive") == {"Letter 1": set(), "Letter 2": {r"\Seen"}}
    assert desk.account.uids("Archive") == [1, 2]
    desk.account.sync()
    assert sum(fetched) == 0
    assert {message.pk for message in Message.objects.all()} == before
    assert not Arrival.objects.exists()
    assert desk.account.subjects("Archive") == ["Letter 1", "Letter 2"]
    assert not Change.objects.open().exists()


def test_a_sync_between_wish_and_deed_changes_nothing_on_the_screen(desk: Desk):
    desk.move(1, to="Archive")
    desk.account.sync()
    assert desk.account.subjects() == ["Letter 2", "Letter 3"]
    assert desk.account.subjects("Archive") == ["Letter 1"]
    desk.carry_out()
    desk.account.sync()
    assert desk.account.subjects("Archive") == ["Letter 1"]
    assert desk.message(1).uid == 1


def test_a_sync_that_is_quicker_than_the_settling_doubles_nothing_and_announces_nothing(desk: Desk, monkeypatch):
    original = place_changes.faultpoint

    def sync_then(name: str) -> None:
        if name == "moved":
            desk.account.sync()
        original(name)

    monkeypatch.setattr(place_changes, "faultpoint", sync_then)
    key = desk.message(1).pk
    desk.move(1, to="Archive")
    desk.carry_out()
    assert desk.message(1).pk == key
    assert desk.account.subjects("Archive") == ["Letter 1"]
    assert not Arrival.objects.exists()
    desk.account.sync()
    assert desk.account.subjects("Archive") == ["Letter 1"]


def test_undo_before_the_server_was_told_leaves_it_alone(desk: Desk):
    before = desk.account.everything()
    archived = desk.move(1, to="Archive")
    desk.undo(archived)
    assert desk.account.subjects() == ["Letter 1", "Letter 2", "Letter 3"]
    desk.carry_out()
    assert desk.account.everything() == before
    assert desk.message(1).uid == 1


def test_undo_afterwards_moves_back(desk: Desk, fetched):
    archived = desk.move(1, 2, to="Archive")
    desk.carry_out()
    assert desk.undo(archived).count == 2
    assert desk.account.subjects() == ["Letter 1", "Letter 2", "Letter 3"]
    desk.carry_out()
    assert set(desk.on_server()) == {"Letter 1", "Letter 2", "Letter 3"}
    assert desk.on_server("Archive") == {}
    desk.account.sync()
    assert sum(fetched) == 0


def test_undo_while_the_move_is_on_its_way_moves_back(desk: Desk, monkeypatch):
    original = place_changes.faultpoint
    archived = desk.move(1, to="Archive")

    def undo_then(name: str) -> None:
        if name == "moved" and desk.account.subjects("Archive"):
            desk.undo(archived)
        original(name)

    monkeypatch.setattr(place_changes, "faultpoint", undo_then)
    desk.carry_out()
    assert set(desk.on_server()) == {"Letter 1", "Letter 2", "Letter 3"}
    assert desk.on_server("Archive") == {}
    assert desk.account.subjects() == ["Letter 1", "Letter 2", "Letter 3"]
    assert not Change.objects.open().exists()


def test_what_goes_to_a_folder_that_is_not_downloaded_leaves_the_screen_and_comes_back_with_undo(desk: Desk):
    Folder.objects.filter(name="Trash").update(is_followed=False)
    deleted = desk.move(1, to="Trash")
    assert not Message.objects.live().filter(subject="Letter 1").exists()
    desk.carry_out()
    assert set(desk.on_server("Trash")) == {"Letter 1"}
    desk.account.sync()
    assert not Message.objects.live().filter(subject="Letter 1").exists()
    desk.undo(deleted)
    assert desk.account.subjects() == ["Letter 1", "Letter 2", "Letter 3"]
    desk.carry_out()
    assert set(desk.on_server()) == {"Letter 1", "Letter 2", "Letter 3"}
    assert desk.on_server("Trash") == {}


@pytest.mark.proves("R33")
def test_removal_for_good_takes_only_the_named_messages(desk: Desk):
    desk.account.store("2", "+FLAGS", r"\Deleted")
    desk.move(1, to=None)
    assert "Letter 1" not in desk.account.subjects()
    desk.carry_out()
    assert set(desk.on_server()) == {"Letter 2", "Letter 3"}
    assert r"\Deleted" in desk.on_server()["Letter 2"]
    desk.account.sync()
    assert desk.account.subjects() == ["Letter 2", "Letter 3"]


@pytest.mark.proves("R33")
def test_a_server_without_a_safe_way_is_left_alone_and_the_reader_told(desk: Desk, monkeypatch):
    monkeypatch.setattr(ImapSession, "capabilities", property(lambda self: frozenset({"IMAP4REV1"})))
    before = desk.account.everything()
    desk.move(1, to="Archive")
    desk.move(2, to=None)
    desk.carry_out()
    assert desk.account.everything() == before
    assert desk.account.subjects() == ["Letter 1", "Letter 2", "Letter 3"]
    assert desk.problems() == [place_changes.UNSAFE] * 2


def test_a_folder_that_is_gone_gives_the_message_back_with_the_reason(desk: Desk):
    desk.account.command("delete", "Archive")
    desk.move(1, to="Archive")
    desk.carry_out()
    assert desk.account.subjects() == ["Letter 1", "Letter 2", "Letter 3"]
    assert Change.objects.refused_for(desk.reader).get().sentence == "“Letter 1” was not moved to Archive."
    assert set(desk.on_server()) == {"Letter 1", "Letter 2", "Letter 3"}


@pytest.mark.proves("R33")
def test_an_original_that_must_stay_takes_its_copy_back(desk: Desk, monkeypatch):
    original = ImapSession.capabilities.fget
    monkeypatch.setattr(ImapSession, "capabilities", property(lambda self: original(self) - {"MOVE"}))
    expunge = ChangeableFolder.expunge
    refused = []

    def refuse_once(self, uids):
        if not refused:
            refused.append(uids)
            raise changing.NotOffered("Not here.")
        expunge(self, uids)

    monkeypatch.setattr(ChangeableFolder, "expunge", refuse_once)
    desk.move(1, to="Archive")
    desk.carry_out()
    assert desk.on_server("Archive") == {}
    assert desk.on_server() == {"Letter 1": set(), "Letter 2": set(), "Letter 3": set()}
    assert desk.account.subjects() == ["Letter 1", "Letter 2", "Letter 3"]


def test_a_message_that_another_client_moved_first_is_looked_for_by_the_next_sync(desk: Desk):
    desk.account.command("create", "Elsewhere")
    desk.move(1, to="Archive")
    desk.account.select("INBOX")
    desk.account.client.uid("MOVE", "1", '"Elsewhere"')
    desk.account.unselect()
    desk.carry_out()
    assert desk.problems() == []
    desk.account.sync()
    assert desk.account.subjects("Elsewhere") == ["Letter 1"]
    assert desk.account.subjects("Archive") == []


def test_equal_messages_keep_their_number(desk: Desk, server):
    desk.account.deliver_letters(1)
    desk.account.sync()
    keys = [message.pk for message in Message.objects.filter(subject="Letter 1")]
    target = desk.account.folder("Archive")
    marking.move(desk.account.mailbox, keys, target, by=desk.reader, now=timezone.now())
    desk.carry_out()
    desk.account.sync()
    assert sorted(Message.objects.live().filter(subject="Letter 1").values_list("pk", flat=True)) == sorted(keys)
    assert desk.account.uids("Archive") == [1, 2]


def test_a_renumbered_source_gives_the_message_back(desk: Desk):
    desk.account.command("create", "Old")
    desk.account.deliver_letters(7, folder="Old")
    desk.account.sync()
    desk.move(7, to="Archive")
    desk.account.command("delete", "Old")
    desk.account.command("create", "Old")
    desk.account.deliver_letters(7, folder="Old")
    desk.carry_out()
    assert desk.problems() == [place_changes.RENUMBERED]
    desk.account.sync()
    assert [message.folder.name for message in Message.objects.live().filter(subject="Letter 7")] == ["Old"]


def test_stars_and_moves_of_one_message_both_arrive(desk: Desk):
    desk.move(1, to="Archive")
    desk.mark(1, kind=Kind.FLAGGED)
    desk.carry_out()
    assert desk.on_server("Archive") == {"Letter 1": {r"\Flagged"}}
    desk.account.sync()
    assert desk.message(1).is_flagged


def test_the_archive_is_the_folder_of_all_mail_where_there_is_no_other(desk: Desk):
    mailbox = desk.account.mailbox
    assert folder_for(mailbox, Folder.SpecialUse.ARCHIVE).name == "Archive"
    mailbox.folders.filter(name="Archive").update(special_use="all")
    assert folder_for(mailbox, Folder.SpecialUse.ARCHIVE).name == "Archive"
    mailbox.folders.filter(name="Archive").update(special_use="")
    with pytest.raises(NoSuchFolder, match="has no folder for archive"):
        folder_for(mailbox, Folder.SpecialUse.ARCHIVE)
