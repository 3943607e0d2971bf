"""The panel in a real browser: nothing runs, nothing leaves, keys, news, phone width, accessibility."""

from __future__ import annotations

import html
import re
import socket
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import BrowserContext, Page, expect

from mailstore.rendering import CleanBody, RemoteImages
from mailstore.views import content
from organizations.models import User
from tests.mailstore.panel.conftest import html_mail, mail, mail_with_files
from tests.mailstore.panel.payloads import BEACONS, CALL, FETCHING_STYLES, RUNNING

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def signed_in(context: BrowserContext, live_server, client_of: Callable, alice: User) -> User:
    cookie = client_of(alice).cookies["sessionid"]
    context.add_cookies([{"name": "sessionid", "value": cookie.value, "url": live_server.url}])
    # The test server is no ASGI server, so that it cannot stream; news are given by hand where a test is about them.
    context.route("**/events*", lambda route: route.fulfill(content_type="text/event-stream", body="retry: 600000\n\n"))
    return alice


@pytest.fixture
def panel(page: Page, live_server, signed_in: User, mailbox, deliver) -> Page:
    """Three conversations in the inbox of alice: files (newest), a long name, and a plain one of two messages."""
    at = timezone.now() - timedelta(hours=3)
    deliver(mailbox, mail("Plan", "one", Message_ID="<1@x>"), r"\Seen", at=at)
    reply = "two\n\nOn Monday, Alice wrote:\n> one\n> and\n> more\n"
    deliver(mailbox, mail("Re: Plan", reply, Message_ID="<2@x>", References="<1@x>"), at=at + timedelta(minutes=1))
    long = "A name that somebody imported and that goes on for longer than any list is wide " * 2
    deliver(mailbox, mail(long, long, From=f'"{long}" <{"x" * 60}@example.com>'), at=at + timedelta(minutes=2))
    deliver(mailbox, mail_with_files(), at=at + timedelta(minutes=3))
    deliver(mailbox, mail("Older"), r"\Seen", folder="Archive/2024", at=at)
    page.goto(live_server.url + reverse("mailstore:mailbox", args=[mailbox.pk]))
    return page


def focused(page: Page) -> str:
    return page.evaluate("document.activeElement.querySelector('.subject')?.textContent ?? document.activeElement.id")


@pytest.mark.proves("H2", "T9", "T10", "T11")
def test_hostile_mail_runs_nothing_and_asks_nobody(page: Page, live_server, signed_in, mailbox, deliver, browser_watch):
    payloads = [
        *RUNNING,
        *BEACONS,
        *(f'<p style="{html.escape(style)}">x</p><style>p{{{style}}}</style>' for style in FETCHING_STYLES),
    ]
    together = "\n".join(f"<div>{payload}</div>" for payload in payloads)
    page.add_init_script(
        "window.__ran = 0; window.alert = window.print = window.confirm = () => { window.top.__ran = 1; };"
    )
    for body in (together, "".join(RUNNING[:25]), "".join(RUNNING[25:])):
        message = deliver(mailbox, html_mail(body, subject="<img src=x onerror=window.__ran=1>"))
        page.goto(live_server.url + reverse("mailstore:conversation", args=[message.conversation_id]))
        frame = page.frame_locator("iframe").last
        expect(frame.locator("body")).to_be_attached()
        page.wait_for_timeout(500)
        assert page.evaluate("window.__ran") == 0
        page.goto(live_server.url + reverse("mailstore:message-body", args=[message.pk]))
        page.wait_for_timeout(300)
        assert page.evaluate("window.__ran") == 0
    assert {re.sub(r"^http://[^/]*(/[a-z]+).*", r"\1", url) for url in browser_watch.requests} <= {
        *("/mail", "/static", "/events", "/favicon"),
    }


