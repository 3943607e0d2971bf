"""Spam and no spam: the registered keywords travel with the message (spec G5; RFC 9051, 2.3.2)."""

from __future__ import annotations

import signal

import pytest

from mailstore.models import Folder, Message
from protocols.errors import Refused
from protocols.imap.changing import ChangeableFolder
from protocols.imap.opened import read_opened
from protocols.imap.responses import Untagged
from tests.mailstore.marking.conftest import Desk, Worker
from tests.mailstore.marking.test_kill_points import offer_less

pytestmark = pytest.mark.django_db


@pytest.fixture
def spam(desk: Desk) -> Desk:
    """The account has a folder for spam besides the trash that it began with."""
    desk.account.command("create", "Spam")
    desk.account.sync()
    for name, use in (("Spam", Folder.SpecialUse.JUNK), ("Trash", Folder.SpecialUse.TRASH)):
        Folder.objects.filter(name=name).update(special_use=use, is_followed=True)
    return desk


@pytest.mark.proves("G5")
@pytest.mark.parametrize("less", ["", "MOVE", "COPYUID"])
def test_spam_is_marked_as_such_and_what_is_none_as_none(spam: Desk, monkeypatch, less):
    offer_less(monkeypatch, less)
    spam.move(1, 2, to="Spam")
    spam.carry_out()
    assert spam.on_server("Spam") == {"Letter 1": {"$Junk"}, "Letter 2": {"$Junk"}}
    spam.account.sync()
    spam.move(1, to="INBOX")
    spam.carry_out()
    assert spam.on_server() == {"Letter 1": {"$NotJunk"}, "Letter 3": set()}
    spam.account.sync()
    assert Message.objects.get(subject="Letter 1").keywords == ["$NotJunk"]


@pytest.mark.proves("V1")
def test_what_a_folder_held_before_its_first_sync_has_the_flags_of_the_server(spam: Desk):
    assert Folder.objects.get(name="Spam").synced_at is None
    spam.move(1, to="Spam")
    spam.carry_out()
    spam.account.store("1", "+FLAGS", r"\Answered", "Spam")
    for _ in range(2):
        spam.account.sync()
    moved = Message.objects.get(subject="Letter 1")
    assert (moved.keywords, moved.is_answered) == (["$Junk"], True)


def test_archiving_and_throwing_spam_away_say_nothing(spam: Desk):
    spam.move(1, to="Archive")
    spam.move(2, to="Spam")
    spam.carry_out()
    spam.account.sync()
    spam.move(2, to="Trash")
    spam.carry_out()
    assert spam.on_server("Archive") == {"Letter 1": set()}
    assert spam.on_server("Trash") == {"Letter 2": {"$Junk"}}


def test_a_server_that_refuses_keywords_moves_the_message_all_the_same(spam: Desk, monkeypatch):
    write = ChangeableFolder.change_flags

    def without_keywords(self, uids, *, add=(), remove=(), unchanged_since=None):
        if any(flag.startswith("$") for flag in (*add, *remove)):
            raise Refused("No keywords here.", reply="NO [CANNOT] No keywords here.")
        return write(self, uids, add=add, remove=remove, unchanged_since=unchanged_since)

    monkeypatch.setattr(ChangeableFolder, "change_flags", without_keywords)
    spam.move(1, to="Spam")
    spam.carry_out()
    assert spam.on_server("Spam") == {"Letter 1": set()}
    assert spam.problems() == []


def test_a_refused_move_leaves_no_mark(spam: Desk, monkeypatch):
    def full(self, uids, raw_name):
        raise Refused("The folder is full.", reply="NO [OVERQUOTA] The folder is full.")

    monkeypatch.setattr(ChangeableFolder, "move", full)
    spam.move(1, to="Spam")
    spam.carry_out()
    assert spam.on_server()["Letter 1"] == set()
    assert len(spam.problems()) == 1


@pytest.mark.proves("R33")
@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_after_the_mark_goes_on_to_move(spam: Desk, run_worker: Worker):
    spam.move(1, to="Spam")
    assert run_worker("", stop="verdict marked") == -signal.SIGKILL
    assert spam.on_server()["Letter 1"] == {"$Junk"}
    spam.carry_out()
    assert spam.on_server("Spam") == {"Letter 1": {"$Junk"}}
    assert "Letter 1" not in spam.on_server()


@pytest.mark.parametrize(
    ("told", "keeps"),
    [
        (r"[PERMANENTFLAGS (\Seen \Deleted \*)] Limited.", True),
        (r"[PERMANENTFLAGS (\Seen $JUNK $NotJunk)] Limited.", True),
        (r"[PERMANENTFLAGS (\Seen \Deleted)] Limited.", False),
        ("[PERMANENTFLAGS ()] Nothing stays.", False),
        ("Nothing is said.", True),
    ],
)
def test_a_folder_keeps_what_its_permanent_flags_allow(told, keeps):
    answers = [Untagged(b"OK", 0, [told.encode()]), Untagged(b"OK", 0, [b"[UIDVALIDITY 7] Fine."])]
    opened = read_opened(answers)
    assert ChangeableFolder(None, opened.state, opened.permanent).keeps("$Junk") is keeps
