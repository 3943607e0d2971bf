"""The settings page and the wizard in a real browser: what people press, in light, dark and narrow, for everybody."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import BrowserContext, Page, Route, expect

from accounts.models import Mailbox
from mailservers.models import MailServer
from mailstore.models import SyncSchedule
from organizations.models import User
from tests.sandbox.running import ALICE

pytestmark = pytest.mark.django_db(transaction=True)
LONG = "A-department-with-a-name-that-nobody-would-choose-but-somebody-has@subsidiary.of.a.company.example"


@pytest.fixture
def signed_in(context: BrowserContext, live_server, client_of: Callable, administrator: User) -> User:
    cookie = client_of(administrator).cookies["sessionid"]
    context.add_cookies([{"name": "sessionid", "value": cookie.value, "url": live_server.url}])
    return administrator


@pytest.fixture(autouse=True)
def _no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody takes what is put into the queue: the servers of these accounts do not exist."""
    monkeypatch.setattr("mailstore.schedule.sync_mailbox.apply_async", lambda *_, **__: None)


@pytest.fixture
def accounts_in_every_state(make_mailbox, administrator) -> list[Mailbox]:
    now = timezone.now()
    server = MailServer.objects.create(
        organization=administrator.organization, name="Production SMTP", host="smtp.example.org"
    )
    support, anna, ben, away, resting, notices, long = (
        make_mailbox(address, owner, display_name=name, **fields)
        for address, owner, name, fields in (
            ("support@northwind.example", None, "Support Inbox", {"mail_server": server, "is_default": True}),
            ("anna.berg@northwind.example", administrator, "Anna Berg", {}),
            ("ben.ortiz@gmail.com", administrator, "Ben Ortiz", {}),
            ("sales@northwind.example", None, "Sales", {"mail_server": server}),
            ("archive@northwind.example", None, "Archive", {"smtp_host": ""}),
            ("notices@northwind.example", None, "Notices", {"imap_host": "", "mail_server": server}),
            (LONG, administrator, "Ein außerordentlich langer Anzeigename für ein einzelnes Postfach", {}),
        )
    )

    def schedule(mailbox: Mailbox, **fields: object) -> None:
        values = {"finished_at": now - timedelta(minutes=2), "due_at": now + timedelta(minutes=4), **fields}
        SyncSchedule.objects.filter(mailbox=mailbox).update(**values)

    running = {"folder_name": "Archive/2024", "done": 8_412, "total": 20_113}
    schedule(support, leased_until=now + timedelta(minutes=5), started_at=now - timedelta(seconds=9), **running)
    schedule(anna, arrived=12)
    cause = {"cause": "The normal password no longer works.", "cure": "Make an app password and type it here."}
    diagnosis = {"title": "Google asks for an app password.", "causes": [cause]}
    Mailbox.objects.filter(pk=ben.pk).update(attention=diagnosis, attention_since=now - timedelta(days=7))
    schedule(away, waiting_for="the server does not answer")
    schedule(resting)
    Mailbox.objects.filter(pk=resting.pk).update(paused_at=now)
    schedule(long)
    return [support, anna, ben, away, resting, notices, long]


def fits(page: Page) -> None:
    """Nothing stands out to the side on a phone."""
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1280, "height": 860})


def open_settings(page: Page, live_server, query: str = "") -> None:
    page.goto(live_server.url + reverse("email-settings") + query)


def test_the_settings_page_in_every_state(
    page: Page, live_server, signed_in, accounts_in_every_state, assert_accessible
):
    open_settings(page, live_server)
    expect(page.get_by_text("Archive/2024: 8,412 of 20,113")).to_be_visible()
    fits(page)
    assert_accessible(page)


def test_the_empty_settings_page(page: Page, live_server, signed_in, assert_accessible):
    open_settings(page, live_server)
    expect(page.get_by_text("No email account yet")).to_be_visible()
    fits(page)
    assert_accessible(page)


