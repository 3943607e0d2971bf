"""The pages about people in a real browser: looked at by axe, used by pointer and keyboard, down to a phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import BrowserContext, Page, expect

from organizations import invitations
from organizations.models import Role, User
from organizations.operations import Operation
from organizations.roles import administrators_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.proves("H4")]


@pytest.fixture
def filled(
    context: BrowserContext,
    live_server,
    client_of: Callable,
    administrator: User,
    alice: User,
    sales: Role,
    give,
    join,
    make_mailbox,
) -> User:
    """An organization with one of everything; the browser is Ada's."""
    join(alice, sales)
    give(sales, Operation.VIEW_EMAIL_LOGS)
    make_mailbox("alice@example.org", alice)
    invitations.invite(
        alice.organization, name="Nora", email="nora@example.org", roles=[sales], by=administrator, now=timezone.now()
    )
    cookie = client_of(administrator).cookies["sessionid"]
    context.add_cookies([{"name": "sessionid", "value": cookie.value, "url": live_server.url}])
    return alice


@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_on_the_pages_about_people(page: Page, live_server, filled, sales, assert_accessible, width):
    page.set_viewport_size({"width": width, "height": 844})
    for path in (
        "/people/",
        f"/people/{filled.pk}",
        "/people/roles",
        f"/people/roles/{sales.pk}",
        "/people/operations",
        "/logs/audit",
    ):
        page.goto(f"{live_server.url}{path}")
        assert_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_axe_finds_nothing_on_the_operations_of_a_new_organization(
    page: Page, context, live_server, client_of, administrator, assert_accessible
):
    cookie = client_of(administrator).cookies["sessionid"]
    context.add_cookies([{"name": "sessionid", "value": cookie.value, "url": live_server.url}])
    page.goto(f"{live_server.url}/people/operations")
    assert page.get_by_role("checkbox").count() == 0  # administrators hold everything, and there is nobody else
    assert_accessible(page)


def test_axe_finds_nothing_on_the_pages_before_signing_in(
    page: Page, live_server, administrator, assert_accessible, browser_watch
):
    browser_watch("status of 404")  # of the invitation that nobody made
    _, token = invitations.invite(
        administrator.organization,
        name="Nora",
        email="nora@example.org",
        roles=[administrators_of(administrator.organization)],
        by=administrator,
        now=timezone.now(),
    )
    paths = (f"/people/invitations/{token}", "/people/invitations/x", "/account/password/reset/")
    for path in (*paths, "/account/password/reset/sent/", "/account/password/reset/x/x/"):
        page.goto(f"{live_server.url}{path}")
        assert_accessible(page)


@pytest.mark.browser_context_args(timezone_id="Europe/Vienna")
def test_inviting_in_the_dialog_shows_a_link_that_leads_in(page: Page, live_server, filled, assert_accessible):
    page.goto(f"{live_server.url}/people/")
    page.get_by_role("button", name="Invite", exact=True).click()
    dialog = page.locator("#dialog")
    dialog.get_by_label("Name").fill("Pia")
    dialog.get_by_label("Email address").fill("nobody")
    page.get_by_role("button", name="Send invitation").click()
    expect(dialog.get_by_text("wants an email address")).to_be_visible()
    expect(dialog.get_by_label("Name")).to_have_value("Pia")
    dialog.get_by_label("Email address").fill("pia@example.org")
    dialog.get_by_label("Sales").check()
    assert_accessible(page)
    page.get_by_role("button", name="Send invitation").click()
    link = dialog.get_by_label("Link for Pia")
    expect(link).to_be_visible()
    assert_accessible(page)
    address = link.input_value()
    page.context.clear_cookies()
    page.goto(address)
    expect(page.get_by_label("Time zone")).to_have_value("Europe/Vienna")
    page.get_by_label("Password").fill("a long enough word")
    page.get_by_role("button", name="Come in").click()
    expect(page.get_by_role("navigation", name="Communications")).to_be_visible()
    assert [role.name for role in User.objects.get(email="pia@example.org").roles.all()] == ["Sales"]


@pytest.mark.parametrize("width", [1280, 390])
def test_a_tick_is_saved_at_once_and_keeps_the_focus(page: Page, live_server, filled, sales, width):
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(f"{live_server.url}/people/operations")
    expect(page.get_by_text("via Sales")).to_have_count(1)
    tick = page.get_by_role("checkbox", name="Manage email providers: Sales")
    tick.focus()
    page.keyboard.press("Space")
    expect(page.get_by_text("Sales may now manage email providers.")).to_be_visible()
    expect(page.get_by_text("via Sales")).to_have_count(2)  # what Alice has through it came along
    expect(tick).to_be_checked()
    expect(tick).to_be_focused()
    assert sales.operation_grants.filter(operation=Operation.MANAGE_EMAIL_PROVIDERS).exists()
    page.keyboard.press("Space")
    expect(page.get_by_text("Sales may no longer manage email providers.")).to_be_visible()
    expect(page.get_by_text("via Sales")).to_have_count(1)
    assert not sales.operation_grants.filter(operation=Operation.MANAGE_EMAIL_PROVIDERS).exists()


def test_deactivating_says_what_stops_and_asks(page: Page, live_server, filled):
    page.goto(f"{live_server.url}/people/{filled.pk}")
    page.get_by_role("button", name="Deactivate").click()
    dialog = page.locator("#dialog")
    expect(dialog.get_by_text("1 email account of Alice stops syncing")).to_be_visible()
    dialog.get_by_role("button", name="Deactivate").click()
    expect(page.get_by_text("Alice can no longer sign in.")).to_be_visible()
    expect(page.get_by_role("button", name="Reactivate")).to_be_visible()
    assert not User.objects.get(pk=filled.pk).is_active
