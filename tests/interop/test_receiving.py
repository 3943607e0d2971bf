"""The same sync against every server: whatever it offers, in the end we show what it has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mailservers.rulebook import load_rules
from mailstore import folder_sync, pulling, reconciling, removal
from mailstore.models import Arrival, Folder, Message
from protocols.credentials import Secret
from tests.interop.account import Account
from tests.mailstore.receiving.letters import letter

pytestmark = [pytest.mark.django_db, pytest.mark.once]

MAIL_TABLES = ("message", "folder", "conversation", "listing", "threadkey", "arrival", "attachment")


@pytest.fixture
def no_downloads(monkeypatch):
    """Call it when no message may be fetched whole any more."""

    def forbid() -> None:
        def refuse(run, folder, wanted, *, new_from):
            assert not wanted, f"UIDs {wanted} of {folder.name} are downloaded again"

        monkeypatch.setattr(pulling, "pull", refuse)

    return forbid


@pytest.mark.proves("G1", "V1", "V3")
def test_a_first_sync_stores_every_message_once(account: Account):
    account.deliver_letters(1, 2, 3)
    account.deliver(letter(4, answers=1), flags=[r"\Seen", r"\Answered"])
    account.create("Work")
    account.deliver_letters(5, 6, folder="Work")
    done = account.sync()
    account.assert_in_line()
    assert (done.done, done.waiting_for, account.mailbox.attention) == (6, "", None)
    assert not Arrival.objects.exists()


@pytest.mark.proves("G5")
def test_a_sync_changes_nothing_on_the_server(account: Account):
    account.deliver_letters(1, 2)
    account.flag([2], r"\Seen", r"\Deleted")
    before = account.on_server()
    account.sync()
    account.sync()
    assert account.on_server() == before
    account.client.select_folder("INBOX", readonly=True)
    assert len(account.client.search("DELETED")) == 1


@pytest.mark.proves("V6", "G3")
def test_a_sync_without_news_writes_no_row_of_mail(account: Account):
    account.deliver_letters(*range(1, 13))
    account.create("Work")
    account.deliver_letters(20, folder="Work")
    account.sync()
    account.sync()
    with CaptureQueriesContext(connection) as captured:
        account.sync()
    written = [query["sql"] for query in captured.captured_queries if query["sql"].startswith(("INS", "UPD", "DEL"))]
    assert [sql for sql in written if any(f"mailstore_{table}" in sql[:60] for table in MAIL_TABLES)] == []


@pytest.mark.proves("G3")
def test_new_mail_is_announced_and_stored_where_it_belongs(account: Account):
    account.deliver_letters(1, 2)
    account.sync()
    account.deliver_letters(3, 4)
    account.create("Later")
    account.deliver_letters(5, folder="Later")
    assert account.sync().arrived == 2
    account.assert_in_line()


@pytest.mark.proves("G3")
def test_flags_changed_elsewhere_follow(account: Account):
    account.deliver_letters(*range(1, 7))
    account.sync()
    account.flag([1, 2], r"\Seen")
    account.flag([3], r"\Flagged", r"\Answered")
    account.sync()
    account.assert_in_line()
    account.flag([1], r"\Seen", remove=True)
    account.deliver_letters(7)
    account.flag([4], r"\Draft")
    account.sync()
    account.assert_in_line()


def test_a_large_folder_compares_the_newest_flags_and_in_time_all(account: Account, monkeypatch):
    monkeypatch.setattr(reconciling, "NEWEST_FLAGS", 3)
    account.deliver_letters(*range(1, 9))
    account.sync()
    account.sync()
    account.flag([1, 8], r"\Seen")
    account.sync()
    assert Message.objects.get(subject="Letter 8").is_seen
    Folder.objects.exclude(flags_compared_at=None).update(flags_compared_at=timezone.now() - timedelta(hours=7))
    account.sync()
    account.assert_in_line()


def test_removed_messages_are_hidden(account: Account):
    account.deliver_letters(*range(1, 11))
    account.sync()
    account.expunge([2, 5])
    account.sync()
    account.assert_in_line()
    account.expunge([8])
    account.deliver_letters(11)
    account.sync()
    account.assert_in_line()
    assert not Message.objects.live().filter(subject="Letter 10").exists()


@pytest.mark.proves("R13")
def test_an_emptied_folder_is_believed_only_when_a_second_look_agrees(account: Account):
    account.deliver_letters(1, 2, 3)
    account.sync()
    account.expunge([1, 2, 3])
    account.sync()
    assert len(account.messages()) == 3
    account.sync()
    assert len(account.messages()) == 3
    Folder.objects.exclude(missing_since=None).update(missing_since=timezone.now() - timedelta(minutes=6))
    account.sync()
    account.assert_in_line()


def test_a_moved_message_is_one_live_copy_and_no_news(account: Account):
    account.create("Kept")
    account.deliver_letters(1, 2, 3, 4)
    account.sync()
    account.move([2], "INBOX", "Kept")
    account.sync()
    account.assert_in_line()
    assert not Arrival.objects.exists()


@pytest.mark.proves("R12")
def test_a_renamed_folder_is_recognised_and_nothing_is_downloaded_again(account: Account, no_downloads):
    account.create("Projects")
    account.deliver_letters(1, 2, 3, folder="Projects")
    account.create("Clients")
    account.deliver_letters(7, folder="Clients")
    account.sync()
    keys, row = account.messages("Projects"), account.folder("Projects").pk
    Folder.objects.filter(pk=row).update(is_followed=True)
    account.rename("Projects", "Finished")
    no_downloads()
    account.sync()
    assert account.messages("Finished") == keys
    assert account.folder("Finished").pk == row
    account.assert_in_line()


@pytest.mark.proves("R12")
def test_a_folder_moved_below_another_one_takes_its_children_along(account: Account, no_downloads):
    for number, name in enumerate(("Old", "Old/Inner", "Top"), start=1):
        account.create(name)
        account.deliver_letters(number, number + 10, folder=name)
    account.sync()
    keys = {name: account.messages(name) for name in ("Old", "Old/Inner", "Top")}
    account.rename("Old", "New")
    inner = "New/Inner" if account.client.folder_exists(account.path("New/Inner")) else "Old/Inner"
    no_downloads()
    account.sync()
    assert account.messages("New") == keys["Old"]
    assert account.messages(inner) == keys["Old/Inner"]
    account.assert_in_line()


@pytest.mark.proves("R12")
def test_a_folder_renamed_to_a_name_of_long_ago_keeps_its_mail(account: Account):
    account.create("Plans")
    account.deliver_letters(1, 2, folder="Plans")
    account.sync()
    account.delete("Plans")
    account.sync()
    Folder.objects.exclude(missing_since=None).update(missing_since=timezone.now() - timedelta(minutes=6))
    account.sync()
    account.create("Ideas")
    account.deliver_letters(3, 4, folder="Ideas")
    account.sync()
    keys = account.messages("Ideas")
    account.rename("Ideas", "Plans")
    account.sync()
    account.assert_in_line()
    assert account.messages("Plans") == keys


@pytest.mark.proves("R12", "R13")
def test_a_deleted_folder_is_hidden_the_second_time_and_may_come_back(account: Account):
    account.create("Old")
    account.deliver_letters(1, 2, folder="Old")
    account.sync()
    account.delete("Old")
    account.sync()
    assert len(account.messages("Old")) == 2
    Folder.objects.exclude(missing_since=None).update(missing_since=timezone.now() - timedelta(minutes=6))
    account.sync()
    account.assert_in_line()
    account.create("Old")
    account.deliver_letters(3, folder="Old")
    account.sync()
    account.assert_in_line()


@pytest.mark.proves("R12", "R13")
def test_a_folder_that_is_back_as_it_was_is_shown_again(account: Account, monkeypatch):
    account.create("Glitch")
    account.deliver_letters(1, 2, folder="Glitch")
    account.sync()
    keys = account.messages("Glitch")
    with monkeypatch.context() as patched:
        patched.setattr(removal, "BELIEVE_AFTER", timedelta(0))
        patched.setattr("mailstore.folder_list._entries", without(account.path("Glitch")))
        account.sync()
        account.sync()
    assert account.folder("Glitch").vanished_at is not None
    assert not account.messages("Glitch")
    account.sync()
    account.sync()
    account.assert_in_line()
    assert account.messages("Glitch") == keys


def without(name: str):
    """The server's list with one folder left out."""
    from mailstore import folder_list

    entries = folder_list._entries

    def listing(session, **options):
        return [entry for entry in entries(session, **options) if entry.name != name]

    return listing