@pytest.mark.proves("E11")
def test_the_cure_of_a_trouble_is_one_press_away(page: Page, live_server, signed_in, accounts_in_every_state):
    open_settings(page, live_server)
    page.get_by_role("link", name="Need attention").click()
    expect(page.locator("#email-accounts article")).to_have_count(1)
    page.get_by_role("button", name="Fix").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Make an app password and type it here.")
    dialog.get_by_label("Password").fill("fresh app password")
    dialog.get_by_role("button", name="Save changes").click()
    expect(page.get_by_text("ben.ortiz@gmail.com was saved.")).to_be_visible()
    expect(page.get_by_text("Nothing needs attention")).to_be_visible()
    assert Mailbox.objects.get(address="ben.ortiz@gmail.com").attention is None


def test_a_dialog_begins_at_its_first_field_and_one_that_only_asks_never_at_its_red_button(
    page: Page, live_server, signed_in, accounts_in_every_state
):
    open_settings(page, live_server)
    page.get_by_role("button", name="Add server").click()
    expect(page.get_by_role("dialog").get_by_label("Service")).to_be_focused()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Delete Production SMTP").click()
    expect(page.get_by_role("dialog").get_by_text("Are you sure")).to_be_visible()
    expect(page.get_by_role("dialog").get_by_role("button", name="Delete server")).not_to_be_focused()


@pytest.mark.proves("E4")
def test_a_typed_password_survives_a_refused_form(page: Page, live_server, signed_in, accounts_in_every_state):
    open_settings(page, live_server)
    page.get_by_role("button", name="Add account").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("IMAP host").fill("imap.example.org")
    dialog.get_by_label("Password").fill("typed-1")
    for button in ("Add account", "Test connection"):
        dialog.get_by_role("button", name=button).click()
        expect(dialog.get_by_text("Type the address of this account.")).to_be_visible()
        expect(dialog.get_by_label("Password")).to_have_value("typed-1")
        expect(dialog.get_by_label("Email address")).to_be_focused()


def test_a_press_before_the_page_listens_is_not_lost(page: Page, live_server, signed_in, accounts_in_every_state):
    held: list[Route] = []
    page.route("**/htmx-2.min.js", lambda route: held.append(route))
    with page.expect_request("**/htmx-2.min.js"):
        page.goto(live_server.url + reverse("email-settings"), wait_until="commit")
    page.get_by_role("button", name="Add account").click()
    assert page.evaluate("typeof window.htmx") == "undefined"
    held[0].continue_()
    expect(page.get_by_role("dialog").get_by_label("Email address")).to_be_visible()


def test_a_form_can_be_sent_the_moment_it_is_seen(page: Page, live_server, signed_in, accounts_in_every_state):
    """No pause between drawing a form and listening to it, in which a press would go past the dialog."""
    open_settings(page, live_server)
    page.evaluate("""document.addEventListener("htmx:afterSwap", () => setTimeout(() =>
        document.querySelector("#dialog-body form").requestSubmit()), { once: true })""")
    page.get_by_role("button", name="Add account").click()
    expect(page.get_by_role("dialog").get_by_text("Type the address of this account.")).to_be_visible()


def test_the_dialogs_are_accessible(page: Page, live_server, signed_in, accounts_in_every_state, assert_accessible):
    for name in ("Edit anna", "Delete support"):
        open_settings(page, live_server)
        page.get_by_role("button", name=re.compile(f"^{name}")).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert_accessible(page)


@pytest.mark.proves("E12")
def test_deleting_takes_the_card_away(page: Page, live_server, signed_in, accounts_in_every_state):
    open_settings(page, live_server)
    page.get_by_role("button", name="Delete notices@northwind.example").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete account").click()
    expect(page.get_by_text("notices@northwind.example was deleted.")).to_be_visible()
    expect(page.locator("#email-accounts article")).to_have_count(6)


