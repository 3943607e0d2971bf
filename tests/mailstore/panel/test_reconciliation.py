"""The account of a mailbox as a page, and over the API (spec G6, F1, L1)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox
from mailstore.models import ComparedFolder, ComparedMessage, Comparison, Folder, Reason
from organizations.models import AuditEntry
from organizations.scopes import Scope
from tests.accounts.settings.mail import store
from tests.api.conftest import api_of  # noqa: F401  a fixture
from tests.mailstore.receiving.letters import make_folder

pytestmark = pytest.mark.django_db


@pytest.fixture
def inbox(mailbox: Mailbox) -> Folder:
    folder = store(make_folder(mailbox, "INBOX", special_use=Folder.SpecialUse.INBOX))
    Folder.objects.filter(pk=folder.pk).update(exists=3, covers_from=timezone.now() - timedelta(days=7))
    return folder


@pytest.fixture
def result(inbox: Folder) -> Comparison:
    """Five on the server: three stored, one too old, one that it did not give."""
    now = timezone.now()
    row = Comparison.objects.create(mailbox=inbox.mailbox, compared_at=now)
    compared = ComparedFolder.objects.create(
        comparison=row,
        folder=inbox,
        looked_at=now,
        on_server=5,
        stored=3,
        skipped={"period": 1, "refused": 1},
        only_here={"gone": 1},
    )
    ComparedMessage.objects.create(compared=compared, uid=17, reason=Reason.REFUSED, subject="Secret plan", dated=now)
    return row


def text(answer) -> str:
    return " ".join(answer.content.decode().replace("\xa0", " ").split())


@pytest.fixture
def url(mailbox: Mailbox) -> str:
    return reverse("mailstore:reconciliation", args=[mailbox.pk])


@pytest.mark.proves("G6")
def test_before_a_comparison_the_page_says_what_the_syncs_know(client_of, alice, inbox, url):
    page = text(client_of(alice).get(url))
    assert "As the last sync left it" in page
    assert "2 older than the chosen period" in page
    assert "Compare with the server now" in page


@pytest.mark.proves("G6")
@pytest.mark.proves("G6")
def test_the_inbox_comes_first_and_folders_that_are_not_downloaded_say_why(client_of, alice, inbox, url):
    make_folder(inbox.mailbox, "Archive", special_use="archive")
    make_folder(inbox.mailbox, "Spam", special_use="junk", is_followed=False)
    make_folder(inbox.mailbox, "Old", is_followed=False)
    page = client_of(alice).get(url)
    account = page.context["account"]
    assert [line.folder.name for line in account.lines] == ["INBOX", "Archive", "Old", "Spam"]
    assert [line.not_downloaded for line in account.lines] == [
        "",
        "",
        "Not downloaded: not among the chosen folders",
        "Not downloaded: left out unless ticked",
    ]
    assert "<bdi>Inbox</bdi>" in page.content.decode()


def test_the_sum_stands_in_a_sentence_and_the_messages_below(client_of, alice, result, url):
    page = text(client_of(alice).get(url))
    assert "5 on the server = 3 stored + 1 older than the chosen period + 1 refused by the server." in page
    assert "Beyond that, 1 stored message is gone from the server, hidden with the next sync." in page
    assert "Secret plan" in page
    assert ">17<" in page


@pytest.mark.proves("F2")
def test_who_may_only_change_settings_sees_no_subject(client_of, administrator, result, url):
    page = text(client_of(administrator).get(url))
    assert "Secret plan" not in page
    assert ">17<" in page


def test_the_button_asks_once_and_the_page_tells_how_far_it_is(client_of, alice, mailbox, inbox, url):
    client = client_of(alice)
    for _ in range(2):
        assert client.post(url).status_code == 302
    assert AuditEntry.objects.filter(action="mailbox.compared").count() == 1
    assert "Asking the server." in text(client.get(url))
    Comparison.objects.update(folder_name="Archive", done=2, total=12)
    live = text(client.get(reverse("mailstore:reconciliation-live", args=[mailbox.pk])))
    assert "Looking at Archive, folder 3 of 12." in live
    assert "Compare with the server now" not in live


def test_trouble_is_said_beside_the_numbers_from_before(client_of, alice, result, url):
    Comparison.objects.update(trouble="The server does not answer.")
    page = text(client_of(alice).get(url))
    assert "The server does not answer. The numbers below are those from before." in page


def test_the_folders_tab_leads_to_it(client_of, alice, mailbox, url):
    assert url in text(client_of(alice).get(reverse("accounts:settings-folders", args=[mailbox.pk])))


def test_an_account_that_only_sends_has_nothing_to_compare(client_of, alice, mailbox, url):
    Mailbox.objects.filter(pk=mailbox.pk).update(imap_host="")
    client = client_of(alice)
    assert "This account only sends" in text(client.get(url))
    assert client.post(url).status_code == 404


def test_many_folders_take_as_many_queries_as_few(client_of, alice, mailbox, result, url, assert_queries):
    client = client_of(alice)

    def grow() -> None:
        for number in range(20):
            folder = make_folder(mailbox, f"Folder {number}")
            store(folder)
            compared = ComparedFolder.objects.create(comparison=result, folder=folder, looked_at=timezone.now())
            ComparedMessage.objects.create(compared=compared, uid=1, reason=Reason.WAITING)

    assert_queries.constant(lambda: client.get(url), grow)


@pytest.mark.proves("G6", "L1")
def test_the_api_gives_the_same_account(api_of, alice, mailbox, result):  # noqa: F811
    got = api_of(alice).get(f"/mailboxes/{mailbox.pk}/reconciliation").data
    assert got["on_server"] == got["stored"] + sum(share["messages"] for share in got["skipped"]) == 5
    assert got["sentence"].startswith("5 on the server = 3 stored + 1 older")
    [folder] = got["folders"]
    assert (folder["name"], folder["on_server"], folder["is_compared"]) == ("INBOX", 5, True)
    [difference] = got["differences"]
    assert (difference["uid"], difference["reason"], difference["subject"]) == (17, "refused", "Secret plan")


@pytest.mark.proves("L1")
def test_a_token_without_the_scope_for_mail_gets_no_subject(api_of, alice, mailbox, result):  # noqa: F811
    got = api_of(alice, Scope.MAILBOXES_READ).get(f"/mailboxes/{mailbox.pk}/reconciliation").data
    assert [difference["subject"] for difference in got["differences"]] == [None]


@pytest.mark.proves("L1")
def test_the_api_starts_a_comparison(api_of, alice, mailbox, inbox):  # noqa: F811
    answer = api_of(alice).post(f"/mailboxes/{mailbox.pk}/reconciliation")
    assert (answer.status_code, answer.data["is_running"], answer.data["sentence"]) == (202, True, "")
    assert Comparison.objects.get().requested_at
    Mailbox.objects.filter(pk=mailbox.pk).update(imap_host="")
    assert api_of(alice).post(f"/mailboxes/{mailbox.pk}/reconciliation").status_code == 409
