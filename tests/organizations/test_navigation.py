"""What the side bar shows to whom, at a constant price."""

from datetime import UTC, datetime

import pytest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import include, path

from emailsettings.urls import urlpatterns as product
from mailstore.models import Conversation, Folder, Listing, Message

AT = datetime(2026, 3, 1, tzinfo=UTC)


def panel(request: HttpRequest, mailbox_pk: int = 0) -> HttpResponse:
    return render(request, "base.html")


# The mail panel and the log as the side bar knows them: by name.
urlpatterns = [
    path(
        "mail/",
        include(([path("", panel, name="mail"), path("<int:mailbox_pk>/", panel, name="mailbox")], "mailstore")),
    ),
    path("logs/", include(([path("email", panel, name="email-log")], "delivery"))),
    *product,
]

pytestmark = pytest.mark.urls(__name__)


def side_bar(client) -> dict[str, dict[str, object]]:
    """{"Mail": {"alice@example.org": Item, ...}, ...} as the profile page shows it."""
    navigation = client.get("/profile").context["navigation"]
    return {section.label: {item.label: item for item in section.items} for section in navigation.sections}


def receive(mailbox, *, folder_use=Folder.SpecialUse.INBOX, unread: int) -> None:
    """One conversation with `unread` unread messages, as a sync would list it."""
    folder, _ = Folder.objects.get_or_create(
        mailbox=mailbox, raw_name=folder_use.encode(), defaults={"name": folder_use, "special_use": folder_use}
    )
    conversation = Conversation.objects.create(mailbox=mailbox)
    message = Message.objects.create(
        mailbox=mailbox,
        folder=folder,
        conversation=conversation,
        uidvalidity=1,
        uid=Message.objects.count() + 1,
        received_at=AT,
        size=1,
        pack="p",
        offset=0,
        stored_size=1,
        sha256=b"",
    )
    Listing.objects.create(
        folder=folder, conversation=conversation, newest=message, last_at=AT, message_count=3, unread_count=unread
    )


def test_mailboxes_of_the_panel_are_those_one_may_send_from(client_of, alice, bob, charlie, mailbox, shared_mailbox):
    assert list(side_bar(client_of(alice))["Mail"]) == ["alice@example.org", "sales@example.org"]
    assert "Mail" not in side_bar(client_of(bob))  # may read sales@, not send from it
    assert "Mail" not in side_bar(client_of(charlie))


def test_an_administrator_sees_nobodys_mailbox(client_of, administrator, mailbox, shared_mailbox):
    assert "Mail" not in side_bar(client_of(administrator))


def test_unread_messages_of_the_inbox_are_counted(client_of, alice, mailbox, shared_mailbox):
    receive(mailbox, unread=2)
    receive(mailbox, unread=3)
    receive(mailbox, folder_use=Folder.SpecialUse.JUNK, unread=40)
    items = side_bar(client_of(alice))["Mail"]
    assert (items["alice@example.org"].count, items["sales@example.org"].count) == (5, 0)


def test_a_count_follows_its_mailbox(client_of, alice, bob, mailbox, shared_mailbox):
    page = client_of(alice).get("/profile").content.decode()
    url = f"/mailboxes/{mailbox.pk}/unread"
    assert f'data-live="mailbox:{mailbox.pk}" data-live-url="{url}"></span>' in page  # nothing unread, nothing shown
    receive(mailbox, unread=1200)
    fragment = client_of(alice).get(url).content.decode()
    assert f'id="unread-{mailbox.pk}"' in fragment
    assert "999+" in fragment
    assert "1200 unread" in fragment
    assert client_of(bob).get(f"/mailboxes/{shared_mailbox.pk}/unread").status_code == 404


def test_the_number_of_queries_does_not_grow_with_mailboxes_and_mail(
    assert_queries, client_of, alice, mailbox, make_mailbox
):
    client = client_of(alice)

    def grow() -> None:
        for number in range(5):
            another = make_mailbox(f"alice{number}@example.org", alice)
            receive(another, unread=1)

    assert_queries.constant(lambda: client.get("/profile"), grow)


def test_the_mailbox_one_reads_is_marked(client_of, alice, mailbox, shared_mailbox):
    answer = client_of(alice).get(f"/mail/{shared_mailbox.pk}/")
    items = [item for section in answer.context["navigation"].sections for item in section.items]
    assert [item.label for item in items if item.is_current] == ["sales@example.org"]
    assert f'href="/mail/{mailbox.pk}/"' in answer.content.decode()


def test_everybody_finds_the_email_log_since_each_has_one_of_their_own(client_of, charlie):
    assert "Email log" in side_bar(client_of(charlie))["Communications"]


def test_the_page_one_is_on_is_marked(client_of, alice):
    page = client_of(alice).get("/communications/settings/email").content.decode()
    assert page.count('aria-current="page"') == 1
    assert 'href="/communications/settings/email" aria-current="page"' in " ".join(page.split())


def test_a_fragment_pays_nothing_for_the_side_bar(assert_queries, client_of, alice, rf):
    from emailsettings.navigation import navigation

    request = rf.get("/")
    request.user = alice
    with assert_queries(0):
        navigation(request)
