"""The composer and the log in a real browser."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import BrowserContext, Error, Page, Request, Route, expect

from delivery.models import Attempt, OutboxMessage, SavedDraft
from delivery.states import SentCopy, State
from delivery.tasks import submit_message
from organizations.models import User
from protocols.diagnosis import Cause, Diagnosis, Retry, Who
from tests.accounts.settings.pictures import png
from tests.delivery.moving import put
from tests.servers.browser import message_box

pytestmark = pytest.mark.django_db(transaction=True)

DIAGNOSIS = Diagnosis(
    "recipient-unknown",
    "The recipient's address does not exist.",
    (Cause("There is a typing error in the address, or the mailbox was closed.", "Correct it.", Who.USER, "to"),),
    Retry.STOP,
)


@pytest.fixture
def signed_in(context: BrowserContext, live_server, client_of: Callable, alice: User) -> User:
    cookie = client_of(alice).cookies["sessionid"]
    context.add_cookies([{"name": "sessionid", "value": cookie.value, "url": live_server.url}])
    return alice


@pytest.fixture
def log_of_many_states(make_message, mailbox, alice) -> list[OutboxMessage]:
    """One message in each state, with what belongs to it."""
    now = timezone.now()
    made = []
    for number, state in enumerate(State):
        subject = ["Offer 2026-118 for the new warehouse", "Re: Delivery window", "Zamówienie 5531: potwierdzenie",
                   "Invoice", "お見積りの件", "", "Prices"][number]  # fmt: skip
        message = make_message(
            mailbox,
            alice,
            "maria.lindqvist@customer.example",
            "somebody-with-a-very-long-address-indeed@department.subsidiary.customer.example",
            subject=subject,
            attachment_count=number % 2,
            sent_copy=SentCopy.FAILED if state == State.SENT else SentCopy.NOT_WANTED,
            sent_copy_note="The mail was sent; only the copy failed: the mailbox is full."
            if state == State.SENT
            else "",
        )
        attempt = Attempt.objects.create(
            message=message,
            server="smtp.example.org:465",
            started_at=now - timedelta(minutes=3),
            ended_at=now - timedelta(minutes=3) + timedelta(milliseconds=480),
            phase="sender",
            tls="TLS 1.3",
            code=550,
            text="5.1.1 No such user here",
            explanation=DIAGNOSIS.as_json(),
        )
        put(message.recipients.all(), state, state_at=now - timedelta(minutes=3), claim=attempt.claim)
        first = message.recipients.first()
        if state in (State.FAILED, State.QUEUED):
            message.recipients.filter(pk=first.pk).update(
                note="The recipient's address does not exist.",
                last_reply="550 5.1.1 No such user here",
                not_before=now + timedelta(minutes=14),
            )
        if state == State.BOUNCED:
            message.recipients.filter(pk=first.pk).update(
                note="It came back. The address does not exist. Later mail will come back too.",
                last_reply="550 5.1.1 User unknown",
                bounce="hard",
                bounce_reason="userunknown",
            )
        if state in (State.FAILED, State.BOUNCED):
            put(message.recipients.exclude(pk=first.pk), State.SENT)
        made.append(message)
    return made


@pytest.mark.proves("H4")
def test_axe_finds_nothing_in_the_log_and_in_any_story(
    page: Page, live_server, signed_in, log_of_many_states, assert_accessible
):
    page.goto(f"{live_server.url}/logs/email")
    expect(page.locator(".log-row")).to_have_count(len(State))
    look(page, "log")
    assert_accessible(page)
    for message in log_of_many_states:
        page.goto(f"{live_server.url}/logs/email/{message.pk}")
        look(page, f"story-{message.recipients.first().state}")
        assert_accessible(page)


@pytest.mark.proves("H4")
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(page: Page, live_server, signed_in, log_of_many_states, width):
    page.set_viewport_size({"width": width, "height": 800})
    for path in ("/logs/email", f"/logs/email/{log_of_many_states[3].pk}", "/mail/compose"):
        page.goto(f"{live_server.url}{path}")
        look(page, f"{width}{path.replace('/', '-')}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.proves("H3", "I4")
def test_errors_keep_the_words_and_the_files_and_ctrl_enter_sends(
    page: Page, live_server, signed_in, mailbox, tmp_path, assert_accessible, monkeypatch
):
    monkeypatch.setattr(submit_message, "apply_async", lambda *_, **__: None)
    file = tmp_path / "price list.txt"
    file.write_text("42")
    page.goto(f"{live_server.url}/mail/compose")
    assert_accessible(page)
    page.get_by_label("To", exact=True).fill("bob@")
    page.get_by_label("Subject").fill("Prices")
    message_box(page).fill("Here they are.")
    page.get_by_label("Attachments").set_input_files(file)
    expect(page.get_by_text("price list.txt, 1 KB")).to_be_visible()
    message_box(page).press("Control+Enter")
    expect(page.get_by_text("“bob@” is not an email address")).to_be_visible()
    expect(page.get_by_label("To", exact=True)).to_be_focused()
    expect(message_box(page)).to_have_text("Here they are.")
    expect(page.get_by_text("price list.txt, 1 KB")).to_be_visible()
    look(page, "compose-error")
    assert_accessible(page)
    page.get_by_label("To", exact=True).fill("bob@example.org")
    page.get_by_label("To", exact=True).press("Control+Enter")
    look(page, "queued")
    page.locator("#undo-bar").get_by_role("link", name="See it").click()
    expect(page.get_by_role("heading", name="Prices")).to_be_visible()
    message = OutboxMessage.objects.get()
    assert b"price list.txt" in bytes(message.raw)


@pytest.mark.proves("H3")
def test_files_that_are_too_large_are_refused_before_they_are_uploaded(
    page: Page, live_server, signed_in, mailbox, tmp_path, assert_accessible, monkeypatch
):
    monkeypatch.setattr("delivery.forms.MAX_ATTACHMENTS_SIZE", 1024 * 1024)
    large, small = tmp_path / "video.mov", tmp_path / "note.txt"
    large.write_bytes(b"x" * 2 * 1024 * 1024)
    small.write_text("42")
    uploads: list[str] = []

    def note(asked: Request) -> None:
        if asked.method == "POST" and "/mail/drafts/" not in asked.url:
            uploads.append(asked.url)

    page.on("request", note)
    page.goto(f"{live_server.url}/mail/compose")
    page.get_by_label("To", exact=True).fill("bob@")
    page.get_by_label("Attachments").set_input_files(large)
    refusal = page.get_by_text("The files are 2.0 MB together; 1.0 MB can be sent.")
    expect(refusal).to_have_count(1)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_label("Attachments")).to_be_focused()
    look(page, "compose-too-large")
    assert_accessible(page)
    assert uploads == []
    page.get_by_label("Attachments").set_input_files(small)
    expect(refusal).to_have_count(0)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("“bob@” is not an email address")).to_have_count(1)
    assert len(uploads) == 1


@pytest.mark.proves("H3", "H4")
def test_a_mail_is_written_with_formatting_by_keyboard_and_saves_itself(
    page: Page, live_server, signed_in, mailbox, assert_accessible, monkeypatch
):
    monkeypatch.setattr(submit_message, "apply_async", lambda *_, **__: None)
    strangers: list[str] = []
    page.on("request", lambda asked: None if asked.url.startswith(live_server.url) else strangers.append(asked.url))
    page.goto(f"{live_server.url}/mail/compose")
    box = message_box(page)
    page.get_by_label("To", exact=True).fill("bob@example.org")
    box.click()
    page.keyboard.press("Control+b")
    page.keyboard.type("The offer is attached.")
    page.evaluate(
        """(image) => {
            const transfer = new DataTransfer();
            const octets = Uint8Array.from(atob(image), (letter) => letter.charCodeAt(0));
            transfer.items.add(new File([octets], "chart.png", { type: "image/png" }));
            document.querySelector(".ProseMirror").dispatchEvent(
                new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true }));
        }""",
        b64encode(png(60, 20, b"\xc0\x30\x20")).decode(),
    )
    expect(page.locator(".ProseMirror img:not(.ProseMirror-separator)")).to_have_count(1)
    expect(page.get_by_text("Draft saved")).to_be_visible()
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    expect(box).to_contain_text("The offer is attached.")
    expect(page.locator(".ProseMirror img:not(.ProseMirror-separator)")).to_have_count(1)
    box.press("Control+Enter")
    expect(page.get_by_text("No file is attached.")).to_be_visible()
    assert_accessible(page)
    assert not OutboxMessage.objects.exists()
    page.get_by_role("button", name="Send without").click()
    expect(page).to_have_url(re.compile("/logs/email"))
    sent = message_from_bytes(bytes(OutboxMessage.objects.get().raw), policy=policy.default)
    assert "<strong>The offer is attached.</strong>" in sent.get_body(("html",)).get_content()
    assert [part.get_content_type() for part in sent.walk() if part["Content-ID"]] == ["image/png"]
    assert not SavedDraft.objects.exists()
    assert strangers == []


@pytest.mark.proves("H3")
def test_a_draft_that_is_still_being_saved_does_not_get_in_the_way_of_its_mail(
    page: Page, live_server, signed_in, mailbox, monkeypatch
):
    monkeypatch.setattr(submit_message, "apply_async", lambda *_, **__: None)
    swallowed: list[Route] = []
    page.route(re.compile("/mail/drafts/"), lambda route: swallowed.append(route))
    given_up: list[str] = []
    page.on("requestfailed", lambda asked: given_up.append(asked.url))
    page.goto(f"{live_server.url}/mail/compose")
    page.get_by_label("To", exact=True).fill("bob@example.org")
    with page.expect_request(re.compile("/mail/drafts/")):
        message_box(page).fill("Good morning")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page).to_have_url(re.compile("/logs/email"))
    assert [url for url in given_up if "/mail/drafts/" in url]
    for route in swallowed:
        with suppress(Error):  # its request is gone
            route.abort()


@pytest.mark.proves("H3")
def test_a_mail_that_cannot_be_sent_just_now_goes_on_being_saved(
    page: Page, live_server, signed_in, mailbox, browser_watch
):
    browser_watch("ERR_FAILED", "htmx:sendError")
    page.goto(f"{live_server.url}/mail/compose")
    page.route("**/mail/compose", lambda route: route.abort())
    page.get_by_label("To", exact=True).fill("bob@example.org")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("Draft saved")).to_be_visible()
    assert SavedDraft.objects.get().fields["to"] == "bob@example.org"


@pytest.mark.proves("H3")
def test_a_chosen_file_survives_a_reload_and_leaves_with_the_mail(
    page: Page, live_server, signed_in, mailbox, tmp_path, assert_accessible
):
    file = tmp_path / "price list.txt"
    file.write_text("42")
    page.goto(f"{live_server.url}/mail/compose?next=/logs/email")
    page.get_by_label("To", exact=True).fill("bob@example.org")
    page.get_by_label("Attachments").set_input_files(file)
    expect(page.get_by_text("Draft saved, with its files")).to_be_visible()
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    expect(page.get_by_label("price list.txt")).to_be_checked()
    expect(page.get_by_text("Files have to be chosen again.")).to_be_hidden()
    assert_accessible(page)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page).to_have_url(re.compile("/logs/email"))
    sent = message_from_bytes(bytes(OutboxMessage.objects.get().raw), policy=policy.default)
    assert [part.get_filename() for part in sent.iter_attachments()] == ["price list.txt"]
    assert not SavedDraft.objects.exists()


@pytest.mark.proves("H3")
def test_nothing_typed_is_lost_when_the_session_ends(page: Page, live_server, signed_in, mailbox, client_of, alice):
    page.goto(f"{live_server.url}/mail/compose")
    box = message_box(page)
    page.get_by_label("To", exact=True).fill("bob@example.org")
    box.click()
    page.keyboard.type("Half an hour of work")
    page.context.clear_cookies(name="sessionid")
    expect(page.get_by_text("you are signed out")).to_be_visible()
    assert not SavedDraft.objects.exists()
    page.get_by_role("button", name="Send").click()
    expect(page).to_have_url(re.compile("next="))
    cookie = client_of(alice).cookies["sessionid"]
    page.context.add_cookies([{"name": "sessionid", "value": cookie.value, "url": live_server.url}])
    page.goto(f"{live_server.url}/mail/compose")
    expect(box).to_have_text("Half an hour of work")
    expect(page.get_by_label("To", exact=True)).to_have_value("bob@example.org")
    expect(page.get_by_text("was restored")).to_be_visible()


def test_a_message_can_be_cancelled_from_its_page(page: Page, live_server, signed_in, make_message, mailbox, alice):
    message = make_message(mailbox, alice, "bob@example.org")
    page.goto(f"{live_server.url}/logs/email/{message.pk}")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled. Nothing more is sent.")).to_be_visible()
    assert message.recipients.get().state == State.CANCELLED


def look(page: Page, name: str) -> None:
    """Keep a picture of the page, for people, where LOOK_AT names a folder."""
    if folder := os.environ.get("LOOK_AT"):
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.screenshot(path=Path(folder) / f"{name}-{scheme}.png", full_page=True)
        page.emulate_media(color_scheme=None, reduced_motion="reduce")
