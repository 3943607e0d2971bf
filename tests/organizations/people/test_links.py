"""Whoever asks for a mail chooses the Host header of the request, and with it nothing about the link."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from organizations.models import PasswordRequest

HOSTILE = {"host": "mail.example.com:4444", "x-forwarded-host": "evil.example", "x-forwarded-proto": "https"}


@pytest.fixture
def production(settings) -> None:
    settings.HTTPS, settings.PUBLIC_URL = True, "https://mail.example.com"
    settings.ALLOWED_HOSTS = ["mail.example.com", "localhost"]


@pytest.mark.proves("A5")
def test_the_link_for_a_new_password_leads_to_the_configured_host(production, alice):
    answer = Client().post(reverse("account_reset_password"), {"email": alice.email}, headers=HOSTILE)
    assert answer.status_code == 302
    assert PasswordRequest.objects.get().origin == "https://mail.example.com"


@pytest.mark.proves("A5")
def test_the_link_of_an_invitation_leads_to_the_configured_host(production, as_administrator):
    form = {"name": "Nora", "email": "nora@example.org"}
    page = as_administrator.post(reverse("organizations:invite"), form, headers=HOSTILE).content.decode()
    assert "https://mail.example.com/people/invitations/" in page
    assert "4444" not in page
