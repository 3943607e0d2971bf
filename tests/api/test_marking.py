"""`PATCH /messages/{id}` and `POST /messages/{id}/move` (spec G5, L1)."""

from __future__ import annotations

import pytest

from accounts.models import MailboxGrant
from mailstore.models import Change, Folder, Message
from organizations.scopes import Scope
from tests.api.conftest import assert_problem, fields
from tests.mailstore.panel.conftest import mail

pytestmark = [pytest.mark.proves("L1", "G5"), pytest.mark.django_db]


@pytest.fixture
def message(mailbox, deliver) -> Message:
    for name, use in (("Archive", "archive"), ("Trash", "trash")):
        Folder.objects.create(mailbox=mailbox, name=name, raw_name=name.encode(), special_use=use, delimiter="/")
    return deliver(mailbox, mail("One"))


def test_a_message_is_marked_and_starred(api_of, alice, message):
    api = api_of(alice)
    answer = api.patch(f"/messages/{message.pk}", {"is_seen": True, "is_flagged": True})
    assert (answer.status_code, answer.data["is_seen"], answer.data["is_flagged"]) == (200, True, True)
    answer = api.patch(f"/messages/{message.pk}", {"is_seen": False})
    assert (answer.data["is_seen"], answer.data["is_flagged"]) == (False, True)
    assert Change.objects.open().count() == 2
    assert fields(api.patch(f"/messages/{message.pk}", {"is_seen": "yes"})) == ["is_seen"]


def test_a_message_is_moved_by_role_and_by_folder_and_keeps_its_id(api_of, alice, mailbox, message):
    api = api_of(alice)
    archive = mailbox.folders.get(name="Archive")
    answer = api.post(f"/messages/{message.pk}/move", {"role": "archive"})
    assert (answer.status_code, answer.data["id"], answer.data["folder"]) == (200, message.pk, archive.pk)
    answer = api.post(f"/messages/{message.pk}/move", {"folder": message.folder_id})
    assert answer.data["folder"] == message.folder_id


def test_a_move_says_what_it_lacks(api_of, alice, message, shared_mailbox, deliver):
    api = api_of(alice)
    foreign = deliver(shared_mailbox, mail("Theirs")).folder_id
    assert fields(api.post(f"/messages/{message.pk}/move", {})) == ["folder"]
    assert fields(api.post(f"/messages/{message.pk}/move", {"folder": foreign})) == ["folder"]
    assert fields(api.post(f"/messages/{message.pk}/move", {"role": "junk"})) == ["role"]


@pytest.mark.proves("F2")
def test_who_only_reads_is_refused(api_of, bob, mailbox, message):
    mailbox.is_shared = True
    mailbox.save(update_fields=["is_shared"])
    MailboxGrant.objects.create(mailbox=mailbox, user=bob, may_access=True)
    assert_problem(api_of(bob).patch(f"/messages/{message.pk}", {"is_seen": True}), 403, "forbidden")
    assert not Change.objects.exists()


def test_the_scope_for_reading_does_not_write(api_of, alice, message):
    assert api_of(alice, Scope.MESSAGES_READ).patch(f"/messages/{message.pk}", {"is_seen": True}).status_code == 403


def test_a_message_is_deleted_for_good_from_the_trash_and_from_spam_only(api_of, alice, mailbox, message, deliver):
    api = api_of(alice)
    assert_problem(api.delete(f"/messages/{message.pk}"), 409, "not-in-trash")
    assert not Change.objects.exists()
    for use in ("trash", "junk"):
        Folder.objects.filter(pk=message.folder_id).update(special_use=use)
        spam = deliver(mailbox, mail(use))
        assert api.delete(f"/messages/{spam.pk}").status_code == 204
        assert api.get(f"/messages/{spam.pk}").status_code == 404
        removal = Change.objects.open().get(message=spam)
        assert (removal.kind, removal.target) == (Change.Kind.PLACE, None)


@pytest.mark.proves("F2")
def test_who_only_reads_deletes_nothing(api_of, bob, dana, mailbox, message):
    Folder.objects.filter(pk=message.folder_id).update(special_use="trash")
    mailbox.is_shared = True
    mailbox.save(update_fields=["is_shared"])
    MailboxGrant.objects.create(mailbox=mailbox, user=bob, may_access=True)
    assert_problem(api_of(bob).delete(f"/messages/{message.pk}"), 403, "forbidden")
    assert_problem(api_of(dana).delete(f"/messages/{message.pk}"), 404, "not-found")
    assert not Change.objects.exists()
