"""The bell, the list, and who may open what."""

from __future__ import annotations

import asyncio
import re

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.urls import reverse
from django.utils import timezone

from emailsettings import events
from notifications.kinds import Kind
from notifications.models import MailChoice, Notification
from notifications.telling import LIVE_KIND

pytestmark = pytest.mark.django_db

LIST = reverse("notifications:list")
HTMX = {"HTTP_HX_REQUEST": "true"}


def page_of(client, url: str = LIST, **headers: str) -> str:
    answer = client.get(url, **headers)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.proves("A7")
def test_the_bell_says_how_many_are_unread_on_every_page(client_of, alice, told):
    client = client_of(alice)
    profile = reverse("organizations:profile")
    assert 'aria-label="Notifications"' in page_of(client, profile)
    for _ in range(3):
        told(alice)
    assert 'aria-label="Notifications, 3 unread"' in page_of(client, profile)
    assert "Notifications, 3 unread" in page_of(client, reverse("notifications:bell") + "?at=top")
    for _ in range(100):
        told(alice)
    assert "Notifications, more than 99 unread" in page_of(client, profile)


def test_each_bell_is_counted_anew_in_its_place(client_of, alice):
    client, url = client_of(alice), reverse("notifications:bell")
    assert 'id="bell-top"' in page_of(client, url + "?at=top")
    assert 'id="bell-side"' in page_of(client, url + "?at=<b>")


def test_nothing_yet_says_what_will_come(client_of, alice, bob, told):
    told(bob, "Not for Alice")
    page = page_of(client_of(alice))
    assert "Nothing yet" in page
    assert "disconnected" in page
    assert "Not for Alice" not in page


def test_the_list_is_newest_first_and_pages_by_key(client_of, alice, told):
    client = client_of(alice)
    for number in range(45):
        told(alice, f"Number {number}", minutes=100 - number)
    page = page_of(client)
    assert re.findall(r"Number (\d+)", page) == [str(number) for number in range(44, 4, -1)]
    older = re.search(r'hx-get="([^"]+)"', page[page.index("Number 5") :])[1]
    rows = page_of(client, older, **HTMX)
    assert re.findall(r"Number (\d+)", rows) == [str(number) for number in range(4, -1, -1)]
    assert "<html" not in rows
    assert "Back to the newest" in page_of(client, older)
    assert "Number 44" in page_of(client, f"{LIST}?after=nonsense")


def test_the_list_costs_as_many_queries_for_one_as_for_many(client_of, alice, told, assert_queries):
    client = client_of(alice)
    told(alice)
    assert_queries.constant(lambda: page_of(client), lambda: [told(alice) for _ in range(30)])
    with assert_queries(8):  # session, user, organization, rows, mailboxes, two for operations, bell
        page_of(client)


def test_an_open_list_offers_what_came_since(client_of, alice, told):
    client = client_of(alice)
    told(alice)
    url = re.search(r'data-live-url="([^"]+than=\d+)"', page_of(client))[1]
    assert "newer notification" not in page_of(client, url)
    told(alice)
    assert "1 newer notification<" in page_of(client, url)
    told(alice)
    assert "2 newer notifications<" in page_of(client, url)
    assert "3 newer" in page_of(client, reverse("notifications:newer") + "?than=nonsense")


@pytest.mark.proves("A7")
def test_opening_marks_as_read_and_leads_to_what_it_is_about(client_of, alice, told):
    client = client_of(alice)
    notification, other = told(alice), told(alice)
    for _ in range(2):
        answer = client.get(reverse("notifications:open", args=[notification.pk]))
        assert (answer.status_code, answer["Location"]) == (302, "/profile")
    first_read = Notification.objects.get(pk=notification.pk).read_at
    assert first_read is not None
    assert list(Notification.objects.unread()) == [other]
    page = page_of(client)
    assert page.count('class="notification unread"') == 1
    assert page.count("Unread: ") == 1


