"""Messages made to cost time or memory are stored, listed, opened and inspected, each step within two seconds."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Mailbox
from mailstore.models import Listing, Message
from mailstore.packs import read_raw
from mailstore.rendering import clean
from organizations.models import User
from protocols.message.inspection import inspect_message
from tests.mailstore.panel.conftest import Deliver
from tests.protocols.message.bombs import BOMBS

pytestmark = pytest.mark.once  # on one engine: what they cost is ours, not the database's

T = TypeVar("T")

SAMPLE = 6  # of so many, one in the normal run; that parses all of them elsewhere
MOST_SECONDS = 2.0  # of processor time
MOST_MEGABYTES = 200  # beyond three times the message itself: two megabytes of text become a page and a tree


@pytest.mark.proves("T13", "R30")
@pytest.mark.parametrize(
    "bomb",
    [pytest.param(bomb, marks=() if number % SAMPLE == 0 else pytest.mark.slow) for number, bomb in enumerate(BOMBS)],
)
def test_a_bomb_is_stored_listed_and_opened(
    bomb: str, mailbox: Mailbox, deliver: Deliver, alice: User, client_of: Callable[[User], Client]
) -> None:
    raw, client = BOMBS[bomb](), client_of(alice)
    warm_up(client)
    message = measured(raw, lambda: deliver(mailbox, raw))
    assert read_raw(message, verify=True) == raw
    assert Listing.objects.filter(conversation=message.conversation).exists()
    assert "unreadable" not in message.defects
    opened = measured(raw, lambda: client.get(reverse("mailstore:conversation", args=[message.conversation_id])))
    assert opened.status_code == 200
    body = measured(raw, lambda: client.get(reverse("mailstore:message-body", args=[message.pk])))
    assert body.status_code in (200, 404)  # 404: there is no HTML
    found = measured(raw, lambda: inspect_message(raw))
    assert len(found["parts"]) <= 1_000
    assert Message.objects.count() == 1


def warm_up(client: Client) -> None:
    """What the first request of a process loads is no matter of the message in it."""
    client.get(reverse("mailstore:mail"))
    clean("<p>Hello</p>", lambda cid: None)
    inspect_message(b"Subject: Hello\r\n\r\nHello\r\n")


def measured(raw: bytes, work: Callable[[], T]) -> T:
    """Do it and see what it cost. The kernel is told to measure the peak anew."""
    Path("/proc/self/clear_refs").write_text("5")
    before, began = memory("VmRSS"), time.process_time()
    result = work()
    assert time.process_time() - began < MOST_SECONDS
    assert memory("VmHWM") - before < MOST_MEGABYTES + 3 * len(raw) / 1024**2
    return result


def memory(what: str) -> float:
    """Megabytes of this process."""
    [kilobytes] = re.findall(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kilobytes) / 1024
