"""Things to be told, and the default account that mails them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect

from accounts.models import Mailbox
from notifications.kinds import Kind
from notifications.models import Notification
from notifications.telling import tell
from organizations.models import User
from tests.delivery.conftest import make_message, may_dial, sink  # noqa: F401  fixtures
from tests.delivery.sink import Sink

TellAbout = Callable[..., Notification]


@pytest.fixture
def told() -> TellAbout:
    """`told(user, title, kind=..., minutes=3)`: what the user was told so many minutes ago."""
    numbers = itertools.count(1)

    def make(
        user: User, title: str = "It needs attention", kind: Kind = Kind.MAILBOX_DISCONNECTED, *, minutes: float = 3
    ) -> Notification:
        key = f"test-{next(numbers)}"
        at = timezone.now() - timedelta(minutes=minutes)
        tell([user], kind, title=title, text="Because.", url="/profile", key=key, now=at)
        return Notification.objects.get(user=user, key=key)

    return make


@pytest.fixture
def default_account(make_mailbox: Callable[..., Mailbox], sink: Sink) -> Mailbox:  # noqa: F811
    """The organization's office@, which sends through the sink."""
    return make_mailbox(
        "office@example.org",
        is_default=True,
        smtp_host="127.0.0.1",
        smtp_port=sink.port,
        smtp_security="none",
        imap_host="",
    )


@pytest.fixture
def wait_for_bell() -> Callable[[Page, str], Locator]:
    """`wait_for_bell(page, "Notifications, 3 unread")`: the bell that is seen, once it says so; there is one."""

    def wait(page: Page, words: str) -> Locator:
        bell = page.get_by_role("link", name=words, exact=True)
        expect(bell).to_have_count(1)
        expect(bell).to_be_visible()
        return bell

    return wait