@pytest.mark.proves("R10", "G4")
def test_a_folder_made_anew_with_the_same_mail_keeps_what_people_made(account: Account):
    account.create("Work")
    at = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
    for number in range(1, 6):
        account.deliver(letter(number), "Work", at=at)
    account.sync()
    before = {message.subject: message.pk for message in Message.objects.live().filter(folder=account.folder("Work"))}
    uidvalidity = account.folder("Work").uidvalidity
    wait_for_another_uidvalidity(account, "Work", uidvalidity)
    for number in (5, 1, 4, 2, 3):
        account.deliver(letter(number), "Work", at=at)
    account.sync()
    account.sync()
    assert account.folder("Work").uidvalidity != uidvalidity
    account.assert_in_line()
    after = {message.subject: message.pk for message in Message.objects.live().filter(folder=account.folder("Work"))}
    assert after == before
    assert not Arrival.objects.exists()


def wait_for_another_uidvalidity(account: Account, name: str, old: int) -> None:
    """Delete and make anew; servers that take it from the clock need a second."""
    from time import sleep

    for _ in range(30):
        account.delete(name)
        account.create(name)
        if account.client.folder_status(account.path(name), ["UIDVALIDITY"])[b"UIDVALIDITY"] != old:
            return
        sleep(0.1)
    raise AssertionError("the server gives the same UIDVALIDITY again and again")


