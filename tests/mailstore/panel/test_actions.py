"""Buttons of the panel: what they change at once, for whom, and what they say (spec G5, F2, H1)."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import MailboxGrant
from mailstore import marking
from mailstore.models import Change, Folder, Listing, Message
from tests.mailstore.panel.conftest import mail

pytestmark = pytest.mark.django_db


@pytest.fixture
def folders(mailbox, deliver) -> dict[str, Folder]:
    """Inbox with two conversations, archive, spam and trash."""
    deliver(mailbox, mail("One", Message_ID="<1@x>"))
    deliver(mailbox, mail("Two", Message_ID="<2@x>"))
    for name, use in (("Archive", "archive"), ("Spam", "junk"), ("Trash", "trash")):
        Folder.objects.create(mailbox=mailbox, name=name, raw_name=name.encode(), special_use=use, delimiter="/")
    return {folder.name: folder for folder in mailbox.folders.all()}


@pytest.fixture
def press(client_of, alice, folders):
    """`press("archive", "One")` presses a button; returns the answer's events, or its status where it is refused."""

    def pressing(action: str, *subjects: str, folder: str = "INBOX", by=alice, **more: object):
        conversations = Message.objects.filter(subject__in=subjects).values_list("conversation", flat=True)
        url = reverse("mailstore:change", args=[folders[folder].pk])
        answer = client_of(by).post(url, {"action": action, "conversation": list(conversations), **more})
        return json.loads(answer.headers["HX-Trigger"]) if "HX-Trigger" in answer.headers else answer.status_code

    return pressing


def subjects(folder: Folder) -> list[str]:
    return sorted(Listing.objects.filter(folder=folder).values_list("newest__subject", flat=True))


def test_archiving_moves_at_once_and_offers_undo(press, folders, client_of, alice):
    events = press("archive", "One")
    assert events["toast"]["text"] == "Archived."
    assert events["mail:changed"]["away"]
    assert (subjects(folders["INBOX"]), subjects(folders["Archive"])) == (["Two"], ["One"])
    assert client_of(alice).post(events["toast"]["undo"]).status_code == 204
    assert (subjects(folders["INBOX"]), subjects(folders["Archive"])) == (["One", "Two"], [])


def test_several_conversations_are_counted(press, folders):
    assert press("trash", "One", "Two")["toast"]["text"] == "2 messages: moved to trash."
    assert subjects(folders["INBOX"]) == []
    assert subjects(folders["Trash"]) == ["One", "Two"]


@pytest.mark.parametrize(("action", "column", "value"), [("star", "is_flagged", True), ("read", "is_seen", True)])
def test_flags_change_at_once(press, action, column, value):
    press(action, "One")
    assert getattr(Message.objects.get(subject="One"), column) is value
    press(f"un{action}", "One")
    assert getattr(Message.objects.get(subject="One"), column) is not value


def test_reading_says_nothing(press):
    assert "toast" not in press("read", "One")


def test_only_the_trash_deletes_for_good(press, folders):
    assert press("remove", "One")["toast"]["text"] == "Nothing was left to change."
    press("trash", "One")
    assert press("remove", "One", folder="Trash")["toast"] == {"text": "Deleted for good.", "kind": "good", "undo": ""}
    assert not Message.objects.live().filter(subject="One").exists()


def test_moving_needs_a_folder_of_the_same_mailbox(press, folders, shared_mailbox, deliver):
    assert press("move", "One")["toast"]["text"] == "Choose the folder to move to."
    foreign = deliver(shared_mailbox, mail("Theirs")).folder
    assert press("move", "One", target=foreign.pk)["toast"]["kind"] == "bad"
    assert press("move", "One", target=folders["Spam"].pk)["toast"]["text"] == "Moved to Spam."


def test_messages_of_another_mailbox_are_left_alone(press, shared_mailbox, deliver):
    theirs = deliver(shared_mailbox, mail("Theirs"))
    press("read", message=[theirs.pk])
    press("read", "Theirs")
    theirs.refresh_from_db()
    assert not theirs.is_seen


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"action": "read"}, "Choose at least one message first."),
        ({"action": "read", "message": "x"}, "Choose the messages in the list again."),
    ],
)
def test_bad_input_gets_a_sentence(client_of, alice, folders, fields, sentence):
    answer = client_of(alice).post(reverse("mailstore:change", args=[folders["INBOX"].pk]), fields)
    assert answer.status_code == 422
    assert json.loads(answer.headers["HX-Trigger"])["toast"]["text"] == sentence


def test_a_mailbox_without_the_folder_says_so(press, folders):
    folders["Archive"].delete()
    assert "has no folder for archive" in press("archive", "One")["toast"]["text"]


@pytest.mark.proves("F2")
def test_access_alone_reads_and_changes_nothing(press, mailbox, bob, client_of):
    mailbox.is_shared = True
    mailbox.save(update_fields=["is_shared"])
    MailboxGrant.objects.create(mailbox=mailbox, user=bob, may_access=True)
    assert press("read", "One", by=bob) == 404
    conversation = Message.objects.get(subject="One").conversation_id
    page = client_of(bob).get(reverse("mailstore:conversation", args=[conversation])).content.decode()
    assert "data-deed" not in page
    assert "data-change" not in page


def test_only_who_did_it_undoes_it(press, mailbox, bob, client_of):
    undo = press("star", "One")["toast"]["undo"]
    mailbox.is_shared = True
    mailbox.save(update_fields=["is_shared"])
    MailboxGrant.objects.create(mailbox=mailbox, user=bob, may_send=True)
    assert client_of(bob).post(undo).status_code == 404
    assert Message.objects.get(subject="One").is_flagged


def test_the_dialogs_name_folders_and_ask(client_of, alice, folders):
    client = client_of(alice)
    conversation = Message.objects.get(subject="One").conversation_id
    page = client.get(reverse("mailstore:move", args=[folders["INBOX"].pk]), {"conversation": conversation})
    assert all(name in page.content.decode() for name in ("Archive", "Spam", "Trash", f'value="{conversation}"'))
    page = client.get(reverse("mailstore:remove", args=[folders["Trash"].pk]), {"conversation": conversation})
    assert "This cannot be undone." in page.content.decode()


def test_what_was_refused_stands_in_the_panel_until_it_is_dismissed(press, client_of, alice, mailbox, folders):
    press("archive", "One")
    Change.objects.update(state=Change.State.REFUSED, problem="The server says: NO", settled_at=timezone.now())
    client = client_of(alice)
    url = reverse("mailstore:mailbox", args=[mailbox.pk])
    page = client.get(url).content.decode()
    assert "“One” was not moved to Archive." in page
    assert "The server says: NO" in page
    client.post(reverse("mailstore:dismiss", args=[mailbox.pk]))
    assert "was not moved" not in client.get(url).content.decode()


def test_the_number_of_queries_of_an_action_does_not_grow(
    mailbox, alice, deliver, django_assert_max_num_queries, folders
):
    many = [deliver(mailbox, mail(f"Many {number}")).pk for number in range(12)]
    with django_assert_max_num_queries(22):
        marking.move(mailbox, many, folders["Archive"], by=alice, now=timezone.now())
    with django_assert_max_num_queries(22):
        marking.move(mailbox, many, folders["Trash"], by=alice, now=timezone.now())
