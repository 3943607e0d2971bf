"""A login that the server refused is not offered again by the way (spec D4, fault R16)."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox
from mailstore import estimate


@pytest.mark.proves("D4", "R16")
@pytest.mark.parametrize("state", [{"login_refusals": 1}, {"paused_at": timezone.now()}])
def test_looking_at_the_estimate_again_and_again_tries_no_refused_login(mailbox, client_of, alice, monkeypatch, state):
    tried: list[Mailbox] = []
    monkeypatch.setattr(estimate, "imap_session", tried.append)
    Mailbox.objects.update(**state)
    client = client_of(alice)
    for _ in range(3):
        assert client.get(reverse("mailstore:estimate", args=[mailbox.pk])).status_code == 200
    assert tried == []
