"""The bell and its list in a real browser: live, by keyboard, on a phone, for everybody."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, Route, expect

from notifications.kinds import Kind
from organizations.models import User

pytestmark = pytest.mark.django_db(transaction=True)

PHONE = {"width": 390, "height": 844}


@pytest.fixture
def news(context: BrowserContext, live_server, client_of: Callable, alice: User) -> list[str]:
    """Alice is signed in; what is put here arrives as live news. The test server is no ASGI server, so by hand."""
    cookie = client_of(alice).cookies["sessionid"]
    context.add_cookies([{"name": "sessionid", "value": cookie.value, "url": live_server.url}])
    waiting: list[str] = []

    def arrive(route: Route) -> None:
        body = "retry: 200\n\n" + "".join(f"data: {each}\n\n" for each in waiting)
        waiting.clear()
        route.fulfill(content_type="text/event-stream", body=body)

    context.route("**/events*", arrive)
    return waiting


@pytest.mark.proves("A7", "H4")
def test_the_bell_rings_by_itself_and_leads_to_the_list(
    page: Page, live_server, news, alice, told, assert_accessible, wait_for_bell
):
    page.goto(live_server.url + reverse("notifications:list"))
    expect(page.get_by_role("heading", name="Nothing yet")).to_be_visible()
    assert_accessible(page)
    told(alice, "desk@example.org needs attention")
    told(alice, "A message of yours was not sent", Kind.MESSAGE_FAILED)
    told(alice, "A message of yours was possibly sent", Kind.MESSAGE_UNCERTAIN)
    news.append(json.dumps({"kind": "notifications", "pk": alice.pk}))
    wait_for_bell(page, "Notifications, 3 unread")
    page.get_by_role("link", name="3 newer notifications").click()
    assert_accessible(page)
    page.get_by_role("link", name="Unread: desk@example.org needs attention").press("Enter")
    expect(page).to_have_url(live_server.url + "/profile")
    wait_for_bell(page, "Notifications, 2 unread")
    page.get_by_role("link", name="Notify me by mail when ...").click()
    page.get_by_label("An email account works again").check()
    assert_accessible(page)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Your choices are saved.")).to_be_visible()
    expect(page.get_by_label("An email account works again")).to_be_checked()


@pytest.mark.proves("A7", "H4")
def test_on_a_phone_the_bell_stands_on_top(
    page: Page, live_server, news, alice, told, assert_accessible, wait_for_bell
):
    page.set_viewport_size(PHONE)
    told(alice, "a-very-long-address-that-nobody-would-want-to-type-" * 2 + "@example.org needs attention")
    page.goto(live_server.url + reverse("organizations:profile"))
    page.get_by_role("button", name="Menu").click()
    wait_for_bell(page, "Notifications, 1 unread")  # the one of the side bar is not shown there
    page.keyboard.press("Escape")
    wait_for_bell(page, "Notifications, 1 unread").click()
    expect(page.get_by_role("heading", name="Notifications", exact=True)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert_accessible(page)
    page.get_by_role("button", name="Mark all as read").click()
    wait_for_bell(page, "Notifications")
