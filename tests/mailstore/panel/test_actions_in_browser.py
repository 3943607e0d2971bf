"""Doing things with mail in a real browser: keys, buttons, selection, undo; at phone width and for axe (H1, H4)."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from mailstore import marking
from mailstore.models import Folder, Message
from tests.mailstore.panel.test_in_browser import focused, panel, signed_in

__all__ = ["panel", "signed_in"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def places(mailbox, monkeypatch):
    """Folders to move to; no worker takes the changes up."""
    monkeypatch.setattr(marking, "nudge", lambda task, pk: None)
    for name, use in (("Archive", "archive"), ("Spam", "junk"), ("Trash", "trash"), ("Projects/2026", "")):
        Folder.objects.create(mailbox=mailbox, name=name, raw_name=name.encode(), special_use=use, delimiter="/")


def rows(page: Page):
    return page.locator(".conversation")


def stop_the_clock(page: Page) -> None:
    """From now on the page's time passes by `page.clock.run_for(milliseconds)` alone."""
    page.clock.install()
    page.reload()
    page.clock.pause_at(timezone.now() + timedelta(minutes=1))


@pytest.mark.proves("G5", "H1", "H4")
def test_keys_archive_star_and_undo(panel: Page):
    panel.keyboard.press("j")
    panel.keyboard.press("s")
    expect(panel.get_by_text("Starred.")).to_be_visible()
    assert Message.objects.get(subject="Files").is_flagged
    panel.keyboard.press("e")
    expect(rows(panel)).to_have_count(2)
    expect(panel.get_by_text("Archived.")).to_be_visible()
    assert focused(panel) != "Files"
    with panel.expect_response(lambda answer: "/undo/" in answer.url):
        panel.keyboard.press("z")
    expect(panel.get_by_text("Undone.")).to_be_visible()
    panel.reload()
    expect(rows(panel)).to_have_count(3)


@pytest.mark.proves("G5")
def test_what_is_opened_is_read_a_moment_after_it_showed(panel: Page):
    stop_the_clock(panel)
    row = rows(panel).last
    expect(row).to_have_class(re.compile("unread"))
    row.click()
    expect(panel.get_by_role("heading", name="Plan", level=1)).to_be_visible()
    assert not Message.objects.get(subject="Re: Plan").is_seen
    with panel.expect_response(lambda answer: answer.url.endswith("/change")):
        panel.clock.run_for(1200)
    assert Message.objects.get(subject="Re: Plan").is_seen
    expect(row).not_to_have_class(re.compile("unread"))
    with panel.expect_response(lambda answer: answer.url.endswith("/change")):
        panel.keyboard.press("u")
    expect(panel.get_by_text("Nothing opened")).to_be_visible()
    expect(row).to_have_class(re.compile("unread"))
    panel.clock.run_for(2400)
    panel.wait_for_load_state("networkidle")
    assert not Message.objects.get(subject="Re: Plan").is_seen


def test_what_is_left_at_once_stays_unread(panel: Page):
    stop_the_clock(panel)
    rows(panel).last.click()
    expect(panel.get_by_role("heading", name="Plan", level=1)).to_be_visible()
    panel.clock.run_for(800)
    panel.locator(".mail-folders a[aria-current]").click()
    expect(panel.get_by_text("Nothing opened")).to_be_visible()
    panel.clock.run_for(1200)
    assert not Message.objects.get(subject="Re: Plan").is_seen


def test_several_are_selected_and_moved_to_a_folder_that_is_searched_for(panel: Page, assert_accessible):
    boxes = panel.locator(".pick input")
    boxes.nth(0).click()
    boxes.nth(2).click(modifiers=["Shift"])
    expect(panel.locator("#selection")).to_contain_text("3 selected")
    assert_accessible(panel)
    panel.keyboard.press("v")
    expect(panel.get_by_role("heading", name="Move to")).to_be_visible()
    assert_accessible(panel)
    panel.keyboard.type("2026")
    panel.keyboard.press("Enter")
    expect(panel.get_by_text("moved to Projects/2026.")).to_be_visible()
    expect(panel.locator("#dialog")).not_to_be_visible()
    expect(rows(panel)).to_have_count(0)
    expect(panel.locator("#selection")).to_be_hidden()
    assert Message.objects.filter(folder__name="Projects/2026").count() == 4


def test_escape_lets_go_of_a_selection(panel: Page):
    panel.keyboard.press("j")
    panel.keyboard.press("x")
    expect(panel.locator("#selection")).to_be_visible()
    panel.keyboard.press("Escape")
    expect(panel.locator("#selection")).to_be_hidden()
    expect(panel.locator(".pick input:checked")).to_have_count(0)


def test_buttons_in_a_row_show_on_hover_and_move_nothing(panel: Page):
    row = panel.locator(".listed").first
    before = row.bounding_box()
    row.hover()
    expect(row.get_by_label("Delete (#)")).to_be_visible()
    assert row.bounding_box() == before
    row.get_by_label("Delete (#)").click()
    expect(panel.get_by_text("Moved to trash.")).to_be_visible()
    expect(rows(panel)).to_have_count(2)


def test_the_trash_asks_before_it_deletes_for_good(panel: Page, live_server):
    trash = Folder.objects.get(name="Trash")
    panel.keyboard.press("j")
    panel.keyboard.press("#")
    expect(panel.get_by_text("Moved to trash.")).to_be_visible()
    panel.goto(f"{live_server.url}/mail/folder/{trash.pk}")
    panel.keyboard.press("j")
    panel.keyboard.press("#")
    expect(panel.get_by_text("This cannot be undone.")).to_be_visible()
    panel.get_by_role("button", name="Delete", exact=True).click()
    expect(panel.get_by_text("Deleted for good.")).to_be_visible()
    expect(rows(panel)).to_have_count(0)
    assert not Message.objects.live().filter(subject="Files").exists()


@pytest.mark.proves("H1", "H4")
def test_on_a_phone_a_conversation_is_archived_and_the_list_is_back(panel: Page, assert_accessible):
    panel.set_viewport_size({"width": 390, "height": 844})
    panel.locator(".pick input").first.click()
    expect(panel.locator("#selection")).to_be_visible()
    assert panel.evaluate("document.documentElement.scrollWidth") == 390
    assert_accessible(panel)
    panel.get_by_label("Select none (Esc)").click()
    rows(panel).first.click()
    expect(panel.get_by_role("heading", name="Files", level=1)).to_be_visible()
    assert panel.evaluate("document.documentElement.scrollWidth") == 390
    assert_accessible(panel)
    panel.locator("#read").get_by_label("Archive (e)").click()
    expect(rows(panel)).to_have_count(2)
    expect(rows(panel).first).to_be_visible()
