"""The frame in a real browser: dialog, toasts, drawer, live cards, time; by keyboard, in both schemes, on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from organizations.models import User
from organizations.setup import make_setup_link
from organizations.templatetags.moments import in_words
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.urls("tests.organizations.style_site"), pytest.mark.django_db(transaction=True)]


@pytest.fixture
def signed_in(context: BrowserContext, live_server, client_of: Callable, alice: User) -> User:
    cookie = client_of(alice).cookies["sessionid"]
    context.add_cookies([{"name": "sessionid", "value": cookie.value, "url": live_server.url}])
    return alice


@pytest.fixture
def style(page: Page, live_server, signed_in: User) -> Page:
    page.goto(f"{live_server.url}/style")
    return page


def in_dialog(page: Page, label: str) -> Locator:
    return page.locator("#dialog").get_by_label(label)


def type_and_leave(page: Page) -> None:
    """Open the dialog, type something, and press Escape."""
    page.get_by_role("button", name="Add server").click()
    in_dialog(page, "Server name").fill("Another name")
    page.keyboard.press("Escape")


# --- Looking ------------------------------------------------------------------------------------------------------


@pytest.mark.proves("H4")
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_on_the_style_page_and_in_its_dialog(style, assert_accessible, width):
    style.set_viewport_size({"width": width, "height": 844})
    expect(style.get_by_text("20,113 messages")).to_be_visible()
    assert_accessible(style)
    style.get_by_role("button", name="Connect a mailbox").first.click()
    expect(style.get_by_role("dialog")).to_be_visible()
    assert_accessible(style)


@pytest.mark.proves("H4")
@pytest.mark.parametrize("width", [1440, 1000, 390])
@pytest.mark.parametrize("pane", ["list", "read"])
def test_axe_finds_nothing_in_the_frame_of_the_mail_panel(page, live_server, signed_in, assert_accessible, width, pane):
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(f"{live_server.url}/style/mail?pane={pane}")
    assert_accessible(page)


@pytest.mark.proves("H4")
@pytest.mark.parametrize("path", ["/account/login/", "/account/logout/", "/profile", "/account/password/change/"])
def test_axe_finds_nothing_on_our_pages(page, live_server, signed_in, context, assert_accessible, path):
    if path == "/account/login/":
        context.clear_cookies()
    page.goto(f"{live_server.url}{path}")
    assert_accessible(page)


@pytest.mark.proves("H4")
def test_axe_finds_nothing_on_the_welcome_page(page, live_server, db, assert_accessible):
    page.goto(f"{live_server.url}/setup/{make_setup_link(datetime.now(UTC))}")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("is empty. Fill it in.").first).to_be_visible()
    assert_accessible(page)


@pytest.mark.proves("H4")
@pytest.mark.parametrize("path", ["/style", "/style/mail", "/style/mail?pane=read", "/profile"])
def test_no_page_scrolls_sideways(page, live_server, signed_in, path):
    """320 px is a 1280 px window at 400 % (WCAG 2.2, 1.4.10)."""
    page.goto(f"{live_server.url}{path}")
    for width in (320, 390, 640, 800, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_menu_stays_inside_the_window(style):
    style.set_viewport_size({"width": 390, "height": 844})
    expect(style.get_by_text("20,113 messages")).to_be_visible()  # the live card has drawn itself again
    for summary in style.locator("main details[data-menu] > summary").all():
        summary.click()
        expect(style.locator("details[data-menu][open] > .items")).to_be_in_viewport(ratio=1)
        style.keyboard.press("Escape")


# --- Keyboard -----------------------------------------------------------------------------------------------------


def test_the_first_tab_skips_to_the_content(style):
    style.keyboard.press("Tab")
    style.keyboard.press("Enter")
    expect(style.locator("#main")).to_be_focused()


def test_on_a_phone_the_side_bar_opens_and_closes_by_keyboard(style):
    style.set_viewport_size({"width": 390, "height": 844})
    side = style.get_by_role("navigation", name="Communications")
    expect(side).to_be_hidden()
    style.get_by_role("button", name="Menu", exact=True).focus()
    style.keyboard.press("Enter")
    expect(side).to_be_visible()
    style.keyboard.press("Escape")
    expect(side).to_be_hidden()
    expect(style.get_by_role("button", name="Menu", exact=True)).to_be_focused()


def test_a_menu_is_walked_with_arrows_and_left_with_escape(style):
    person = style.locator("details.person > summary")
    person.focus()
    style.keyboard.press("ArrowDown")
    expect(style.get_by_role("link", name="Profile")).to_be_focused()
    style.keyboard.press("ArrowDown")
    expect(style.get_by_role("button", name="Sign out")).to_be_focused()
    style.keyboard.press("Escape")
    expect(style.get_by_role("link", name="Profile")).to_be_hidden()
    expect(person).to_be_focused()


# --- Dialog -------------------------------------------------------------------------------------------------------


def test_the_dialog_begins_in_its_first_field_and_gives_the_focus_back(style):
    opener = style.get_by_role("button", name="Add server")
    opener.focus()
    style.keyboard.press("Enter")
    expect(in_dialog(style, "Server name")).to_be_focused()
    style.keyboard.press("Escape")
    expect(style.get_by_role("dialog")).to_be_hidden()
    expect(opener).to_be_focused()


def test_what_was_typed_is_not_thrown_away_unasked(style):
    type_and_leave(style)
    question = style.get_by_role("dialog", name="Discard what you typed?")
    expect(question).to_be_visible()
    question.get_by_role("button", name="Keep editing").click()
    expect(in_dialog(style, "Server name")).to_have_value("Another name")


def test_escape_in_the_question_means_keep(style):
    type_and_leave(style)
    style.keyboard.press("Escape")
    expect(style.get_by_role("dialog", name="Discard what you typed?")).to_be_hidden()
    expect(in_dialog(style, "Server name")).to_have_value("Another name")


def test_discarding_closes_and_the_next_dialog_begins_afresh(style):
    type_and_leave(style)
    style.get_by_role("button", name="Discard").click()
    expect(style.get_by_role("dialog")).to_be_hidden()
    style.get_by_role("button", name="Add server").click()
    expect(in_dialog(style, "Server name")).to_have_value("Production SMTP")
    style.keyboard.press("Escape")
    expect(style.get_by_role("dialog")).to_be_hidden()


def test_a_refused_form_stays_with_the_focus_in_the_wrong_field(style):
    style.get_by_role("button", name="Add server").click()
    in_dialog(style, "Server name").fill("Kept")
    in_dialog(style, "SMTP host").fill("")
    style.get_by_role("button", name="Save changes").click()
    host = in_dialog(style, "SMTP host")
    expect(host).to_be_focused()
    expect(host).to_have_accessible_description("This field is required.")
    expect(in_dialog(style, "Server name")).to_have_value("Kept")


@pytest.mark.proves("H4")
@pytest.mark.parametrize("width", [390, 1280])
def test_news_in_a_dialog_cover_none_of_its_buttons(style, width):
    style.set_viewport_size({"width": width, "height": 700})
    style.get_by_role("button", name="Add server").click()
    save = style.get_by_role("dialog").get_by_role("button", name="Save changes")
    expect(save).to_be_visible()
    style.evaluate(
        """document.dispatchEvent(new CustomEvent("toast", {detail: {text: "It broke. Try again.", kind: "bad"}}))"""
    )
    news = style.get_by_role("dialog").get_by_text("It broke. Try again.")
    expect(news).to_be_visible()
    button, told = save.bounding_box(), style.locator(".toast").bounding_box()
    assert told["y"] >= button["y"] + button["height"]
    assert told["y"] + told["height"] <= 700
    save.click(trial=True)


def test_a_saved_form_closes_the_dialog_and_says_so(style):
    style.get_by_role("button", name="Add server").click()
    in_dialog(style, "Server name").fill("Saved")
    style.get_by_role("button", name="Save changes").click()
    expect(style.get_by_role("dialog")).to_be_hidden()
    expect(style.get_by_role("status")).to_contain_text("The server is saved.")


def test_a_request_that_fails_inside_a_dialog_is_told_on_top_of_it(style, browser_watch, expected_errors):
    browser_watch("status of 500", "Response Status Error Code 500")
    expected_errors("style/broken")
    style.get_by_role("button", name="Add server").click()
    expect(in_dialog(style, "Server name")).to_be_focused()
    style.evaluate("htmx.ajax('GET', '/style/broken', '#dialog-body')")
    toast = style.get_by_text("The server could not do this")
    expect(toast).to_be_visible()
    toast.click(trial=True)  # not covered by the dialog
    expect(in_dialog(style, "Server name")).to_have_value("Production SMTP")


def test_a_session_that_ended_leads_to_sign_in_and_back(style, context):
    expect(style.get_by_text("20,113 messages")).to_be_visible()
    context.clear_cookies()
    style.get_by_role("button", name="Add server").click()
    style.wait_for_url(re.compile(r"/account/login/\?next=(/|%2F)style$"))


def test_what_was_typed_survives_a_new_sign_in_in_another_window(style, context, live_server, signed_in):
    style.get_by_role("button", name="Add server").click()
    in_dialog(style, "Server name").fill("Typed before")
    context.clear_cookies()
    other = context.new_page()
    other.goto(f"{live_server.url}/account/login/")
    other.get_by_label("Email address").fill(signed_in.email)
    other.get_by_label("Password").fill(PASSWORD)
    other.get_by_role("button", name="Sign in").click()
    expect(other.get_by_role("navigation", name="Communications")).to_be_visible()
    style.get_by_role("button", name="Save changes").click()
    expect(style.get_by_role("status")).to_contain_text("The server is saved.")


# --- News ---------------------------------------------------------------------------------------------------------


def test_a_page_brings_its_messages_as_toasts_that_can_be_dismissed(page, live_server, signed_in):
    page.goto(f"{live_server.url}/style?message")
    toast = page.get_by_text("Saved. The server is used from now on.")
    expect(toast).to_be_visible()
    page.get_by_role("button", name="Dismiss").click()
    expect(toast).to_be_hidden()


def test_a_card_follows_its_row(style):
    expect(style.locator("#live-card")).to_contain_text("Connected, 20,113 messages")


def test_a_card_that_finds_the_session_ended_says_so_and_stays(page, live_server, signed_in):
    page.route("**/style/card", lambda route: route.fulfill(status=204, headers={"HX-Redirect": "/account/login/"}))
    page.goto(f"{live_server.url}/style")
    expect(page.get_by_role("status")).to_contain_text("You are signed out.")
    expect(page.locator("#live-card")).to_contain_text("8,412 of 20,113")


def test_a_card_whose_row_was_deleted_goes_away(page, live_server, signed_in, browser_watch):
    browser_watch("status of 404")
    page.route("**/style/card", lambda route: route.fulfill(status=404))
    page.goto(f"{live_server.url}/style")
    expect(page.locator("#live-card")).to_have_count(0)


def test_the_words_for_moments_are_the_same_in_python_and_in_the_browser(style):
    now = datetime(2026, 3, 18, 12, tzinfo=UTC)
    spans = [0, 44, 45, 89, 90, 240, 3569, 3570, 5400, 84_600, 86_400, 130_000, 560_000, -10, -90, -7200]
    moments = [now - timedelta(seconds=span) for span in spans]
    in_browser = style.evaluate(
        """async ([now, moments]) => {
             const { inWords } = await import("/static/time.js");
             return moments.map((moment) => inWords(new Date(moment), new Date(now)));
           }""",
        [now.isoformat(), [moment.isoformat() for moment in moments]],
    )
    assert in_browser == [in_words(moment, now) for moment in moments]


@pytest.mark.browser_context_args(timezone_id="Asia/Kolkata")
def test_the_first_administrator_arrives_with_the_time_zone_of_the_browser(page, live_server, db):
    page.goto(f"{live_server.url}/setup/{make_setup_link(datetime.now(UTC))}")
    page.get_by_label("Organization").fill("Example Ltd")
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Your email address").fill("ada@example.org")
    page.get_by_label("Password").fill("a long enough word")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("navigation", name="Communications")).to_be_visible()
    assert User.objects.get().time_zone in ("Asia/Kolkata", "Asia/Calcutta")