def test_choosing_no_protection_asks_for_a_confirmation(page: Page, live_server, signed_in, accounts_in_every_state):
    open_settings(page, live_server)
    page.get_by_role("button", name="Edit anna.berg@northwind.example").click()
    dialog = page.get_by_role("dialog")
    confirmation = dialog.get_by_label("Accept an unprotected connection")
    expect(confirmation).to_be_hidden()
    dialog.get_by_role("group", name="Security").first.get_by_text("None").click()
    expect(confirmation).to_be_visible()
    dialog.get_by_label("Port").first.fill("143")
    expect(dialog.get_by_role("radio", name="STARTTLS").first).to_be_checked()
    expect(confirmation).to_be_hidden()


def test_the_dialog_as_a_page_leads_back(
    page: Page, live_server, signed_in, accounts_in_every_state, assert_accessible
):
    page.goto(live_server.url + reverse("accounts:edit", args=[accounts_in_every_state[1].pk]))
    assert_accessible(page)
    fits(page)
    page.get_by_label("Display name").fill("")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_text("Type the name that people see")).to_be_visible()
    page.get_by_label("Display name").fill("Anna B.")
    page.get_by_role("button", name="Save changes").click()
    expect(page).to_have_url(live_server.url + reverse("email-settings"))
    page.goto(live_server.url + reverse("accounts:create"))
    page.get_by_role("button", name="Cancel").click()
    expect(page).to_have_url(live_server.url + reverse("email-settings"))


# --- The wizard -------------------------------------------------------------------------------------------------


@pytest.mark.proves("E1", "E2")
def test_the_wizard_from_the_address_to_the_connected_page(
    page: Page, live_server, signed_in, sandbox, assert_accessible
):
    open_settings(page, live_server)
    page.get_by_role("link", name="Connect a mailbox").first.click()
    assert_accessible(page)
    expect(page.get_by_label("Email address")).to_be_focused()
    page.keyboard.type(ALICE)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Password")).to_be_focused()
    assert_accessible(page)
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.locator("[data-check-verdict]")).to_have_count(2)
    first, second = (page.locator("[data-check-part]").nth(place).bounding_box() for place in (0, 1))
    assert first["x"] == second["x"]
    assert second["y"] >= first["y"] + first["height"]
    assert_accessible(page)
    fits(page)
    expect(page.get_by_label("Password")).to_have_value("wrong")
    page.get_by_label("Password").fill(sandbox.password)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=f"{ALICE} is connected")).to_be_visible()
    expect(page.get_by_role("button", name="Download mail now")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert_accessible(page)
    fits(page)


@pytest.mark.proves("E1")
def test_typed_servers_survive_failures_and_the_way_back(page: Page, live_server, signed_in, rules, assert_accessible):
    page.goto(live_server.url + reverse("accounts:wizard"))
    page.get_by_label("Email address").fill("anna@unknown.example")
    page.keyboard.press("Enter")
    expect(page.get_by_text("We do not know unknown.example yet.")).to_be_visible()
    assert_accessible(page)
    page.get_by_role("button", name="Type the servers myself").click()
    page.get_by_label("IMAP host").fill("imap.does-not-exist.invalid")
    page.get_by_label("SMTP host").fill("")
    page.get_by_label("Password").fill("typed-1")
    page.get_by_label("Port").first.fill("99999")
    page.get_by_role("button", name="Connect", exact=True).click()
    expect(page.get_by_text("Type a whole number from 1 to 65535")).to_be_visible()
    expect(page.get_by_label("Port").first).to_be_focused()
    expect(page.get_by_label("Password")).to_have_value("typed-1")
    assert_accessible(page)
    page.get_by_label("Port").first.fill("993")
    page.get_by_role("button", name="Connect", exact=True).click()
    expect(page.locator("[data-check-verdict]")).to_contain_text("does not exist")
    expect(page.get_by_label("IMAP host")).to_have_value("imap.does-not-exist.invalid")
    expect(page.get_by_label("Password")).to_have_value("typed-1")
    assert_accessible(page)
    page.reload()
    expect(page.get_by_label("Email address")).to_have_value("anna@unknown.example")