NAMES = (
    "Größe & Maß", "with space", 'quote"d', "back\\slash", "per%cent", "st*r", "{12}", "NIL", "日本語", "emoji 📬",
    "(brackets)", "[Gmail]", "a+b=c", "tilde~", "-", "&", "x" * 180, "'single'", "inbox2", "..", "~root",
)  # fmt: skip


def test_any_folder_name_the_server_takes_is_synced(account: Account):
    taken = [name for name in NAMES if account.try_create(name)]
    for number, name in enumerate(taken, start=1):
        account.deliver_letters(number, folder=name)
    account.sync()
    account.assert_in_line()
    assert len(taken) >= 10
    assert sum(map(len, account.stored().values())) == len(taken)


MESSAGES = {
    "bare line feeds": b"Subject: lf\n\nline\nline\n",
    "eight bits": b"Subject: gr\xfc\xdfe\r\n\r\n\xe9\xff\x80 bytes\r\n",
    "UTF-8 header": "Subject: Grüße 📬\r\n\r\nDeutsch\r\n".encode(),
    "no header": b"\r\njust a body\r\n",
    "only a header": b"Subject: nothing more\r\n\r\n",
    "an envelope line first": b"From alice Mon Jan  1 00:00:00 2026\r\nSubject: mbox\r\n\r\nhi\r\n",
    "a long line": b"Subject: long\r\n\r\n" + b"x" * 100_000 + b"\r\n",
    "no line end at the end": b"Subject: end\r\n\r\nno newline",
    "dots and brackets": b"Subject: )\r\n\r\n.\r\n{3}\r\n* 1 FETCH\r\nA1 OK done\r\n",
    "NUL": b"Subject: nul\r\n\r\na\0b\r\n",
    "three megabytes": b"Subject: big\r\n\r\n" + b"All work and no play makes a large message.\r\n" * 70_000,
}


def test_any_message_the_server_takes_comes_back_octet_by_octet(account: Account):
    taken = [name for name, raw in MESSAGES.items() if account.try_deliver(raw)]
    account.sync()
    assert len(account.messages()) == len(taken) >= 8
    account.assert_in_line()


def test_special_folders_are_known_by_their_use_or_by_their_name(account: Account):
    for name in ("Sent", "Drafts", "Trash", "Junk", "Archive"):
        account.try_create(name)
    Folder.objects.filter(mailbox=account.mailbox).delete()
    account.sync()
    uses = {folder.special_use for folder in account.mailbox.folders.all()}
    assert {"inbox", "sent", "drafts", "trash", "junk", "archive"} <= uses
    assert not account.folder("Trash").is_followed
    assert account.folder("Sent").is_followed


@pytest.mark.proves("R12")
def test_a_parent_that_is_only_a_name_is_no_folder_with_mail(account: Account):
    account.create("Parent")
    account.create("Parent/Child")
    account.deliver_letters(1, 2, folder="Parent")
    account.deliver_letters(3, folder="Parent/Child")
    account.sync()
    if not account.try_delete("Parent"):  # Cyrus keeps what has children
        account.assert_in_line()
        return
    account.sync()
    assert len(account.messages("Parent")) == 2, "one look is not believed"
    Folder.objects.exclude(missing_since=None).update(missing_since=timezone.now() - timedelta(minutes=6))
    account.sync()
    account.sync()
    account.assert_in_line()
    assert not Message.objects.live().filter(folder__name=account.path("Parent")).exists()


@pytest.mark.proves("R12", "R9")
@pytest.mark.parametrize("what", ["rename", "delete"])
def test_a_folder_that_somebody_takes_away_while_it_is_read_ends_right(account: Account, monkeypatch, what):
    account.create("Busy")
    account.deliver_letters(1, 2, 3, folder="Busy")
    account.deliver_letters(10)
    pull = pulling.pull
    done: list[str] = []

    def interrupt(run, folder, wanted, *, new_from):
        if folder.name == account.path("Busy") and not done:
            done.append(what)
            try:
                account.rename("Busy", "Elsewhere") if what == "rename" else account.delete("Busy")
            except Exception as refusal:  # Courier does not take an open folder away
                done.append(str(refusal))
        return pull(run, folder, wanted, new_from=new_from)

    with monkeypatch.context() as patched:
        patched.setattr(folder_sync.pulling, "pull", interrupt)
        account.sync()
    assert done
    monkeypatch.setattr(removal, "BELIEVE_AFTER", timedelta(0))
    for _ in range(3):
        account.sync()
    account.assert_in_line()
    assert account.mailbox.attention is None


@pytest.mark.proves("R16")
def test_a_wrong_password_is_told_from_every_other_failure(account: Account):
    load_rules()
    account.mailbox.password = Secret("wrong")
    account.mailbox.save()
    waiting = account.sync()
    assert account.mailbox.login_refusals == 1
    assert "does not know this user name with this password" in waiting.waiting_for
