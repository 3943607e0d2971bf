"""Undo after Send and Send later in a real browser: over pages and reloads, by keyboard, and then over."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from delivery.models import OutboxMessage
from delivery.states import State
from delivery.tasks import submit_message
from organizations.models import User
from tests.delivery.test_in_browser import look, signed_in

__all__ = ["signed_in"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.proves("I5")]


@pytest.fixture(autouse=True)
def nobody_sends(monkeypatch) -> None:
    monkeypatch.setattr(submit_message, "apply_async", lambda *_, **__: None)


@pytest.fixture
def write(page: Page, live_server, mailbox):
    """`write(seconds)`: a mail with a file, typed into the composer, that can be taken back for so long."""

    def begin(tmp_path, seconds: int = 30) -> None:
        User.objects.update(undo_seconds=seconds)
        file = tmp_path / "price list.txt"
        file.write_text("42")
        page.goto(f"{live_server.url}/mail/compose?next=/logs/email")
        page.get_by_label("To", exact=True).fill("bob@example.org")
        page.get_by_label("Subject").fill("Prices")
        page.get_by_label("Attachments").set_input_files(file)

    return begin


def test_undo_survives_pages_and_reloads_and_opens_the_mail_by_keyboard(
    page: Page, live_server, signed_in, write, tmp_path, assert_accessible
):
    write(tmp_path, seconds=300)  # axe takes its time on a busy machine
    page.get_by_role("button", name="Send", exact=True).click()
    bar = page.locator("#undo-bar")
    expect(bar).to_contain_text("Prices")
    page.goto(f"{live_server.url}/communications/settings/email")
    page.reload()
    first = int(bar.locator("[data-seconds]").inner_text())
    expect(bar.locator("[data-seconds]")).not_to_have_text(str(first))
    assert int(bar.locator("[data-seconds]").inner_text()) < first <= 300
    look(page, "undo-bar")
    assert_accessible(page)
    page.keyboard.press("Control+z")
    expect(page.get_by_label("Subject")).to_have_value("Prices")
    expect(page.get_by_label("price list.txt")).to_be_checked()
    look(page, "undo-reopened")
    assert_accessible(page)
    assert OutboxMessage.objects.get().recipients.get().state == State.CANCELLED


def test_when_the_time_is_over_nothing_can_be_taken_back_and_the_news_come_by_themselves(
    page: Page, live_server, signed_in, write, tmp_path
):
    write(tmp_path)
    page.get_by_role("button", name="Send", exact=True).click()
    bar = page.locator("#undo-bar")
    expect(bar.get_by_role("button", name="Undo")).to_be_visible()
    page.wait_for_load_state()  # from now on it counts
    page.clock.install()
    page.clock.fast_forward(31_000)
    expect(bar.get_by_text("is on its way.")).to_be_visible()
    expect(bar.get_by_role("button", name="Undo")).to_have_count(0)


def test_send_later_offers_moments_and_ones_own_and_enter_sends_nothing_early(
    page: Page, live_server, signed_in, write, tmp_path, assert_accessible
):
    write(tmp_path)
    page.locator(".send-later > summary").click()
    expect(page.get_by_role("button", name="Tomorrow morning")).to_be_visible()
    look(page, "send-later")
    page.get_by_label("Date and time").fill("2020-01-01T08:00")
    page.get_by_label("Date and time").press("Enter")
    expect(page.get_by_text("That moment has passed.")).to_be_visible()
    look(page, "send-later-error")
    assert not OutboxMessage.objects.exists()
    page.get_by_label("Date and time").fill("")
    page.get_by_role("button", name="Tomorrow morning").click()
    expect(page.get_by_text("It leaves on")).to_be_visible()
    page.get_by_role("link", name="Scheduled mail").last.click()
    expect(page.locator(".scheduled-row")).to_contain_text("Prices")
    look(page, "scheduled")
    assert_accessible(page)
    page.get_by_role("button", name="Change time").click()
    expect(page.get_by_role("dialog")).to_contain_text("Send it at another time")
    look(page, "reschedule")
    assert_accessible(page)