def test_marking_all_as_read_is_for_ones_own(client_of, alice, bob, told):
    client = client_of(alice)
    told(alice), told(alice)
    others = told(bob)
    assert "Mark all as read" in page_of(client)
    assert client.post(reverse("notifications:read-all")).url == LIST
    assert list(Notification.objects.unread()) == [others]
    assert "Mark all as read" not in page_of(client)
    assert client.get(reverse("notifications:read-all")).status_code == 405


@pytest.mark.proves("A7", "F3")
def test_nobody_reads_what_another_person_was_told(client_of, alice, bob, dana, administrator, told):
    notification = told(alice, "For Alice alone")
    for other in (bob, dana, administrator):
        client = client_of(other)
        assert client.get(reverse("notifications:open", args=[notification.pk])).status_code == 404
        assert "For Alice alone" not in page_of(client)
        assert 'aria-label="Notifications"' in page_of(client, reverse("notifications:bell"))
        assert "newer notification" not in page_of(client, reverse("notifications:newer"))
    notification.refresh_from_db()
    assert notification.read_at is None


@pytest.mark.proves("A7", "F3")
def test_what_one_may_no_longer_see_is_a_plain_404(client_of, alice, mailbox, told):
    notification = told(alice)
    Notification.objects.filter(pk=notification.pk).update(url=reverse("accounts:settings", args=[mailbox.pk]))
    client = client_of(alice)
    url = reverse("notifications:open", args=[notification.pk])
    assert client.get(url, follow=True).status_code == 200
    mailbox.delete()
    answer = client.get(url, follow=True)
    assert answer.status_code == 404
    assert "alice@example.org needs" not in answer.content.decode()


@pytest.mark.proves("A7")
def test_news_reach_only_the_person_they_are_for(alice, bob, dana, assert_queries):
    may_know = events.may_know
    assert may_know(alice, LIVE_KIND, alice.pk)
    with assert_queries(0):
        assert not may_know(alice, LIVE_KIND, bob.pk)
        assert not may_know(dana, LIVE_KIND, alice.pk)


@pytest.mark.django_db(transaction=True)
def test_without_a_broker_the_bell_is_looked_at(alice, bob, told, monkeypatch):
    monkeypatch.setattr(events, "POLL_SECONDS", 0.01)

    async def listen() -> tuple[str, int] | None:
        beginning = True
        async for news in events._poll(alice, seconds=10):
            if news is not None:
                return news
            if beginning:
                beginning = False
                await sync_to_async(tell_both)()
        return None

    def tell_both() -> None:
        told(bob), told(alice)

    async def listen_and_leave() -> tuple[str, int] | None:
        try:
            return await listen()
        finally:
            await sync_to_async(connections.close_all)()  # of the thread that asked the database

    assert asyncio.run(listen_and_leave()) == (LIVE_KIND, alice.pk)


# --- Choosing ---------------------------------------------------------------------------------------------------


def test_each_kind_has_a_switch_that_is_kept(client_of, alice, bob):
    client = client_of(alice)
    url = reverse("notifications:settings")
    page = page_of(client, url)
    for kind in Kind:
        assert kind.label in page
    assert page.count("checked") == 3
    assert url in page_of(client, reverse("organizations:profile"))
    assert client.post(url, {Kind.MAILBOX_CONNECTED: "on"}).url == url
    assert [kind for kind, wanted in MailChoice.objects.of(alice).items() if wanted] == [Kind.MAILBOX_CONNECTED]
    assert page_of(client, url).count("checked") == 1
    assert MailChoice.objects.of(bob)[Kind.MESSAGE_FAILED]


def test_titles_are_written_as_text(client_of, alice, told):
    told(alice, "<b>bold</b>")
    assert "&lt;b&gt;bold" in page_of(client_of(alice))
    assert Notification.objects.get().at <= timezone.now()
