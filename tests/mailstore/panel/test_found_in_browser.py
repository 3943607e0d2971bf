"""Doing things with messages that a search found, where they stand in its list (spec G5, H1)."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse
from playwright.sync_api import Locator, Page, expect

from accounts.models import MailboxGrant
from mailstore import marking
from mailstore.models import Folder, Message
from tests.mailstore.panel.conftest import mail
from tests.mailstore.panel.test_in_browser import signed_in

__all__ = ["signed_in"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def found(page: Page, live_server, signed_in, mailbox, shared_mailbox, deliver, monkeypatch) -> Page:
    """Three reports: two of one conversation in alice's own mailbox, one in a mailbox that she only reads."""
    monkeypatch.setattr(marking, "nudge", lambda task, pk: None)
    MailboxGrant.objects.filter(mailbox=shared_mailbox).update(may_send=False, may_setup=False)
    deliver(shared_mailbox, mail("Shared report"))
    deliver(mailbox, mail("Report", "one", Message_ID="<1@x>"), folder="Archive")
    deliver(mailbox, mail("Re: Report", "two", Message_ID="<2@x>", References="<1@x>"))
    Folder.objects.filter(name="Archive").update(special_use="archive")
    Folder.objects.create(mailbox=mailbox, name="Trash", raw_name=b"Trash", special_use="trash", is_followed=False)
    page.goto(f"{live_server.url}{reverse('mailstore:search')}?q=report")
    expect(page.locator(".listed")).to_have_count(3)
    return page


def row(page: Page, subject: str) -> Locator:
    return page.locator(".listed").filter(has=page.locator(".subject").get_by_text(subject, exact=True))


@pytest.mark.proves("G5", "H1", "H4")
def test_one_found_message_is_marked_starred_and_moved_not_its_conversation(found: Page, assert_accessible):
    reply = row(found, "Re: Report")
    reply.hover()
    assert_accessible(found)
    reply.get_by_label("Mark as read (u)").click()
    expect(reply.locator(".conversation")).not_to_have_class(re.compile("unread"))
    reply.get_by_label("Star", exact=True).click()
    expect(reply.get_by_label("Star", exact=True)).to_have_attribute("aria-pressed", "true")
    reply.get_by_label("Archive (e)").click()
    expect(reply.locator(".place")).to_have_text("Archive of alice@example.org")
    expect(found.locator(".listed")).to_have_count(3)
    reply.get_by_label("Delete (#)").click()
    expect(found.locator(".listed")).to_have_count(2)
    changed, untouched = Message.objects.get(subject="Re: Report"), Message.objects.get(subject="Report")
    assert (changed.is_seen, changed.is_flagged, changed.folder.name) == (True, True, "Trash")
    assert (untouched.is_seen, untouched.is_flagged, untouched.folder.name) == (False, False, "Archive")


def test_undoing_puts_a_found_message_back_where_it_stood(found: Page):
    subjects = found.locator(".subject").all_inner_texts()
    row(found, "Re: Report").hover()
    row(found, "Re: Report").get_by_label("Delete (#)").click()
    expect(found.locator(".listed")).to_have_count(2)
    with found.expect_response(lambda answer: "/undo/" in answer.url):
        found.keyboard.press("z")
    expect(found.locator(".listed")).to_have_count(3)
    assert found.locator(".subject").all_inner_texts() == subjects
    assert Message.objects.get(subject="Re: Report").vanished_at is None
    row(found, "Re: Report").locator(".conversation").click()
    expect(found.get_by_role("heading", name="Report", level=1)).to_be_visible()


def test_keys_work_on_the_row_with_the_focus(found: Page):
    row(found, "Re: Report").locator(".conversation").focus()
    found.keyboard.press("u")
    expect(row(found, "Re: Report").locator(".conversation")).not_to_have_class(re.compile("unread"))
    found.keyboard.press("u")
    expect(row(found, "Re: Report").locator(".conversation")).to_have_class(re.compile("unread"))
    found.keyboard.press("#")
    expect(found.locator(".listed")).to_have_count(2)
    assert found.evaluate("document.activeElement.className").startswith("conversation")


def test_what_may_only_be_read_has_no_buttons(found: Page):
    theirs = row(found, "Shared report")
    theirs.hover()
    expect(theirs.locator(".deeds")).to_have_count(0)
    theirs.locator(".conversation").focus()
    found.keyboard.press("e")
    expect(found.locator(".listed")).to_have_count(3)
    assert Message.objects.get(subject="Shared report").folder.name == "INBOX"


def test_what_is_opened_from_a_search_is_read_and_leaves_its_list(found: Page):
    reply = row(found, "Re: Report")
    with found.expect_response(lambda answer: answer.url.endswith("/change")):
        reply.locator(".conversation").click()
    expect(reply.locator(".conversation")).not_to_have_class(re.compile("unread"))
    found.locator("#read").get_by_label("Delete (#)").click()
    expect(found.get_by_text("Nothing opened")).to_be_visible()
    expect(found.locator(".listed")).to_have_count(2)
    assert Message.objects.get(subject="Report").folder.name == "Archive"
