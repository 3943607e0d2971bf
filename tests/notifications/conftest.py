"""Things to be told, and the default account that mails them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

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
