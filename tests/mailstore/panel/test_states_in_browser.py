"""Every state that a receiving mailbox shows: axe in light and dark, at a desk and on a phone (spec E11, H4)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import Mailbox
from mailstore.models import ComparedFolder, ComparedMessage, Comparison, Folder, SyncSchedule
from tests.mailstore.panel.test_in_browser import panel, signed_in

__all__ = ["panel", "signed_in"]

pytestmark = pytest.mark.django_db(transaction=True)

WRONG = {"title": "The password is wrong.", "causes": [{"cause": "It was changed.", "cure": "Type the new one."}]}


def syncing(mailbox: Mailbox) -> None:
    now = timezone.now()
    running = {"leased_until": now + timedelta(minutes=5), "started_at": now - timedelta(seconds=9), "holder": "worker"}
    SyncSchedule.objects.update(**running, folder_name="Archive/2024", done=8_412, total=20_113)


def silent(mailbox: Mailbox) -> None:
    due_at = timezone.now() + timedelta(minutes=7)
    SyncSchedule.objects.update(waiting_for="The server does not answer.", failures=3, due_at=due_at)


def refused(mailbox: Mailbox) -> None:
    silent(mailbox)
    Mailbox.objects.update(login_refusals=1)


def broken(mailbox: Mailbox) -> None:
    Mailbox.objects.update(attention=WRONG, attention_since=timezone.now(), paused_at=timezone.now())


def paused(mailbox: Mailbox) -> None:
    Mailbox.objects.update(paused_at=timezone.now())


@pytest.mark.proves("E11", "H4")
@pytest.mark.parametrize(
    "state",
    [
        syncing,
        refused,
        broken,
        pytest.param(silent, marks=pytest.mark.slow),  # drawn as `refused`, without its button
        pytest.param(paused, marks=pytest.mark.slow),
    ],
)
def test_the_panel_and_the_card_are_accessible_in_every_state(
    panel: Page, live_server, mailbox: Mailbox, assert_accessible: Callable[[Page], None], state
):
    state(mailbox)
    panel.reload()
    panel.locator(".listed").nth(1).hover()
    assert_accessible(panel)
    panel.set_viewport_size({"width": 390, "height": 844})
    panel.goto(live_server.url + reverse("email-settings"))
    expect(panel.locator(".card h3", has_text=mailbox.display_name)).to_be_visible()
    assert_accessible(panel)
    assert panel.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.proves("G6", "H4")
@pytest.mark.parametrize("width", [1280, 390])
def test_the_account_of_a_mailbox_and_its_log_are_accessible(
    panel: Page, live_server, mailbox: Mailbox, assert_accessible: Callable[[Page], None], width
):
    syncing(mailbox)
    inbox = Folder.objects.get(name="INBOX")
    Folder.objects.create(mailbox=mailbox, name="Spam", raw_name=b"Spam", special_use="junk", is_followed=False)
    comparison = Comparison.objects.create(mailbox=mailbox, compared_at=timezone.now())
    counts = {"on_server": 9, "stored": 4, "skipped": {"period": 3, "refused": 2}}
    compared = ComparedFolder.objects.create(comparison=comparison, folder=inbox, looked_at=timezone.now(), **counts)
    ComparedMessage.objects.create(compared=compared, uid=7, reason="refused", subject="A message " * 12)
    panel.set_viewport_size({"width": width, "height": 800})
    for name in ("mailstore:reconciliation", "accounts:settings-log", "accounts:settings-folders"):
        panel.goto(live_server.url + reverse(name, args=[mailbox.pk]))
        expect(panel.get_by_role("heading", level=1)).to_be_visible()
        assert_accessible(panel)
        assert panel.evaluate("document.documentElement.scrollWidth") <= width