@pytest.mark.proves("T9")
def test_the_wall_behind_the_cleaning_holds_by_itself(
    page: Page, live_server, signed_in, mailbox, deliver, monkeypatch, browser_watch
):
    """Even HTML that nobody cleaned runs nothing and reaches nobody from the frame."""
    with socket.create_server(("127.0.0.1", 0)) as beacon:
        beacon.settimeout(1.5)
        address = f"http://127.0.0.1:{beacon.getsockname()[1]}/beacon"
        leaks = f'<img src="{address}"><style>@import "{address}"; p {{ background: url({address}) }}</style><p>x'
        raw = CleanBody(f"<script>{CALL}</script><svg onload={CALL}></svg>{leaks}", RemoteImages())
        monkeypatch.setattr(content, "clean_html", lambda message, user: raw)
        browser_watch("Blocked script execution", "violates the following Content Security Policy")
        message = deliver(mailbox, html_mail("<p>x</p>"))
        page.add_init_script("window.__ran = 0")
        page.goto(live_server.url + reverse("mailstore:conversation", args=[message.conversation_id]))
        with pytest.raises(TimeoutError):
            beacon.accept()
        assert page.evaluate("window.__ran") == 0


@pytest.mark.proves("H2", "T12")
def test_an_image_within_a_message_is_seen(panel: Page):
    panel.locator(".conversation").first.click()
    image = panel.frame_locator("iframe").locator("img")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.complete && image.naturalWidth") == 1


@pytest.mark.proves("H1", "H4")
def test_the_panel_is_used_by_keys_alone(panel: Page):
    expect(panel.locator(".conversation")).to_have_count(3)
    panel.keyboard.press("j")
    assert focused(panel) == "Files"
    panel.keyboard.press("ArrowDown")
    panel.keyboard.press("j")
    panel.keyboard.press("j")
    assert focused(panel) == "Plan"
    panel.keyboard.press("k")
    panel.keyboard.press("j")
    panel.keyboard.press("Enter")
    expect(panel.get_by_role("heading", name="Plan", level=1)).to_be_visible()
    expect(panel).to_have_url(re.compile(r"/mail/conversation/\d+\?folder="))
    expect(panel).to_have_title(re.compile("^Plan"))
    panel.keyboard.press("/")
    panel.keyboard.type("jkrc")
    expect(panel.locator("#search")).to_have_value("jkrc")
    panel.keyboard.press("Escape")
    panel.keyboard.press("Escape")
    assert focused(panel) == "Plan"
    panel.keyboard.press("r")
    expect(panel).to_have_url(re.compile(r"/mail/\d+/reply"))


def test_a_folded_message_opens_in_place(panel: Page):
    panel.locator(".conversation").nth(2).click()
    expect(panel.locator("article.message .body.text")).to_have_text("two")
    panel.locator("details.message > summary").click()
    expect(panel.locator("details.message .body.text")).to_have_text("one")
    panel.locator("details.history > summary").click()
    expect(panel.locator("details.history .text")).to_contain_text("> and")


def test_going_back_shows_the_list_again(panel: Page):
    panel.locator(".conversation").first.click()
    expect(panel.get_by_role("heading", name="Files", level=1)).to_be_visible()
    panel.go_back()
    expect(panel.get_by_text("Nothing opened")).to_be_visible()


@pytest.mark.proves("H1")
def test_new_mail_takes_its_place_without_losing_where_one_is(panel: Page, mailbox, deliver, live_server):
    panel.locator(".conversation").nth(1).click()
    expect(panel.locator(".conversation[aria-current=true]")).to_have_count(1)
    chosen = panel.locator(".conversation[aria-current=true]").get_attribute("id")
    panel.evaluate("document.querySelectorAll('.listed').forEach(row => { row.wasHere = true })")
    deliver(mailbox, mail("Just in"), at=timezone.now())
    panel.evaluate(
        """async () => {
          const newest = document.getElementById("newest");
          newest.dispatchEvent(new CustomEvent("live:ask", { bubbles: true }));
          const answer = await fetch(newest.dataset.liveUrl, { headers: { "HX-Request": "true" } });
          window.htmx.swap(newest, await answer.text(), { swapStyle: "outerHTML" });
        }"""
    )
    expect(panel.locator(".conversation")).to_have_count(4)
    drawn = panel.evaluate("[...document.querySelectorAll('.listed')].map(row => !row.wasHere)")
    assert drawn == [True, False, False, False]
    expect(panel.locator(".conversation .subject").first).to_have_text("Just in")
    assert panel.locator(".conversation[aria-current=true]").get_attribute("id") == chosen
    panel.locator(".conversation").first.click()
    expect(panel.get_by_role("heading", name="Just in", level=1)).to_be_visible()


