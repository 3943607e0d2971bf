"""Sharing a mailbox as a person does it, in a real browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect

from accounts.models import Mailbox, MailboxGrant
from organizations.models import Role, User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def at_access(
    page: Page, context: BrowserContext, live_server, client_of: Callable, owner: User, mailbox: Mailbox
) -> Page:
    """The access page of Alice's mailbox, in her browser."""
    context.route("**/events*", lambda route: route.fulfill(status=204))  # needs ASGI, which the test server is not
    cookie = client_of(owner).cookies["sessionid"]
    context.add_cookies([{"name": "sessionid", "value": cookie.value, "url": live_server.url}])
    page.goto(live_server.url + reverse("accounts:access", args=[mailbox.pk]))
    return page


@pytest.mark.proves("F1", "F2", "F4")
def test_from_no_data_to_a_shared_mailbox(at_access: Page, mailbox: Mailbox, bob: User, sales: Role, assert_accessible):
    page = at_access
    assert_accessible(page)
    page.get_by_label("Allow shared access").check()
    expect(page.get_by_role("heading", name="No data")).to_be_visible()
    assert_accessible(page)

    page.locator("#toasts [data-dismiss]").click()
    page.get_by_role("button", name="Add people or roles").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Search people and roles")).to_be_focused()
    dialog.get_by_label("Bob").check()
    page.keyboard.press("Tab")
    dialog.get_by_label("Search people and roles").fill("sal")
    expect(dialog.get_by_label("Charlie")).to_be_hidden()
    dialog.get_by_label("Sales").check()
    expect(dialog.get_by_label("Bob")).to_be_checked()
    assert_accessible(page)
    dialog.get_by_label("Last day").fill("2020-01-01")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog.get_by_text("This day is over already.")).to_be_visible()
    expect(dialog.get_by_label("Sales")).to_be_checked()
    assert_accessible(page)
    dialog.get_by_label("Last day").fill("")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("Bob gains: Access emails.")).to_be_visible()

    tick = page.get_by_label("Send emails: Sales")
    tick.check()
    expect(page.get_by_text("Sales (1 person) gains: Send emails.")).to_be_visible()
    expect(tick).to_be_focused()
    assert MailboxGrant.objects.get(role=sales).may_send
    assert_accessible(page)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert_accessible(page)
    page.set_viewport_size({"width": 1280, "height": 860})

    page.get_by_role("button", name="Remove Bob").click()
    dialog.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_text("Bob loses: Access emails.")).to_be_visible()
    page.get_by_label("Allow shared access").uncheck()
    expect(page.get_by_text("Can do nothing while shared access is off.")).to_be_visible()
    assert_accessible(page)


def test_two_ticks_in_quick_succession_both_count(at_access: Page, mailbox: Mailbox, bob: User):
    Mailbox.objects.filter(pk=mailbox.pk).update(is_shared=True)
    given = MailboxGrant.objects.create(mailbox=mailbox, user=bob)
    at_access.reload()
    at_access.evaluate(
        "document.querySelectorAll('.access-grid input').forEach((box) => box.click())"  # all three in one moment
    )
    for label in ("Access emails", "Send emails", "Setup mailbox"):
        expect(at_access.get_by_label(f"{label}: Bob")).to_be_checked()
    expect(at_access.get_by_text("Bob gains:").first).to_be_visible()
    at_access.wait_for_load_state("networkidle")
    given.refresh_from_db()
    assert (given.may_access, given.may_send, given.may_setup) == (True, True, True)
