"""A comparison accounts for every message on a real server, and changes nothing (spec G6)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import sessions
from accounts.models import DownloadPeriod, Mailbox
from mailstore import comparing, schedule, tasks
from mailstore.models import ComparedFolder, ComparedMessage, Comparison, Folder, Message, Reason, SyncSchedule
from mailstore.packs import no_room
from mailstore.reconciliation import ask, reconcile
from mailstore.trouble import login_waits
from organizations.models import AuditEntry
from protocols.credentials import Secret
from protocols.errors import Refused
from protocols.imap.session import ImapSession
from tests.mailstore.receiving.letters import letter

pytestmark = pytest.mark.django_db


def compared(account) -> dict[str, ComparedFolder]:
    """Compare now; return what was found, by folder."""
    ask(account.mailbox, by=account.mailbox.owner, now=timezone.now())
    tasks.compare_mailbox(account.mailbox.pk)
    row = Comparison.objects.get()
    assert (row.requested_at, row.trouble) == (None, "")
    return {each.folder.name: each for each in row.folders.select_related("folder")}


def numbers(found: ComparedFolder) -> tuple[int | None, int, dict[str, int], dict[str, int]]:
    return found.on_server, found.stored, found.skipped, found.only_here


@pytest.mark.proves("G6")
def test_after_a_sync_both_sides_are_the_same_and_nothing_changed_there(account):
    account.deliver_letters(1, 2, 3)
    account.sync()
    before = account.everything()
    assert numbers(compared(account)["INBOX"]) == (3, 3, {}, {})
    assert account.everything() == before
    assert reconcile(account.mailbox).sentence == "3 on the server = 3 stored"


@pytest.mark.proves("G6")
def test_the_sum_adds_up_over_everything_that_is_left_out(account):
    account.mailbox.download_period = DownloadPeriod.MONTH
    account.mailbox.save()
    for days, number in ((1, 1), (2, 2), (400, 3), (500, 4)):
        account.deliver(letter(number), at=timezone.now() - timedelta(days=days))
    for folder in ("Trash", "Other"):
        account.command("create", folder)
    account.deliver_letters(5, folder="Trash")
    account.deliver_letters(6, 7, folder="Other")
    account.sync()
    Folder.objects.filter(name="Trash").update(special_use=Folder.SpecialUse.TRASH, is_followed=False)
    Folder.objects.filter(name="Other").update(is_followed=False)
    Message.objects.exclude(folder__name="INBOX").delete()
    found = compared(account)
    assert numbers(found["INBOX"]) == (4, 2, {"period": 2}, {})
    assert numbers(found["Other"]) == (2, 0, {"not_chosen": 2}, {})
    assert found["Trash"].on_server == 1
    report = reconcile(account.mailbox)
    assert report.on_server == report.stored + sum(share.messages for share in report.skipped) == 7
    assert report.sentence.startswith("7 on the server = 2 stored + 2 older than the chosen period + 2 in folders that")
    assert not report.named, "what was chosen is no difference"


@pytest.mark.proves("G6")
def test_messages_on_one_side_only_are_named(account):
    account.deliver_letters(1, 2, 3, 4, 5)
    account.sync()
    now = timezone.now()
    Message.objects.filter(uid=2).delete()
    Message.objects.filter(uid=3).update(vanished_at=now)
    account.expunge("4")
    account.deliver_letters(6)
    found = compared(account)["INBOX"]
    assert numbers(found) == (5, 2, {"lost": 1, "hidden": 1, "waiting": 1}, {"gone": 1})
    named = {row.uid: (row.reason, row.subject) for row in ComparedMessage.objects.all()}
    assert named == {
        2: (Reason.LOST, "Letter 2"),
        3: (Reason.HIDDEN, "Letter 3"),
        4: (Reason.GONE, "Letter 4"),
        6: (Reason.WAITING, "Letter 6"),
    }
    assert all(row.dated and now - row.dated < timedelta(minutes=5) for row in ComparedMessage.objects.all())
    [line] = [line for line in reconcile(account.mailbox).lines if line.folder.name == "INBOX"]
    assert (line.hidden, line.hidden_since) == (1, now)


@pytest.mark.proves("R14")
def test_a_message_that_the_server_does_not_give_is_named_by_its_uid(account, monkeypatch):
    account.deliver_letters(1, 2)
    account.sync()
    Message.objects.filter(uid=1).delete()
    Folder.objects.filter(name="INBOX").update(refused={"1": 2})

    def refuse(*args, **kwargs):
        raise Refused("The server said no.", reply="NO corrupt")
        yield

    monkeypatch.setattr(ImapSession, "outlines", refuse)
    assert numbers(compared(account)["INBOX"]) == (2, 1, {"refused": 1}, {})
    assert ComparedMessage.objects.values_list("uid", "subject", "dated").get() == (1, "", None)


def test_what_the_guard_holds_back_is_told_apart_from_what_is_gone(account):
    account.deliver_letters(1, 2, 3)
    account.sync()
    account.expunge("1:3")
    account.sync()
    assert numbers(compared(account)["INBOX"]) == (0, 0, {}, {"guarded": 3})


def test_a_message_without_room_waits_for_room(account):
    account.deliver_letters(1)
    account.sync()
    account.deliver_letters(2)
    SyncSchedule.objects.update(failures=1, waiting_for=str(no_room(OSError(28, "full"))))
    assert numbers(compared(account)["INBOX"]) == (2, 1, {"no_room": 1}, {})


def test_a_renumbered_folder_is_no_heap_of_differences(account):
    account.deliver_letters(1, 2)
    account.sync()
    Folder.objects.filter(name="INBOX").update(uidvalidity=3)
    found = compared(account)["INBOX"]
    assert numbers(found) == (2, 0, {"renumbered": 2}, {"renumbered": 2})
    assert not ComparedMessage.objects.exists()


def test_folders_that_came_and_went_are_in_the_account(account):
    account.command("create", "Old")
    account.deliver_letters(1, folder="Old")
    account.sync()
    account.command("delete", "Old")
    account.command("create", "New")
    account.deliver_letters(2, folder="New")
    found = compared(account)
    assert numbers(found["Old"]) == (0, 0, {}, {"gone": 1})
    assert found["Old"].words == "The server does not list it any more."
    assert numbers(found["New"]) == (1, 0, {"waiting": 1}, {})


def test_only_the_first_hundred_are_named(account, monkeypatch):
    monkeypatch.setattr(comparing, "NAMED", 3)
    account.deliver_letters(*range(1, 6))
    assert compared(account)["INBOX"].skipped == {"waiting": 5}
    assert sorted(ComparedMessage.objects.values_list("uid", flat=True)) == [3, 4, 5]


def test_a_refused_password_is_not_tried_again(account, monkeypatch):
    monkeypatch.setattr(sessions, "dialer", lambda: pytest.fail("dialled"))
    account.mailbox.login_refusals = 1
    account.mailbox.save()
    now = timezone.now()
    ask(account.mailbox, by=account.mailbox.owner, now=now)
    tasks.compare_mailbox(account.mailbox.pk)
    assert Comparison.objects.get().trouble == f"{comparing.PASSWORD_REFUSED} {login_waits(account.mailbox, now)}"


@pytest.mark.proves("R16")
def test_a_password_that_is_refused_to_a_comparison_counts_and_is_left_to_a_sync(account, monkeypatch):
    schedule.ensure(account.mailbox)
    account.mailbox.password = Secret("wrong")
    account.mailbox.save()
    for _ in range(2):
        ask(account.mailbox, by=account.mailbox.owner, now=timezone.now())
        tasks.compare_mailbox(account.mailbox.pk)
        monkeypatch.setattr(sessions, "dialer", lambda: pytest.fail("dialled"))
    assert Mailbox.objects.get().login_refusals == 1
    due_at = SyncSchedule.objects.get().due_at
    assert due_at > timezone.now() + timedelta(minutes=9)
    assert f"not before {due_at:%H:%M} UTC" in Comparison.objects.get().trouble


def test_what_goes_wrong_is_said_and_the_last_result_stays(account):
    account.deliver_letters(1)
    account.sync()
    compared(account)
    account.mailbox.imap_port = 1
    account.mailbox.save()
    ask(account.mailbox, by=account.mailbox.owner, now=timezone.now())
    tasks.compare_mailbox(account.mailbox.pk)
    row = Comparison.objects.get()
    assert row.trouble
    assert not row.is_under_way(timezone.now())
    assert row.folders.get(folder__name="INBOX").stored == 1


def test_a_worker_that_was_overtaken_changes_nothing(account):
    now = timezone.now()
    ask(account.mailbox, by=account.mailbox.owner, now=now)
    late = Comparison.objects.claim(account.mailbox.pk, now)
    newer = Comparison.objects.claim(account.mailbox.pk, now + Comparison.LEASE)
    assert (late, newer) == (1, 2)
    comparing.compare(account.mailbox.pk, late)
    assert not ComparedFolder.objects.exists()
    comparing.compare(account.mailbox.pk, newer)
    assert ComparedFolder.objects.exists()


def test_a_lost_nudge_is_found_and_a_doubled_one_does_nothing(account, monkeypatch):
    nudged = []
    ask(account.mailbox, by=account.mailbox.owner, now=timezone.now())
    monkeypatch.setattr(tasks, "nudge", lambda task, pk: nudged.append((task.name, pk)))
    tasks.sync_due_mailboxes()
    assert nudged == [("mailstore.compare_mailbox", account.mailbox.pk)]
    tasks.compare_mailbox(account.mailbox.pk)
    at = Comparison.objects.get().compared_at
    tasks.compare_mailbox(account.mailbox.pk)
    assert Comparison.objects.get().compared_at == at


def test_one_that_breaks_off_again_and_again_waits_for_a_person(account):
    now = timezone.now()
    ask(account.mailbox, by=account.mailbox.owner, now=now)
    for _ in range(Comparison.MOST_TRIES):
        assert Comparison.objects.claim(account.mailbox.pk, now)
        now += Comparison.LEASE
    assert Comparison.objects.claim(account.mailbox.pk, now) is None
    assert not Comparison.objects.get().is_under_way(now)
    ask(account.mailbox, by=account.mailbox.owner, now=now)
    assert Comparison.objects.claim(account.mailbox.pk, now)


def test_asking_twice_is_asking_once(account):
    for _ in range(2):
        ask(account.mailbox, by=account.mailbox.owner, now=timezone.now())
    assert AuditEntry.objects.filter(action="mailbox.compared").count() == 1