@pytest.mark.proves("H1")
def test_the_list_goes_on_when_one_reaches_its_end(page: Page, live_server, signed_in, mailbox, deliver):
    at = timezone.now() - timedelta(days=3)
    for number in range(90):
        deliver(mailbox, mail(f"Letter {number}"), at=at + timedelta(minutes=number))
    page.goto(live_server.url + reverse("mailstore:mailbox", args=[mailbox.pk]))
    expect(page.locator(".conversation")).to_have_count(40)
    page.locator("#list").evaluate("list => { list.scrollTop = list.scrollHeight }")
    expect(page.locator(".conversation")).to_have_count(80)


@pytest.mark.proves("H1")
def test_on_a_phone_one_pane_shows_at_a_time(panel: Page):
    panel.set_viewport_size({"width": 390, "height": 844})
    expect(panel.locator("#read")).to_be_hidden()
    panel.get_by_role("button", name="Folders", exact=True).click()
    expect(panel.locator(".mail-folders")).to_be_visible()
    expect(panel.locator(".mail-list")).to_be_hidden()
    panel.get_by_role("button", name="Close folders").click()
    panel.locator(".conversation").first.click()
    expect(panel.get_by_role("heading", name="Files", level=1)).to_be_visible()
    expect(panel.locator(".mail-list")).to_be_hidden()
    assert panel.evaluate("document.documentElement.scrollWidth") == 390
    panel.get_by_role("link", name="Back to the list").click()
    expect(panel.locator(".conversation").first).to_be_focused()
    expect(panel).to_have_url(re.compile(r"/mail/folder/\d+$"))


@pytest.mark.proves("H4")
@pytest.mark.parametrize("width", [1440, 1100, 390])
def test_axe_finds_nothing_in_the_panel(panel: Page, assert_accessible, live_server, width):
    panel.set_viewport_size({"width": width, "height": 844})
    assert_accessible(panel)
    for number in range(3):
        panel.goto(live_server.url + panel.locator(".conversation").nth(number).get_attribute("href"))
        assert_accessible(panel)
        assert panel.evaluate("document.documentElement.scrollWidth") <= width
        if number < 2:
            panel.go_back()
    for query in ("", "?q=files", "?q=nothinglikethis"):
        panel.goto(live_server.url + reverse("mailstore:search") + query)
        assert_accessible(panel)


@pytest.mark.proves("H4")
def test_axe_finds_nothing_before_there_is_mail(page: Page, assert_accessible, live_server, signed_in, make_mailbox):
    page.goto(live_server.url + reverse("mailstore:mail"))
    assert_accessible(page)
    make_mailbox("new@example.org", signed_in)
    page.goto(live_server.url + reverse("mailstore:mail"))
    expect(page.get_by_role("button", name="Download mail now")).to_be_visible()
    assert_accessible(page)


@pytest.mark.proves("F3")
def test_a_panel_closes_when_the_right_to_its_mailbox_ends(
    page: Page, context, live_server, signed_in, mailbox, bob, browser_watch
):
    browser_watch("status of 404")
    asked: list[str] = []

    def end(route) -> None:
        asked.append(route.request.url)
        mailbox.__class__.objects.filter(pk=mailbox.pk).update(owner=bob)
        news = f'data: {{"kind": "mailbox", "pk": {mailbox.pk}}}\n\n' if len(asked) == 1 else ""
        route.fulfill(content_type="text/event-stream", body=f"retry: 600000\n\n{news}")

    context.route("**/events*", end)
    page.goto(live_server.url + reverse("mailstore:mailbox", args=[mailbox.pk]))
    expect(page).to_have_url(live_server.url + reverse("mailstore:mail"))
    assert asked[0].endswith(f"/events?panel={mailbox.pk}")


def test_the_count_in_the_side_bar_follows_its_mailbox(page: Page, context, live_server, signed_in, mailbox, deliver):
    news = f'retry: 600000\n\ndata: {{"kind": "mailbox", "pk": {mailbox.pk}}}\n\n'

    def arrive(route) -> None:
        deliver(mailbox, mail("News"))
        route.fulfill(content_type="text/event-stream", body=news)

    deliver(mailbox, mail("Plan"))
    context.route("**/events*", arrive)
    page.goto(live_server.url + "/profile")
    line = page.get_by_label("Side bar").get_by_role("link", name=mailbox.address)
    expect(line).to_have_accessible_name(f"{mailbox.address} 2 unread")
