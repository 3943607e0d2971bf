"""The whole sync against a real server: what is there is stored once, what changes follows, and nothing is touched."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import State
from mailstore import folder_sync, removal, schedule, syncing, writing
from mailstore.models import Arrival, Conversation, Folder, Listing, Message, SyncRun, SyncSchedule
from mailstore.packs import StorageFull, read_raw
from protocols.credentials import Secret
from protocols.errors import Deferred
from tests.mailstore.receiving.letters import letter
from tests.mailstore.receiving.server import Account
from tests.servers.dovecot import Dovecot

pytestmark = pytest.mark.django_db


@pytest.mark.proves("G1", "V1", "V3")
def test_everything_on_the_server_is_stored_and_threaded(account: Account):
    account.deliver_letters(1, 2)
    account.deliver(letter(3, answers=1), flags=r"\Seen")
    account.command("create", "&AMk-t&AOk-")
    account.deliver_letters(4, folder="&AMk-t&AOk-")
    account.deliver_letters(5, folder="Sent")
    done = account.sync()
    assert account.uids() == [1, 2, 3]
    assert account.uids("Sent") == [1]
    assert account.subjects("Été") == ["Letter 4"]
    assert Message.objects.get(folder__name="INBOX", uid=3).is_seen
    assert Conversation.objects.count() == 4
    assert all(read_raw(message, verify=True) for message in Message.objects.all())
    assert (done.done, done.total, done.leased_until, done.waiting_for) == (5, 5, None, "")
    assert SyncRun.objects.get().words == "5 messages downloaded"
    assert account.mailbox.connected_at is not None


@pytest.mark.proves("G5", "V6")
def test_a_sync_leaves_no_trace_on_the_server(account: Account):
    account.deliver_letters(1, 2, 3)
    account.store("2", "+FLAGS", r"\Seen \Flagged")
    before = account.everything()
    account.sync()
    account.sync()
    assert account.everything() == before


@pytest.mark.proves("V6")
def test_a_sync_without_news_changes_no_row_of_mail(account: Account):
    account.deliver_letters(*range(1, 30))
    account.sync()
    account.sync()
    with CaptureQueriesContext(connection) as captured:
        account.sync()
    tables = (
        "mailstore_message",
        "mailstore_folder",
        "mailstore_conversation",
        "mailstore_listing",
        "mailstore_threadkey",
    )
    writes = [
        query["sql"]
        for query in captured.captured_queries
        if query["sql"].startswith(("INSERT", "UPDATE", "DELETE")) and any(table in query["sql"] for table in tables)
    ]
    assert writes == []


def test_new_mail_arrives_and_old_mail_does_not(account: Account):
    account.deliver_letters(1, 2)
    assert account.sync().arrived == 0
    account.deliver_letters(3, 4)
    account.deliver_letters(5, folder="Sent")
    assert account.sync().arrived == 2
    assert sorted(Arrival.objects.values_list("message__subject", flat=True)) == ["Letter 3", "Letter 4"]


def test_mail_that_comes_during_the_first_download_is_an_arrival(account: Account, monkeypatch):
    account.deliver_letters(1)
    look = folder_sync.look

    def look_then_deliver(run, folder, told):
        planned = look(run, folder, told)
        if folder.name == "INBOX":
            account.deliver_letters(2)
        return planned

    monkeypatch.setattr(folder_sync, "look", look_then_deliver)
    account.sync()
    assert account.uids() == [1, 2]
    assert Arrival.objects.get().message.uid == 2


@pytest.mark.proves("E7")
def test_the_first_download_takes_the_chosen_period_and_later_ones_all_that_is_new(account: Account):
    account.mailbox.download_period = "week"
    account.mailbox.save()
    account.deliver(letter(1), at=timezone.now() - timedelta(days=60))
    account.deliver(letter(2), at=timezone.now() - timedelta(days=3))
    account.sync()
    assert account.uids() == [2]
    account.deliver(letter(3), at=timezone.now() - timedelta(days=90))
    account.sync()
    assert account.uids() == [2, 3]


@pytest.mark.proves("E7")
def test_spam_and_trash_are_left_out_unless_ticked(account: Account):
    account.command("create", "Junk")
    account.deliver_letters(1, folder="Junk")
    account.deliver_letters(2, folder="Trash")
    account.sync()
    assert not Message.objects.exists()
    Folder.objects.filter(name="Junk").update(is_followed=True)
    account.sync()
    assert account.uids("Junk") == [1]
    assert account.uids("Trash") == []


@pytest.mark.proves("E7")
def test_with_selected_folders_a_new_folder_is_not_followed(account: Account):
    account.sync()
    account.mailbox.all_folders = False
    account.mailbox.save()
    account.command("create", "New")
    account.deliver_letters(1, folder="New")
    account.sync()
    assert not account.folder("New").is_followed
    assert not Message.objects.exists()


def test_flags_changed_elsewhere_follow_and_the_list_counts_them(account: Account):
    account.deliver_letters(1, 2, 3)
    account.sync()
    assert Listing.objects.filter(unread_count=1).count() == 3
    account.store("1:2", "+FLAGS", r"\Seen $Work")
    account.store("3", "+FLAGS", r"\Flagged")
    account.sync()
    assert Listing.objects.filter(unread_count=1).count() == 1
    assert Message.objects.get(uid=1).keywords == ["$Work"]
    assert Message.objects.get(uid=3).is_flagged
    account.store("1", "-FLAGS", r"\Seen")
    account.sync()
    assert not Message.objects.get(uid=1).is_seen


def test_deleted_mail_leaves_the_list(account: Account):
    account.deliver_letters(*range(1, 11))
    account.sync()
    account.expunge("2,5")
    account.sync()
    assert account.uids() == [1, 3, 4, 6, 7, 8, 9, 10]
    assert Listing.objects.count() == 8


def test_a_message_moved_elsewhere_is_one_live_copy_and_no_arrival(account: Account):
    account.deliver_letters(1, 2, 3, 4)
    account.sync()
    account.command("create", "Archive")
    account.sync()
    account.select("INBOX")
    account.client.uid("MOVE", "2", "Archive")
    account.unselect()
    account.sync()
    assert account.uids() == [1, 3, 4]
    assert account.subjects("Archive") == ["Letter 2"]
    assert not Arrival.objects.exists()


@pytest.mark.proves("R13")
def test_many_messages_gone_at_once_are_hidden_only_when_a_second_look_agrees(account: Account, monkeypatch):
    account.deliver_letters(*range(1, 121))
    account.sync()
    account.expunge("1:60")
    account.sync()
    assert len(account.uids()) == 120
    account.sync()
    assert len(account.uids()) == 120
    monkeypatch.setattr(removal, "BELIEVE_AFTER", timedelta(0))
    account.sync()
    assert account.uids() == list(range(61, 121))
    assert account.folder().missing == ""


@pytest.mark.proves("R13")
def test_an_emptied_folder_is_believed_only_the_second_time(account: Account):
    account.deliver_letters(1, 2, 3)
    account.sync()
    account.expunge("1:3")
    account.sync()
    assert account.uids() == [1, 2, 3]
    Folder.objects.update(missing_since=timezone.now() - timedelta(minutes=6))
    account.sync()
    assert account.uids() == []


@pytest.mark.proves("R12", "R13")
def test_a_folder_that_is_gone_is_hidden_the_second_time_and_comes_back(account: Account):
    account.command("create", "Old")
    account.deliver_letters(1, 2, folder="Old")
    account.sync()
    account.command("delete", "Old")
    account.sync()
    assert account.folder("Old").vanished_at is None
    assert account.uids("Old") == [1, 2]
    Folder.objects.filter(name="Old").update(missing_since=timezone.now() - timedelta(minutes=6))
    account.sync()
    assert account.folder("Old").vanished_at is not None
    assert account.uids("Old") == []
    account.command("create", "Old")
    account.deliver_letters(3, folder="Old")
    account.sync()
    assert account.folder("Old").vanished_at is None
    assert account.subjects("Old") == ["Letter 3"]


@pytest.mark.proves("R10", "G4")
def test_a_changed_uidvalidity_renumbers_and_announces_nothing(account: Account):
    account.command("create", "Work")
    account.deliver_letters(*range(1, 9), folder="Work")
    same = b"From: a@example.com\r\n\r\nwithout identifier"
    account.deliver(same, "Work")
    account.sync()
    before = {m.subject: (m.pk, m.conversation_id, m.pack, m.offset) for m in Message.objects.all()}
    dates = {m.uid: m.received_at for m in Message.objects.all()}
    account.command("delete", "Work")
    account.command("create", "Work")
    account.deliver(same, "Work", at=dates[9])
    for number in (8, 3, 4, 5, 6, 7, 1, 2):
        account.deliver(letter(number), "Work", at=dates[number])
    account.sync()
    after = {m.subject: (m.pk, m.conversation_id, m.pack, m.offset) for m in Message.objects.live()}
    assert after == before
    assert {m.subject: m.uid for m in Message.objects.live()}["Letter 8"] == 2
    assert not Arrival.objects.exists()
    folder = account.folder("Work")
    assert (folder.epoch_changes, folder.stored) == (1, "1:9")
    account.sync()
    assert account.folder("Work").epoch_changes == 0
    account.deliver_letters(20, folder="Work")
    assert account.sync().arrived == 1


@pytest.mark.proves("R10")
def test_new_mail_behind_a_changed_uidvalidity_is_announced(account: Account):
    account.command("create", "Work")
    account.deliver_letters(1, 2, folder="Work")
    account.sync()
    dates = {m.uid: m.received_at for m in Message.objects.all()}
    account.command("delete", "Work")
    account.command("create", "Work")
    account.deliver(letter(1), "Work", at=dates[1])
    account.deliver(letter(2), "Work", at=dates[2])
    account.deliver(letter(3), "Work", at=timezone.now() + timedelta(seconds=2))
    assert account.sync().arrived == 1
    assert Arrival.objects.get().message.subject == "Letter 3"


@pytest.mark.proves("R10")
def test_a_folder_renumbered_in_more_than_five_syncs_in_a_row_pauses_the_mailbox(account: Account):
    account.deliver_letters(1)
    account.sync()
    Folder.objects.filter(name="INBOX").update(uidvalidity=1, epoch_changes=5)
    account.sync()
    assert account.mailbox.paused_at is not None
    assert "renumbering" in account.mailbox.attention["title"]


@pytest.mark.proves("R16")
def test_a_refused_login_is_tried_once_more_and_then_pauses(account: Account):
    account.mailbox.password = Secret("wrong")
    account.mailbox.save()
    first = account.sync()
    assert account.mailbox.paused_at is None
    assert first.waiting_for
    assert first.due_at >= timezone.now() + timedelta(minutes=9)
    schedule.request_sync(account.mailbox.pk)
    first.refresh_from_db()
    assert first.due_at >= timezone.now() + timedelta(minutes=9)
    account.sync()
    assert account.mailbox.paused_at is not None
    assert account.mailbox.attention["causes"]
    assert SyncSchedule.objects.claim(account.mailbox.pk, timezone.now()) is None


@pytest.mark.proves("R15")
def test_an_unreachable_server_is_tried_later_and_later(account: Account):
    account.mailbox.imap_port = 1
    account.mailbox.save()
    first = account.sync()
    assert first.failures == 1
    assert account.mailbox.paused_at is None
    state = schedule.progress(first, timezone.now())
    assert state.state in (State.WAITING, State.NEEDS_ATTENTION)


@pytest.mark.proves("R23")
def test_a_full_disk_waits_with_a_sentence_and_loses_nothing(account: Account, monkeypatch, expected_errors):
    expected_errors("it is full")
    account.deliver_letters(1, 2, 3)

    def full(*_):
        raise StorageFull("The disk for stored mail takes no more: it is full. Sync goes on once there is room.")

    with monkeypatch.context() as patched:
        patched.setattr(writing.PackWriter, "append", full)
        waiting = account.sync()
    assert "full" in waiting.waiting_for
    assert schedule.progress(waiting, timezone.now()).state == State.WAITING
    assert not Message.objects.exists()
    done = account.sync()
    assert account.uids() == [1, 2, 3]
    assert done.waiting_for == ""


@pytest.mark.proves("R1", "J5")
def test_a_sync_broken_off_anywhere_goes_on_where_it_stopped(account: Account, monkeypatch):
    account.deliver_letters(*range(1, 41))
    account.sync()
    for message in range(41, 81):
        account.deliver_letters(message)
    passed = []

    class Stop(BaseException): ...

    def stop_at(count):
        def faultpoint(name):
            passed.append(name)
            if len(passed) == count:
                raise Stop

        return faultpoint

    monkeypatch.setattr("mailstore.pulling.BATCH", 7)
    for count in (1, 2, 5, 9, 13, 20):
        passed.clear()
        with monkeypatch.context() as patched:
            for module in ("pulling", "writing", "packs", "folder_sync"):
                patched.setattr(f"mailstore.{module}.faultpoint", stop_at(count))
            with pytest.raises(Stop):
                account.sync()
        SyncSchedule.objects.update(leased_until=None)
    account.sync()
    assert account.uids() == list(range(1, 81))
    assert Arrival.objects.count() == 40


@pytest.mark.proves("R4", "G7")
def test_a_second_worker_and_a_late_task_say_nothing_to_the_server(account: Account, monkeypatch):
    from mailstore import tasks

    account.sync()
    SyncSchedule.objects.update(due_at=timezone.now())
    assert SyncSchedule.objects.claim(account.mailbox.pk, timezone.now()) is not None
    monkeypatch.setattr(syncing, "imap_session", lambda *_: pytest.fail("dialled"))
    tasks.sync_mailbox(account.mailbox.pk)
    SyncSchedule.objects.update(leased_until=None, due_at=timezone.now() + timedelta(minutes=5))
    tasks.sync_mailbox(account.mailbox.pk)


@pytest.mark.proves("R34")
def test_a_claim_lost_in_the_middle_ends_quietly(account: Account, monkeypatch):
    account.deliver_letters(*range(1, 21))
    monkeypatch.setattr("mailstore.pulling.FIRST_PAGE", 5)

    def overtaken(name):
        if name == "batch committed":
            SyncSchedule.objects.update(fence=99, waiting_for="the newer claim's")

    monkeypatch.setattr(writing, "faultpoint", overtaken)
    ended = account.sync()
    assert account.uids() == [16, 17, 18, 19, 20]
    assert (ended.fence, ended.waiting_for) == (99, "the newer claim's")


@pytest.mark.proves("G2")
def test_the_newest_page_of_the_inbox_comes_before_everything_else(account: Account, monkeypatch):
    account.deliver_letters(*range(1, 21), folder="Sent")
    account.deliver_letters(*range(1, 101))
    order = []
    store_batch = writing.store_batch

    def noting(folder, messages, **options):
        order.append((folder.name, [read.uid for read, _ in messages]))
        return store_batch(folder, messages, **options)

    monkeypatch.setattr("mailstore.writing.store_batch", noting)
    account.sync()
    assert order[0] == ("INBOX", list(range(51, 101)))
    assert account.uids() == list(range(1, 101))


@pytest.mark.proves("R12", "R15")
def test_a_folder_in_which_the_server_fails_stops_no_other_and_is_noted_once(account: Account, dovecot: Dovecot):
    for name in ("Broken", "Whole"):
        account.command("create", name)
        account.deliver_letters(1, 2, folder=name)
    [octets] = (dovecot.log.parent / "mail" / account.mailbox.address).glob("mdbox/mailboxes/Broken/dbox-Mails")
    octets.chmod(0)
    done = account.sync()
    assert account.uids("Whole") == [1, 2]
    assert (done.failures, done.waiting_for) == (0, "")
    assert "[SERVERBUG]" in account.folder("Broken").problem
    noted = account.folder("Broken").problem
    account.sync()
    assert account.folder("Broken").problem == noted
    octets.chmod(0o700)
    account.sync()
    assert account.uids("Broken") == [1, 2]
    assert account.folder("Broken").problem == ""


@pytest.mark.proves("R15")
def test_a_server_that_is_too_busy_for_one_folder_is_left_alone(account: Account, monkeypatch):
    account.command("create", "Other")
    account.deliver_letters(1, folder="Other")

    def busy(*_):
        raise Deferred("Not now.", reply="NO [THROTTLED] slow down")

    monkeypatch.setattr(folder_sync, "sync_folder", busy)
    waiting = account.sync()
    assert (waiting.failures, account.folder("Other").problem) == (1, "")
