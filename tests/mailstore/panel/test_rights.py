"""Who may open what: every address of the panel against every kind of right (spec F2, F3; threat T18)."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from accounts.models import MailboxGrant
from mailstore.models import Attachment
from organizations.models import Role, RoleMembership
from tests.mailstore.panel.conftest import mail_with_files

PANEL = {"all", "send"}
READERS = {"all", "send", "access"}
ACQUAINTED = {"all", "send", "access", "setup", "administrator"}


@pytest.fixture
def addresses(shared_mailbox, deliver):
    """Address -> those who get an answer; everybody else gets 404."""
    message = deliver(shared_mailbox, mail_with_files())
    attachment = Attachment.objects.filter(message=message, filename__endswith=".pdf").get()
    return {
        reverse("mailstore:mailbox", args=[shared_mailbox.pk]): PANEL,
        reverse("mailstore:folders", args=[shared_mailbox.pk]) + f"?folder={message.folder_id}": PANEL,
        reverse("mailstore:folder", args=[message.folder_id]): PANEL,
        reverse("mailstore:folder", args=[message.folder_id]) + "?after=9-9": PANEL,
        reverse("mailstore:newest", args=[message.folder_id]): PANEL,
        reverse("mailstore:conversation", args=[message.conversation_id]): READERS,
        reverse("mailstore:conversation", args=[message.conversation_id]) + "?q=files": READERS,
        reverse("mailstore:message", args=[message.pk]): READERS,
        reverse("mailstore:message-body", args=[message.pk]): READERS,
        reverse("mailstore:source", args=[message.pk]): READERS,
        reverse("mailstore:attachment", args=[attachment.pk]): READERS,
        reverse("mailstore:search") + f"?q=files&mailbox={shared_mailbox.pk}": READERS,
    }


@pytest.mark.proves("F2", "F3", "T18")
def test_each_address_answers_those_with_the_right_and_is_404_for_all_others(cast, client_of, addresses):
    for name, user in cast.items():
        client = client_of(user)
        answers = {url: client.get(url).status_code for url in addresses}
        assert answers == {url: 200 if name in allowed else 404 for url, allowed in addresses.items()}, name


@pytest.mark.proves("F3")
def test_a_right_through_a_role_opens_the_panel_and_ends_with_the_membership(
    charlie, organization, shared_mailbox, client_of, addresses
):
    role = Role.objects.create(organization=organization, name="Support")
    MailboxGrant.objects.create(mailbox=shared_mailbox, role=role, may_send=True)
    membership = RoleMembership.objects.create(role=role, user=charlie)
    client = client_of(charlie)
    assert {client.get(url).status_code for url in addresses} == {200}
    membership.delete()
    assert {client.get(url).status_code for url in addresses} == {404}


@pytest.mark.proves("F3", "T18")
def test_a_right_that_is_taken_away_ends_at_once(bob, shared_mailbox, client_of, addresses):
    client = client_of(bob)
    readable = [url for url, allowed in addresses.items() if "access" in allowed]
    assert {client.get(url).status_code for url in readable} == {200}
    MailboxGrant.objects.filter(user=bob).delete()
    assert {client.get(url).status_code for url in readable} == {404}


@pytest.mark.proves("F2")
def test_access_finds_mail_by_search_and_reads_it_without_a_panel(bob, shared_mailbox, client_of, deliver):
    message = deliver(shared_mailbox, mail_with_files())
    client = client_of(bob)
    found = client.get(reverse("mailstore:search"), {"q": "files"}).content.decode()
    [link] = re.findall(r'href="(/mail/conversation/[^"]+)"', found)
    assert str(message.conversation_id) in link
    assert b"mail-folders" not in client.get(reverse("mailstore:conversation", args=[message.conversation_id])).content
    assert client.get(reverse("mailstore:mail")).status_code == 200  # the way to connect an account of one's own


@pytest.mark.proves("F3", "T18")
def test_search_finds_nothing_in_mailboxes_without_a_right(cast, client_of, shared_mailbox, deliver):
    deliver(shared_mailbox, mail_with_files())
    for name, user in cast.items():
        page = client_of(user).get(reverse("mailstore:search"), {"q": "files"}).content.decode()
        assert ("/mail/conversation/" in page) == (name in READERS), name


@pytest.mark.proves("E10", "F3")
def test_whoever_knows_of_a_mailbox_may_ask_for_its_mail(cast, client_of, shared_mailbox):
    url = reverse("mailstore:sync", args=[shared_mailbox.pk])
    answers = {name: client_of(user).post(url).status_code for name, user in cast.items()}
    assert answers == {name: 204 if name in ACQUAINTED else 404 for name in cast}
    shared_mailbox.schedule.refresh_from_db()
    assert shared_mailbox.schedule.requested_at is not None
    assert client_of(cast["all"]).get(url).status_code == 405


@pytest.mark.proves("E2")
def test_the_first_download_is_asked_for_and_leads_to_where_one_sees_it(cast, client_of, shared_mailbox):
    url = reverse("mailstore:download", args=[shared_mailbox.pk])
    answer = client_of(cast["send"]).post(url)
    assert answer["Location"] == reverse("mailstore:mailbox", args=[shared_mailbox.pk])
    assert client_of(cast["administrator"]).post(url)["Location"] == reverse("email-settings")
    assert client_of(cast["elsewhere"]).post(url).status_code == 404


def test_a_message_that_vanished_is_gone_from_every_address(alice, mailbox, client_of, deliver):
    message = deliver(mailbox, mail_with_files())
    type(message).objects.update(vanished_at=message.received_at)
    client = client_of(alice)
    for name in ("message", "message-body", "source"):
        assert client.get(reverse(f"mailstore:{name}", args=[message.pk])).status_code == 404
    assert client.get(reverse("mailstore:conversation", args=[message.conversation_id])).status_code == 404
    assert client.get(reverse("mailstore:attachment", args=[message.attachments.first().pk])).status_code == 404
