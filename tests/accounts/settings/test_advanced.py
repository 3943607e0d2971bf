"""The Advanced tab: interval, servers, pause, starting over, deleting (spec E10, E12)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox
from mailstore import schedule
from mailstore.models import Folder, SyncSchedule
from tests.accounts.forms import HTMX, answer_of
from tests.accounts.settings.mail import store
from tests.sandbox.running import SUPPORT


def finished(mailbox: Mailbox, minutes_ago: int) -> None:
    at = timezone.now() - timedelta(minutes=minutes_ago)
    SyncSchedule.objects.filter(pk=mailbox.pk).update(
        finished_at=at, due_at=at + timedelta(minutes=5), waiting_for="", leased_until=None
    )


def due_in(mailbox: Mailbox) -> float:
    """Minutes until the next sync."""
    return (SyncSchedule.objects.get(pk=mailbox.pk).due_at - timezone.now()).total_seconds() / 60


@pytest.mark.proves("E10")
def test_a_mailbox_has_its_own_interval_or_that_of_all(interval):
    assert "every 5 minutes, as for all accounts" in interval.get().words
    interval(sync_interval="30")
    assert Mailbox.objects.get().sync_interval == 30
    interval(sync_interval="")
    assert Mailbox.objects.get().sync_interval is None


@pytest.mark.proves("E10")
def test_the_next_sync_is_due_by_the_new_interval_at_once(interval, mailbox):
    finished(mailbox, minutes_ago=3)
    interval(sync_interval="60")
    assert due_in(mailbox) == pytest.approx(57, abs=0.5)
    interval(sync_interval="1")
    assert due_in(mailbox) == pytest.approx(0, abs=0.5)


def test_the_interval_of_all_is_followed_by_those_without_their_own(mailbox, shared_mailbox, organization):
    for each in (mailbox, shared_mailbox):
        finished(each, minutes_ago=1)
    Mailbox.objects.filter(pk=mailbox.pk).update(sync_interval=10)
    organization.sync_interval = 30
    organization.save()
    schedule.follow_interval(Mailbox.objects.filter(organization=organization, sync_interval=None))
    assert due_in(shared_mailbox) == pytest.approx(29, abs=0.5)
    assert due_in(mailbox) == pytest.approx(4, abs=0.5)


def test_a_mailbox_that_waits_for_its_server_keeps_its_time(interval, mailbox):
    finished(mailbox, minutes_ago=3)
    later = timezone.now() + timedelta(hours=1)
    SyncSchedule.objects.filter(pk=mailbox.pk).update(waiting_for="Nothing answers", failures=4, due_at=later)
    interval(sync_interval="1")
    assert SyncSchedule.objects.get().due_at == later


@pytest.mark.parametrize("minutes", ["0", "-5", "1441", "99999", "soon", "1.5", "9" * 400, "\0"])
def test_an_impossible_interval_is_told_and_kept_in_the_form(interval, minutes):
    answer = interval(sync_interval=minutes)
    assert answer.status == 422
    assert "1 to 1440 minutes" in answer.words
    assert Mailbox.objects.get().sync_interval is None


def test_servers_are_saved_and_a_moved_server_asks_for_the_password(servers):
    answer = servers(imap_host="imap.other.example")
    assert answer.status == 422
    assert "The server was changed. Type the password again" in answer.words
    assert answer.value_of("imap_host") == "imap.other.example"
    assert servers(imap_host="imap.other.example", password="new one").status == 302
    mailbox = Mailbox.objects.get()
    assert (mailbox.imap_host, mailbox.password.reveal()) == ("imap.other.example", "new one")


def test_an_account_with_a_mail_server_may_get_one_of_its_own(form_of, alice, make_mailbox, mail_server):
    mailbox = make_mailbox("x@example.org", alice, smtp_host="", mail_server=mail_server)
    form = form_of(alice, "settings-servers", mailbox.pk, imap_host="imap.example.org", imap_security="tls")
    page = form_of(alice, "settings-advanced", mailbox.pk).get()
    assert "At present mail leaves through Production" in page.words
    assert (
        form(imap_port=993, smtp_host="smtp.example.org", smtp_port=465, smtp_security="tls", password="p").status
        == 302
    )
    assert Mailbox.objects.get(pk=mailbox.pk).smtp_host == "smtp.example.org"


@pytest.mark.parametrize(
    "values",
    [
        {"imap_port": "0"},
        {"imap_port": "99999999999"},
        {"imap_host": "imap\r\nexample"},
        {"imap_security": "magic"},
        {"imap_username": "a\nb", "password": "x"},
        {"imap_security": "none", "password": "x"},
        {"password": "a\0b"},
    ],
    ids=str,
)
def test_server_values_that_cannot_be_are_refused_and_nothing_is_lost(servers, values):
    answer = servers(**{"smtp_username": "typed-by-me", **values})
    assert answer.status == 422
    assert answer.value_of("smtp_username") == "typed-by-me"
    assert Mailbox.objects.get().smtp_username == ""


def test_the_typed_values_are_tested_before_they_are_saved(form_of, alice, sandbox, make_mailbox):
    mailbox = make_mailbox(SUPPORT, alice)
    check = form_of(
        alice,
        "settings-check",
        mailbox.pk,
        imap_host="imap.sandbox.test",
        imap_port=sandbox.imap_port,
        imap_security="none",
        smtp_host="smtp.sandbox.test",
        smtp_port=sandbox.smtp_port,
        smtp_security="none",
        accepts_clear_text="on",
        password=sandbox.password,
    )
    assert check().verdicts == [True, True]
    assert check(password="wrong").verdicts[0] is False
    assert check(password="").status == 422
    assert Mailbox.objects.get(pk=mailbox.pk).imap_host == "imap.example.org"


def test_opening_the_address_of_the_server_form_leads_to_the_page(client_of, alice, mailbox):
    answer = client_of(alice).get(reverse("accounts:settings-servers", args=[mailbox.pk]))
    assert answer["Location"] == reverse("accounts:settings-advanced", args=[mailbox.pk])


def test_pausing_stops_the_downloads_until_somebody_resumes(client_of, alice, mailbox, organization):
    client = client_of(alice)
    for _ in range(2):
        assert client.post(reverse("accounts:settings-pause", args=[mailbox.pk])).status_code == 302
    assert not SyncSchedule.objects.due(timezone.now() + timedelta(days=1)).exists()
    page = client.get(reverse("accounts:settings-advanced", args=[mailbox.pk])).content.decode()
    assert "Resume" in page
    client.post(reverse("accounts:settings-resume", args=[mailbox.pk]))
    assert SyncSchedule.objects.due(timezone.now()).exists()
    actions = list(organization.audit_entries.order_by("pk").values_list("action", flat=True))
    assert actions == ["mailbox.paused", "mailbox.resumed"]


def test_a_pause_for_a_refused_password_ends_with_a_new_one_only(client_of, alice, mailbox, servers):
    Mailbox.objects.update(paused_at=timezone.now(), login_refusals=2)
    answer = client_of(alice).post(reverse("accounts:settings-resume", args=[mailbox.pk]), follow=True)
    assert "Type the right one under Servers" in answer.content.decode()
    assert Mailbox.objects.get().paused_at
    assert servers(password="the right one").status == 302
    assert Mailbox.objects.get().paused_at is None


@pytest.fixture
def stored(mailbox, folders) -> Folder:
    """A folder with one message that was downloaded."""
    return store(folders["INBOX"])


def test_starting_over_removes_what_is_stored_and_keeps_the_choice_of_folders(
    client_of, alice, mailbox, stored, settings, choose, django_capture_on_commit_callbacks
):
    choose(all_folders="selected", folders=[stored.pk])
    url = reverse("mailstore:download-again", args=[mailbox.pk])
    client = client_of(alice)
    assert "1 stored message" in answer_of(client.get(url, headers=HTMX)).words
    assert "Older mail does not come back." in client.get(url).content.decode()
    with django_capture_on_commit_callbacks():
        answer = client.post(url, headers=HTMX)
    assert answer["HX-Redirect"] == reverse("accounts:settings-advanced", args=[mailbox.pk])
    assert not mailbox.messages.exists()
    assert not mailbox.conversations.exists()
    stored.refresh_from_db()
    assert (stored.is_followed, stored.uidvalidity, stored.stored) == (True, None, "")
    offered = mailbox.folders.filter(is_selectable=True)
    assert set(offered.filter(is_followed=True).values_list("name", flat=True)) == {"INBOX"}


def test_starting_over_is_for_who_may_delete(client_of, alice, administrator, shared_mailbox):
    url = reverse("mailstore:download-again", args=[shared_mailbox.pk])
    assert client_of(alice).post(url).status_code == 403
    assert client_of(administrator).get(url).status_code == 200


@pytest.mark.proves("E12")
def test_deleting_from_here_leads_back_to_the_accounts(client_of, alice, mailbox):
    page = reverse("accounts:settings-advanced", args=[mailbox.pk])
    here = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{page}"}
    answer = client_of(alice).post(reverse("accounts:delete", args=[mailbox.pk]), headers=here)
    assert answer["HX-Redirect"] == reverse("email-settings")
    assert not Mailbox.objects.exists()
