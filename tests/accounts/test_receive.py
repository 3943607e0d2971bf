"""What a mailbox downloads and how often."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.mailbox_form import MailboxForm
from accounts.models import Mailbox
from accounts.receive_form import LEFT_OUT, ReceiveForm
from mailstore.folder_list import NOT_FOLLOWED
from mailstore.models import Folder
from protocols.credentials import Secret


@pytest.fixture
def folders(mailbox) -> dict[str, Folder]:
    """As a server lists them: a tree two levels deep below a folder that nobody can open, and Spam."""
    made = {}
    for name, fields in {
        "Work/Clients": {},
        "INBOX": {"special_use": "inbox"},
        "Work": {"is_selectable": False},
        "Work/Clients/Acme": {},
        "Spam": {"special_use": "junk", "is_followed": False},
        "Old.Dots": {"delimiter": "."},
    }.items():
        values = {"delimiter": "/", **fields}
        made[name] = Folder.objects.create(mailbox=mailbox, name=name, raw_name=name.encode(), **values)
    return made


@pytest.fixture
def receive(form_of, alice, mailbox):
    return form_of(
        alice, "settings", mailbox.pk, downloads="on", download_period="week", sync_interval="", all_folders="all"
    )


def followed() -> set[str]:
    return set(Folder.objects.filter(is_followed=True, is_selectable=True).values_list("name", flat=True))


def test_what_is_left_out_is_the_same_for_the_page_and_for_the_sync():
    assert {use.value for use in NOT_FOLLOWED} == LEFT_OUT


def test_the_tree_shows_the_inbox_first_and_each_folder_below_its_own(receive, folders):
    words = receive.get().words
    tree = words[words.index("wait until you tick them.") :]
    places = [tree.index(leaf) for leaf in ("Inbox", "Old.Dots", "Spam", "Work", "Clients", "Acme")]
    assert places == sorted(places)
    assert receive.get().text.count('data-depth="1"') == 1
    assert receive.get().text.count('data-depth="2"') == 1


@pytest.mark.proves("E7")
def test_choosing_a_parent_does_not_choose_what_is_below(receive, folders):
    assert receive(all_folders="selected", folders=[folders["Work/Clients"].pk]).status == 302
    assert followed() == {"Work/Clients"}
    assert not Mailbox.objects.get().all_folders


@pytest.mark.proves("E7")
def test_all_folders_leaves_spam_out_unless_it_is_ticked(receive, folders):
    receive(all_folders="selected", folders=[folders["INBOX"].pk])
    receive()
    assert followed() == {"INBOX", "Work/Clients", "Work/Clients/Acme", "Old.Dots"}
    receive(also=[folders["Spam"].pk])
    assert "Spam" in followed()


def test_no_folder_at_all_is_refused_and_the_choice_kept(receive, folders):
    answer = receive(all_folders="selected", sync_interval="17")
    assert answer.status == 422
    assert "Choose at least one folder, or download all folders." in answer.words
    assert answer.value_of("sync_interval") == "17"
    assert Mailbox.objects.get().all_folders


@pytest.mark.proves("E10")
def test_a_mailbox_has_its_own_interval_or_that_of_all(receive):
    assert "every 5 minutes, as for all accounts" in receive.get().words
    receive(sync_interval="30")
    assert Mailbox.objects.get().sync_interval == 30
    receive(sync_interval="")
    assert Mailbox.objects.get().sync_interval is None


@pytest.mark.parametrize("minutes", ["0", "-5", "1441", "99999", "soon"])
def test_an_impossible_interval_is_told(receive, minutes):
    answer = receive(sync_interval=minutes)
    assert answer.status == 422
    assert "1 to 1440 minutes" in answer.words


def test_a_period_that_is_not_offered_is_refused(receive):
    assert receive(download_period="decade").status == 422


def test_the_folders_of_others_cannot_be_followed(receive, shared_mailbox, folders):
    foreign = Folder.objects.create(mailbox=shared_mailbox, name="Secret", raw_name=b"Secret", is_followed=False)
    assert receive(all_folders="selected", folders=[folders["INBOX"].pk, foreign.pk]).status == 422
    foreign.refresh_from_db()
    assert not foreign.is_followed


def test_before_the_first_sync_there_is_a_word_instead_of_a_tree(receive):
    assert "folders appear here after the first sync" in receive.get().words
    assert receive(all_folders="selected").status == 302


def test_a_name_of_markup_is_shown_as_text(receive, mailbox):
    Folder.objects.create(mailbox=mailbox, name="<img src=x onerror=alert(1)>", raw_name=b"<img", delimiter="/")
    assert "<img src=x" not in receive.get().text


def test_an_account_that_only_sends_has_nothing_to_receive(client_of, alice, make_mailbox):
    mailbox = make_mailbox("a@example.org", alice, imap_host="")
    page = client_of(alice).get(reverse("accounts:settings", args=[mailbox.pk])).content.decode()
    assert "This account only sends" in page


def test_what_a_worker_or_another_page_writes_meanwhile_is_kept(mailbox, alice):
    """Both forms were opened with the row as it was; saving them writes their own columns alone."""
    receiving = ReceiveForm(
        {"downloads": "on", "download_period": "month", "all_folders": "all", "sync_interval": ""},
        instance=Mailbox.objects.get(pk=mailbox.pk),
    )
    naming = MailboxForm(
        {"display_name": "New name", "sends": "on"} | mailbox_values(mailbox),
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


def mailbox_values(mailbox: Mailbox) -> dict[str, object]:
    names = [f"{side}_{part}" for side in ("imap", "smtp") for part in ("host", "port", "security", "username")]
    return {name: getattr(mailbox, name) for name in names}
