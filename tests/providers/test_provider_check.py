"""Test with an address: what the wizard would do, and both servers tried without a login (spec C2, J2)."""

from __future__ import annotations

import pytest
from django.urls import reverse

from providers import entries
from providers.models import ProviderDomain
from tests.accounts.conftest import reach_loopback, running_sandbox, sandbox  # noqa: F401  fixtures
from tests.accounts.forms import answer_of
from tests.mailservers.conftest import rules  # noqa: F401  a fixture
from tests.providers.conftest import HTMX


def ask(browser, provider, address: str):
    return answer_of(
        browser.post(reverse("mailservers:provider-check", args=[provider.pk]), {"address": address}, headers=HTMX)
    )


@pytest.fixture
def sandbox_provider(sandbox):  # noqa: F811
    return ProviderDomain.objects.get(domain="sandbox.test").provider


@pytest.mark.proves("C2")
def test_both_servers_are_tried_and_nobody_is_logged_in(ada, sandbox_provider):
    answer = ask(ada, sandbox_provider, "nobody@sandbox.test")
    assert answer.verdicts == [True, True]
    assert "It recognises Sandbox. By the domain sandbox.test, built in." in answer.words
    assert "User name nobody@sandbox.test" in answer.words
    for step in ("Connection", "Greeting", "Abilities"):
        assert answer.words.count(step) >= 2
    assert "Sign-in" not in answer.words


@pytest.mark.proves("J2")
def test_a_host_inside_is_not_dialled(ada, make_own, rules):  # noqa: F811
    own = make_own("Inside", imap_host="127.0.0.1", smtp_host="169.254.169.254")
    answer = ask(ada, own, "anna@northwind.example")
    assert answer.verdicts == [False, False]
    assert "Greeting" not in answer.words


def test_it_says_whom_the_wizard_would_choose_instead(ada, google, make_own, monkeypatch):
    monkeypatch.setattr("mailservers.provider_check.parts_of", lambda *_: {})
    own = make_own("Northwind", imap_login="local_part", smtp_login="typed")
    elsewhere = ask(ada, own, "anna@gmail.com").words
    assert "It recognises another provider: Google (Gmail)." in elsewhere
    assert "User name anna" in elsewhere
    assert "Asks for the user name" in elsewhere
    assert "It does not know this domain." in ask(ada, own, "anna@northwind.example").words


def test_it_says_that_a_provider_is_hidden(ada, google, administrator, monkeypatch):
    monkeypatch.setattr("mailservers.provider_check.parts_of", lambda *_: {})
    entries.hide(google, administrator)
    assert "It says that Google (Gmail) is not offered here." in ask(ada, google, "anna@gmail.com").words


@pytest.mark.parametrize(
    "address", ["", "anna", "anna@", "a b@gmail.com", "x" * 400, "a\x00@gmail.com", "a\r\n@gmail.com"]
)
def test_what_is_no_address_is_said(ada, google, address: str):
    answer = ask(ada, google, address)
    assert answer.status == 422
    assert 'aria-invalid="true"' in answer.text


def test_an_overridden_entry_is_tested_as_the_own_one(ada, google, override):
    own = override(google)
    assert ada.get(reverse("mailservers:provider-check", args=[google.pk])).status_code == 404
    assert ada.get(reverse("mailservers:provider-check", args=[own.pk])).status_code == 200
