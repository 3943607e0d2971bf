"""A new password and the API tokens from before it: they go on, and the page offers to end them (spec A2, L1)."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from organizations.models import ApiToken, AuditEntry, User
from organizations.password_recovery import link_path
from organizations.scopes import Scope
from organizations.tokens import make_token, open_token
from tests.conftest import PASSWORD

CHANGE = "/account/password/change/"
NEW = {"password1": "battery staple nine", "password2": "battery staple nine"}
CHANGED = {"oldpassword": PASSWORD, **NEW}
TICK = 'name="revokes_tokens"'


def issue(user: User, *, days: int = 1) -> str:
    now = timezone.now()
    return make_token(user, "Shop", [Scope.PROFILE_READ], now=now, expires_at=now + timedelta(days=days))[1]


def works(text: str) -> bool:
    return open_token(text, timezone.now()) is not None


@pytest.fixture
def tokens(alice) -> list[str]:
    """Two that work; one is expired, and one is revoked already."""
    working = [issue(alice), issue(alice)]
    issue(alice, days=-1)
    issue(alice)
    ApiToken.objects.filter(pk=ApiToken.objects.latest("pk").pk).update(revoked_at=timezone.now())
    return working


def is_ticked(page: str) -> bool:
    [control] = re.findall(rf"<input[^>]* {TICK}[^>]*>", page)
    return "checked" in control


def recovering(user: User) -> tuple[Client, str]:
    """A browser at the page that the mailed link leads to, and the page's address."""
    client = Client()
    return client, client.get(link_path(user))["Location"]


@pytest.mark.proves("A2")
def test_the_page_says_that_tokens_go_on_and_leaves_them_unless_ticked(client_of, alice, tokens):
    client = client_of(alice)
    page = client.get(CHANGE).content.decode()
    assert "Also revoke my 2 API tokens" in page
    assert "tokens do not depend on the password" in page
    assert not is_ticked(page)
    assert client.post(CHANGE, CHANGED).status_code == 302
    assert all(map(works, tokens))


@pytest.mark.proves("A2", "A8")
def test_ticked_they_end_with_the_old_password(client_of, alice, bob, tokens):
    of_bob = issue(bob)
    client = client_of(alice)
    assert client.post(CHANGE, CHANGED | {"revokes_tokens": "on"})["Location"] == "/profile"
    assert "2 API tokens revoked." in client.get("/profile").content.decode()
    assert not any(map(works, tokens))
    assert works(of_bob)
    assert AuditEntry.objects.filter(action="token.revoked", actor=alice, address="127.0.0.1").count() == 2


def test_a_refused_change_revokes_nothing_and_keeps_the_tick(client_of, alice, tokens):
    page = client_of(alice).post(CHANGE, CHANGED | {"oldpassword": "wrong", "revokes_tokens": "on"}).content.decode()
    assert is_ticked(page)
    assert all(map(works, tokens))


def test_who_has_no_token_is_not_asked(client_of, alice):
    client = client_of(alice)
    assert TICK not in client.get(CHANGE).content.decode()
    assert client.post(CHANGE, CHANGED | {"revokes_tokens": "on"}).status_code == 302


@pytest.mark.proves("A5")
def test_after_a_recovery_they_end_unless_the_tick_is_taken_away(alice, tokens):
    client, url = recovering(alice)
    page = client.get(url).content.decode()
    assert is_ticked(page)
    assert client.post(url, NEW | {"revokes_tokens": "on"}).status_code == 302
    assert not any(map(works, tokens))


@pytest.mark.proves("A5")
def test_after_a_recovery_without_the_tick_they_go_on(alice, tokens):
    client, url = recovering(alice)
    assert client.post(url, NEW).status_code == 302
    assert all(map(works, tokens))


def test_a_link_that_does_not_work_tells_nothing_of_tokens(alice, tokens):
    link = link_path(alice)
    alice.set_password("another one entirely")
    alice.save()
    assert TICK not in Client().get(link, follow=True).content.decode()


@pytest.mark.proves("L1")
def test_all_are_revoked_from_the_page_of_tokens_too(client_of, alice, bob, tokens):
    of_bob = issue(bob)
    client = client_of(alice)
    assert "Revoke all" in client.get("/profile/tokens").content.decode()
    assert client.post("/profile/tokens/revoke-all")["Location"] == "/profile/tokens"
    page = client.get("/profile/tokens").content.decode()
    assert "2 tokens revoked." in page
    assert "Revoke all" not in page
    assert not any(map(works, tokens))
    assert works(of_bob)
