"""What a mailbox downloads: the tabs Receive and Folders (spec E7)."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.folders_form import LEFT_OUT
from accounts.mailbox_form import MailboxForm
from accounts.models import Mailbox
from accounts.receive_form import ReceiveForm
from mailstore.folder_list import NOT_FOLLOWED
from mailstore.models import Folder
from organizations.models import OperationGrant
from organizations.operations import Operation
from protocols.credentials import Secret
from tests.accounts.settings.conftest import server_values


def followed() -> set[str]:
    return set(Folder.objects.filter(is_followed=True, is_selectable=True).values_list("name", flat=True))


def test_what_is_left_out_is_the_same_for_the_page_and_for_the_sync():
    assert {use.value for use in NOT_FOLLOWED} == LEFT_OUT


def test_the_tree_shows_the_inbox_first_and_each_folder_below_its_own(choose, folders):
    words = choose.get().words
    tree = words[words.index("wait until you tick them.") :]
    places = [tree.index(leaf) for leaf in ("Inbox", "Old.Dots", "Spam", "Work", "Clients", "Acme")]
    assert places == sorted(places)
    assert choose.get().text.count('data-depth="1"') == 1
    assert choose.get().text.count('data-depth="2"') == 1


def test_a_folder_says_how_much_is_in_it_and_what_is_wrong_with_it(choose, folders):
    words = choose.get().words
    assert "Inbox 1,204 messages" in words
    assert "Acme The server does not open it: NO [NOPERM] Not yours." in words


@pytest.mark.proves("E7")
def test_choosing_a_parent_does_not_choose_what_is_below(choose, folders):
    assert choose(all_folders="selected", folders=[folders["Work/Clients"].pk]).status == 302
    assert followed() == {"Work/Clients"}
    assert not Mailbox.objects.get().all_folders


@pytest.mark.proves("E7")
def test_all_folders_leaves_spam_out_unless_it_is_ticked(choose, folders):
    choose(all_folders="selected", folders=[folders["INBOX"].pk])
    choose()
    assert followed() == {"INBOX", "Work/Clients", "Work/Clients/Acme", "Old.Dots"}
    choose(also=[folders["Spam"].pk])
    assert "Spam" in followed()


@pytest.mark.proves("E7")
def test_choosing_selected_folders_leads_to_where_they_are_ticked(receive, folders, mailbox):
    answer = receive(all_folders="selected")
    assert answer.headers["Location"] == reverse("accounts:settings-folders", args=[mailbox.pk])
    assert not Mailbox.objects.get().all_folders
    assert "INBOX" in followed()


def test_going_back_to_all_folders_takes_them_all_in_but_spam(receive, choose, folders):
    choose(all_folders="selected", folders=[folders["INBOX"].pk])
    assert receive().status == 302
    assert followed() == {"INBOX", "Work/Clients", "Work/Clients/Acme", "Old.Dots"}


def test_no_folder_at_all_is_refused_and_the_choice_kept(choose, folders):
    answer = choose(all_folders="selected")
    assert answer.status == 422
    assert "Choose at least one folder, or download all folders." in answer.words
    assert Mailbox.objects.get().all_folders


def test_the_period_and_the_switch_are_kept_and_recorded(receive, organization):
    assert receive(downloads=None, download_period="everything").status == 302
    mailbox = Mailbox.objects.get()
    assert (mailbox.downloads, mailbox.download_period) == (False, "everything")
    [entry] = organization.audit_entries.filter(action="mailbox.changed")
    assert entry.detail == {"fields": ["download_period", "downloads"]}


def test_a_period_chosen_after_the_first_download_says_how_older_mail_comes(receive, folders):
    def said() -> list[str]:
        return [str(message) for message in receive.client.get(receive.url).context["messages"]]

    receive(download_period="month")
    assert said() == ["Saved. It counts from the next sync on."]
    Folder.objects.filter(name="INBOX").update(synced_at=timezone.now())
    receive(download_period="year")
    assert said() == ["Saved. The older mail that is not here yet comes with the next sync."]
    receive(download_period="everything", downloads=None)
    assert said() == ["Saved. The older mail that is not here yet comes when somebody presses Sync."]
    receive(download_period="day", downloads=None)
    assert said() == ["Saved. What is stored stays; folders that are downloaded from now on reach back this far."]


def test_saving_what_was_not_changed_records_nothing(receive, organization):
    receive()
    assert not organization.audit_entries.filter(action="mailbox.changed").exists()


@pytest.mark.parametrize(
    "values",
    [{"download_period": "decade"}, {"download_period": ""}, {"all_folders": "some"}, {"all_folders": None}],
    ids=str,
)
def test_a_choice_that_is_not_offered_is_refused_in_words(receive, values):
    answer = receive(**values)
    assert answer.status == 422
    assert Mailbox.objects.get().download_period == "week"


@pytest.mark.parametrize("values", [{"folders": ["x", "-1", "9" * 40]}, {"all_folders": "\0"}], ids=str)
def test_hostile_ticks_are_refused(choose, folders, values):
    assert choose(**{"all_folders": "selected", **values}).status == 422


def test_the_folders_of_others_cannot_be_followed(choose, shared_mailbox, folders):
    foreign = Folder.objects.create(mailbox=shared_mailbox, name="Secret", raw_name=b"Secret", is_followed=False)
    answer = choose(all_folders="selected", folders=[folders["INBOX"].pk, foreign.pk])
    assert answer.status == 422
    assert "not on the server any more" in answer.words
    foreign.refresh_from_db()
    assert not foreign.is_followed


def test_before_the_first_sync_there_is_a_word_instead_of_a_tree(choose):
    assert "folders appear here after the first sync" in choose.get().words
    assert choose(all_folders="selected").status == 302


def test_a_name_of_markup_is_shown_as_text(choose, mailbox):
    Folder.objects.create(mailbox=mailbox, name="<img src=x onerror=alert(1)>", raw_name=b"<img", delimiter="/")
    assert "<img src=x" not in choose.get().text


@pytest.mark.parametrize("view", ["settings", "settings-folders"])
def test_an_account_that_only_sends_has_nothing_to_receive(client_of, alice, make_mailbox, view):
    mailbox = make_mailbox("a@example.org", alice, imap_host="")
    page = client_of(alice).get(reverse(f"accounts:{view}", args=[mailbox.pk])).content.decode()
    assert "This account only sends" in page


@pytest.mark.proves("F1")
def test_letting_a_shared_mailbox_download_by_itself_needs_an_operation(form_of, alice, shared_mailbox):
    Mailbox.objects.filter(pk=shared_mailbox.pk).update(downloads=False)
    receive = form_of(alice, "settings", shared_mailbox.pk, downloads="on", download_period="month", all_folders="all")
    answer = receive()
    assert answer.status == 422
    assert "“Synchronise shared mailboxes”" in answer.words
    assert Mailbox.objects.get(pk=shared_mailbox.pk).download_period == "week"
    assert receive(downloads=None).status == 302
    OperationGrant.objects.create(user=alice, operation=Operation.SYNCHRONISE_SHARED_MAILBOXES)
    assert receive().status == 302
    assert Mailbox.objects.get(pk=shared_mailbox.pk).downloads


def test_switching_it_off_needs_no_operation(form_of, alice, shared_mailbox):
    receive = form_of(alice, "settings", shared_mailbox.pk, download_period="week", all_folders="all")
    assert receive().status == 302
    assert not Mailbox.objects.get(pk=shared_mailbox.pk).downloads


def test_what_a_worker_or_another_page_writes_meanwhile_is_kept(mailbox, alice):
    """Both forms were opened with the row as it was; saving them writes their own columns alone."""
    receiving = ReceiveForm(
        {"downloads": "on", "download_period": "month", "all_folders": "all"},
        instance=Mailbox.objects.get(pk=mailbox.pk),
        user=alice,
    )
    naming = MailboxForm(
        {"display_name": "New name", "sends": "on"} | server_values(mailbox),
        instance=Mailbox.objects.get(pk=mailbox.pk),
        user=alice,
    )
    assert receiving.is_valid(), receiving.errors
    assert naming.is_valid(), naming.errors
    now = timezone.now()
    meanwhile = Mailbox.objects.get(pk=mailbox.pk)
    meanwhile.password, meanwhile.paused_at = Secret("typed on another page"), now
    meanwhile.save()
    receiving.save()
    naming.save()
    after = Mailbox.objects.get(pk=mailbox.pk)
    assert (after.password.reveal(), after.paused_at) == ("typed on another page", now)
    assert (after.download_period, after.display_name) == ("month", "New name")
