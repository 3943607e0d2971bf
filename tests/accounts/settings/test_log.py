"""The Log tab: what became of each sync, and who changed what; and the list of folders, asked for anew."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.mailbox_log import in_words
from accounts.models import Mailbox
from mailstore import runs
from mailstore.models import Folder, SyncRun, SyncSchedule
from mailstore.writing import Claim
from organizations import audit
from protocols.errors import LoginRefused, Unreachable
from tests.sandbox.running import SUPPORT


def claimed(mailbox: Mailbox) -> Claim:
    SyncSchedule.objects.filter(pk=mailbox.pk).update(due_at=timezone.now(), leased_until=None)
    fence = SyncSchedule.objects.claim(mailbox.pk, timezone.now())
    assert fence is not None
    return Claim(mailbox.pk, fence)


def history(mailbox: Mailbox) -> list[tuple[bool, str, int]]:
    return list(SyncRun.objects.filter(mailbox=mailbox).values_list("came_through", "words", "count"))


@pytest.fixture
def log(form_of, alice, mailbox):
    return form_of(alice, "settings-log", mailbox.pk)


def test_syncs_that_bring_nothing_are_counted_and_those_with_mail_stand_alone(mailbox, rules):
    for arrived in (0, 0, 0, 2, 1, 0):
        runs.finish(mailbox, claimed(mailbox), timezone.now(), arrived=arrived)
    assert history(mailbox) == [
        (True, "Nothing new", 1),
        (True, "1 new message", 1),
        (True, "2 new messages", 1),
        (True, "Nothing new", 3),
    ]


def test_older_mail_that_was_downloaded_is_told_though_it_is_not_new(mailbox, rules):
    for stored in (1_717, 1, 0):
        runs.finish(mailbox, claimed(mailbox), timezone.now(), arrived=0, stored=stored)
    assert [words for _, words, _ in history(mailbox)] == [
        "Nothing new",
        "1 message downloaded",
        "1,717 messages downloaded",
    ]


def test_what_went_wrong_is_kept_in_words(mailbox, rules, log):
    runs.fail(mailbox, claimed(mailbox), Unreachable("gone", reply="timed out"), timezone.now())
    runs.broke(mailbox, claimed(mailbox), runs.OUR_FAULT, timezone.now())
    words = [line[1] for line in history(mailbox)]
    assert words[0] == "A fault in this program, which is in its log"
    assert words[1]
    assert words[1] in log.get().words


def test_a_refused_login_and_the_pause_after_it_are_told(mailbox, rules):
    for _ in range(2):
        runs.fail(mailbox, claimed(mailbox), LoginRefused("no", reply="NO [AUTHENTICATIONFAILED]"), timezone.now())
    [(came_through, words, count)] = history(mailbox)
    assert (came_through, count) == (False, 2)
    assert words == Mailbox.objects.get().attention["title"]


def test_a_worker_whose_claim_was_taken_over_writes_nothing(mailbox, rules):
    stale = claimed(mailbox)
    claimed(mailbox)
    runs.finish(mailbox, stale, timezone.now(), arrived=3)
    assert history(mailbox) == []


def test_old_history_is_let_go(mailbox, rules):
    long_ago = timezone.now() - timedelta(days=91)
    SyncRun.objects.create(mailbox=mailbox, started_at=long_ago, ended_at=long_ago, came_through=True, words="Old")
    runs.finish(mailbox, claimed(mailbox), timezone.now(), arrived=1)
    assert history(mailbox) == [(True, "1 new message", 1)]


@pytest.mark.proves("A8")
def test_changes_are_told_in_plain_words(log, receive, alice, mailbox, shared_mailbox, organization):
    receive(download_period="year", downloads=None)
    audit.record("mailbox.paused", organization=organization, actor=alice, target=shared_mailbox)
    audit.record("mailbox.something_new", organization=organization, actor=None, target=mailbox)
    words = log.get().words
    assert "Alice changed the download period and automatic downloads" in words
    assert "System something new (mailbox)" in words
    assert "paused it" not in words


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ([], "its settings"),
        (["password"], "the password"),
        (["imap_host", "imap_port"], "the IMAP server"),
        (["password", "sends", "imap_host"], "the password, whether it sends and the IMAP server"),
        (["brand_new"], "brand new"),
    ],
)
def test_settings_are_named_as_people_say_them(fields, words):
    assert in_words(fields) == words


def test_the_log_leads_to_the_outgoing_messages_of_this_mailbox(log, mailbox):
    assert f'href="{reverse("delivery:email-log")}?mailbox={mailbox.pk}"' in log.get().text


def test_much_history_needs_as_many_queries_as_little(client_of, alice, mailbox, assert_queries):
    now = timezone.now()
    client, url = client_of(alice), reverse("accounts:settings-log", args=[mailbox.pk])

    def happen() -> None:
        for _ in range(5):
            SyncRun.objects.create(mailbox=mailbox, started_at=now, ended_at=now, came_through=True, words="x")
            audit.record("mailbox.paused", organization=mailbox.organization, actor=alice, target=mailbox)

    happen()
    assert_queries.constant(lambda: client.get(url), happen)


# --- The list of folders ----------------------------------------------------------------------------------------


@pytest.fixture
def sandbox_mailbox(make_mailbox, alice, sandbox) -> Mailbox:
    mailbox = make_mailbox(
        SUPPORT, alice, imap_host="imap.sandbox.test", imap_port=sandbox.imap_port, imap_security="none", smtp_host=""
    )
    mailbox.password = type(mailbox.password)(sandbox.password)
    mailbox.save()
    return mailbox


@pytest.fixture
def refresh(client_of, alice):
    def post(mailbox: Mailbox, **values: object) -> str:
        url = reverse("mailstore:refresh-folders", args=[mailbox.pk])
        return client_of(alice).post(url, values, headers={"HX-Request": "true"}).content.decode()

    return post


@pytest.mark.proves("E7")
def test_the_list_of_folders_comes_from_the_server_when_asked_for(refresh, sandbox_mailbox):
    text = refresh(sandbox_mailbox)
    names = set(sandbox_mailbox.folders.values_list("name", flat=True))
    assert "INBOX" in names
    assert f"{sandbox_mailbox.folders.filter(is_selectable=True).count()} new folders." in text
    assert "No new folders." in refresh(sandbox_mailbox)


def test_ticks_that_are_not_saved_yet_survive_a_refresh(refresh, sandbox_mailbox):
    refresh(sandbox_mailbox)
    first, *_ = sandbox_mailbox.folders.filter(is_selectable=True)
    text = refresh(sandbox_mailbox, shown="1", all_folders="selected", folders=[first.pk])
    assert f'name="folders" value="{first.pk}" checked' in text
    assert text.count(" checked") == 2  # that tick, and "Selected folders"
    assert Mailbox.objects.get(pk=sandbox_mailbox.pk).all_folders


def test_a_server_that_does_not_answer_is_told_and_the_old_list_stays(refresh, mailbox, folders, reach_loopback, rules):
    reach_loopback(1)
    Mailbox.objects.update(imap_host="imap.sandbox.test", imap_port=1)
    text = refresh(mailbox)
    assert "The list below is the one from before." in text
    assert "Old.Dots" in text


def test_a_refused_password_is_not_tried_once_more(refresh, mailbox, folders):
    Mailbox.objects.update(login_refusals=1)
    assert "The server refused the password." in refresh(mailbox)


def test_a_mailbox_without_imap_has_no_list(client_of, alice, make_mailbox):
    mailbox = make_mailbox("x@example.org", alice, imap_host="")
    assert client_of(alice).post(reverse("mailstore:refresh-folders", args=[mailbox.pk])).status_code == 404
    assert not Folder.objects.exists()


@pytest.mark.proves("G7", "R7")
def test_a_stuck_sync_says_who_holds_it_and_can_be_taken_away(alice, mailbox, log, client_of):
    assert "Take it away" not in log.get().words
    SyncSchedule.objects.filter(pk=mailbox.pk).update(due_at=timezone.now())
    fence = SyncSchedule.objects.claim(mailbox.pk, timezone.now(), holder="worker7, process 4711")
    assert "worker7, process 4711 syncs it" in log.get().words
    SyncSchedule.objects.update(due_at=timezone.now() + timedelta(hours=1))
    client = client_of(alice)
    for words in ("The next free process goes on", "has ended meanwhile"):
        answer = client.post(reverse("mailstore:release-sync", args=[mailbox.pk]), follow=True)
        assert words in answer.content.decode()
    row = SyncSchedule.objects.get(pk=mailbox.pk)
    assert row.fence > fence
    assert row.due_at <= timezone.now() or row.is_running(timezone.now())
    assert "released the sync that was running" in log.get().words
