"""Values that no page sends, and two administrators at the same moment."""

from __future__ import annotations

import pytest
from django.db import IntegrityError
from django.urls import reverse

from mailservers.models import MailServer
from tests.mailservers.test_dialogs import VALUES


@pytest.mark.parametrize("key", ["²", "9" * 30, "9" * 5000, "-1", "\0"])
@pytest.mark.parametrize("view", ["service-new", "create", "check-new"])
def test_a_key_of_a_service_that_is_none_is_refused_or_left_out(client_of, administrator, view, key):
    answer = client_of(administrator).post(reverse(f"mailservers:{view}"), {**VALUES, "provider": key})
    assert answer.status_code == (200 if view == "service-new" else 422)
    assert not MailServer.objects.exists()


def test_two_defaults_at_the_same_moment_leave_one(client_of, administrator, make_server, monkeypatch):
    """The unique constraint refuses the second one; it is tried once more, and then the first one gives way."""
    really, quicker = MailServer.save, []

    def save(server: MailServer, *args: object, **kwargs: object) -> None:
        if not quicker:
            quicker.append(server)
            raise IntegrityError("one_default_server_per_organization")
        really(server, *args, **kwargs)

    first = make_server(is_default=True)
    monkeypatch.setattr(MailServer, "save", save)
    answer = client_of(administrator).post(reverse("mailservers:create"), {**VALUES, "is_default": "on"})
    assert answer.status_code == 302
    assert MailServer.objects.get(is_default=True) != first
