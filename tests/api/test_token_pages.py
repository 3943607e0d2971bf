"""The page of one's own tokens, and the command that makes one (spec L1)."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from organizations.models import ApiToken
from organizations.scopes import Scope
from organizations.tokens import LOOKS_LIKE_ONE, make_token
from tests.api.conftest import Api, assert_problem

pytestmark = pytest.mark.proves("L1")

URL = "/profile/tokens"
WANTED = {"name": "Shop", "scopes": ["mailboxes:read", "messages:read"], "days": "30"}


def made(page) -> str:
    """The token that the page shows."""
    [text] = set(re.findall(LOOKS_LIKE_ONE, page.content.decode()))
    return text


def test_a_token_is_shown_once_and_works(client_of, alice, mailbox):
    client = client_of(alice)
    page = client.post(URL, WANTED)
    assert page.status_code == 200
    assert "no-store" in page["Cache-Control"]
    assert Api(made(page)).get("/mailboxes").data["items"][0]["id"] == mailbox.pk
    assert made(page) not in client.get(URL).content.decode()
    token = ApiToken.objects.get()
    assert token.scopes == ["mailboxes:read", "messages:read"]
    assert timedelta(days=29) < token.expires_at - timezone.now() <= timedelta(days=30)


def test_it_is_bound_to_the_ticked_mailboxes(client_of, alice, mailbox, shared_mailbox):
    page = client_of(alice).post(URL, {**WANTED, "only_mailboxes": "on", "mailboxes": [shared_mailbox.pk]})
    assert [one["id"] for one in Api(made(page)).get("/mailboxes").data["items"]] == [shared_mailbox.pk]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": ""}, "what the token is for"),
        ({"name": "x" * 101}, "100 characters"),
        ({"scopes": []}, "Tick at least one thing"),
        ({"scopes": ["everything"]}, "Tick only what is offered"),
        ({"scopes": ["mail_servers:write"]}, "Tick only what is offered"),
        ({"days": "1000000"}, "one of the periods"),
        ({"only_mailboxes": "on"}, "Choose at least one mailbox"),
        ({"only_mailboxes": "on", "mailboxes": ["999"]}, "not yours any more"),
        ({"only_mailboxes": "on", "mailboxes": ["x"]}, "not yours any more"),
        ({"only_mailboxes": "on", "mailboxes": ["x\0"]}, "not yours any more"),
        ({"only_mailboxes": "on", "scopes": ["tokens:write"]}, "concerns more"),
    ],
)
def test_what_makes_no_token_is_said(client_of, alice, mailbox, change, words):
    page = client_of(alice).post(URL, {**WANTED, **change})
    assert page.status_code == 422
    assert words in page.content.decode()
    assert not ApiToken.objects.exists()


def test_it_is_revoked_by_its_owner_alone(client_of, alice, bob, mailbox):
    token, text = make_token(alice, "Shop", [Scope.MAILBOXES_READ], now=timezone.now(), expires_at=None)
    assert client_of(bob).post(f"{URL}/{token.pk}/revoke").status_code == 404
    assert Api(text).get("/mailboxes").status_code == 200
    assert client_of(alice).post(f"{URL}/{token.pk}/revoke").status_code == 302
    assert_problem(Api(text).get("/mailboxes"), 401, "token-refused")


def test_the_api_lists_and_revokes_ones_own(api_of, alice, bob):
    api, other = api_of(alice), api_of(bob)
    [mine] = api.get("/tokens").data["items"]
    assert mine["prefix"] == api.token[:8]
    assert api.token not in str(mine)
    assert_problem(other.delete(f"/tokens/{mine['id']}"), 404, "not-found")
    assert api.delete(f"/tokens/{mine['id']}").status_code == 204
    assert_problem(api.get("/tokens"), 401, "token-refused")


def test_the_api_revokes_all_of_ones_own_at_once(api_of, alice, bob):
    api, second, other = api_of(alice), api_of(alice), api_of(bob)
    assert_problem(api_of(alice, Scope.TOKENS_READ).delete("/tokens"), 403, "scope-missing")
    assert api.delete("/tokens").data == {"revoked": 3}
    assert_problem(api.get("/tokens"), 401, "token-refused")
    assert_problem(second.get("/tokens"), 401, "token-refused")
    assert other.get("/tokens").status_code == 200


class TestTheCommand:
    def test_it_prints_the_token_alone(self, alice, mailbox, capsys):
        call_command("create_token", "Alice@example.org", "--scopes", "mailboxes:read", "--days", "7")
        out, err = capsys.readouterr()
        assert LOOKS_LIKE_ONE.fullmatch(out.strip())
        assert "mailboxes:read" in err
        assert Api(out.strip()).get("/mailboxes").status_code == 200

    def test_it_binds_to_mailboxes(self, alice, mailbox, shared_mailbox, capsys):
        call_command("create_token", "alice@example.org", "--mailbox", "sales@example.org")
        api = Api(capsys.readouterr().out.strip())
        assert [one["id"] for one in api.get("/mailboxes").data["items"]] == [shared_mailbox.pk]

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["nobody@example.org"], "No active person"),
            (["alice@example.org", "--days", "-1"], "--days"),
            (["alice@example.org", "--days", "99999999"], "--days"),
            (["alice@example.org", "--mailbox", "nothing@example.org"], "knows no mailbox"),
            (["alice@example.org", "--scopes", "everything"], "invalid choice"),
            (["alice@example.org", "--mailbox", "alice@example.org", "--scopes", "tokens:read"], "concerns more"),
        ],
    )
    def test_what_cannot_be_is_said(self, alice, mailbox, arguments, words):
        with pytest.raises(CommandError, match=words):
            call_command("create_token", *arguments)
        assert not ApiToken.objects.exists()
