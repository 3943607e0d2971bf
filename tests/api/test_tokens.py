"""Tokens: what opens the API, and what ends that (spec L1)."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Mailbox
from organizations import calls
from organizations.models import ApiToken, AuditEntry
from organizations.scopes import Scope
from organizations.tokens import LOOKS_LIKE_ONE, make_token, revoke
from tests.api.conftest import Api, assert_problem

pytestmark = pytest.mark.proves("L1")


def test_a_token_is_stored_as_its_hash_alone(alice):
    token, text = make_token(alice, "Shop", [Scope.MESSAGES_READ], now=timezone.now(), expires_at=None)
    stored = ApiToken.objects.values().get(pk=token.pk)
    assert LOOKS_LIKE_ONE.fullmatch(text)
    assert stored["token_hash"] == hashlib.sha256(text.encode()).hexdigest()
    assert text not in str(stored)
    assert stored["prefix"] == text[:8]


def test_making_one_is_recorded_without_the_token(alice):
    _, text = make_token(alice, "Shop", [Scope.MESSAGES_READ], now=timezone.now(), expires_at=None)
    entry = AuditEntry.objects.get(action="token.created")
    assert entry.actor == alice
    assert text not in str(entry.detail)
    assert entry.detail["scopes"] == ["messages:read"]


def test_without_a_token_nothing_is_answered(nobody, alice):
    answer = nobody.get("/mailboxes")
    assert_problem(answer, 401, "token-missing")
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_a_session_opens_nothing(client_of, alice):
    assert client_of(alice).get("/api/v1/mailboxes").status_code == 401


@pytest.mark.parametrize(
    "text", ["x", "ems_", "ems_" + "a" * 43, "ems_" + "é" * 43, "Bearer", "ems_" + "a" * 5000, " "]
)
def test_other_texts_are_refused(alice, text):
    answer = Client().get("/api/v1/mailboxes", headers={"Authorization": f"Bearer {text}".encode().decode("latin-1")})
    assert_problem(_read(answer), 401, "token-refused")


@pytest.mark.parametrize("end", ["expired", "revoked", "deactivated", "deleted"])
def test_it_ends_at_once(api_of, alice, end):
    api = api_of(alice)
    assert api.get("/mailboxes").status_code == 200
    token = ApiToken.objects.get()
    if end == "expired":
        ApiToken.objects.update(expires_at=timezone.now())
    elif end == "revoked":
        assert revoke(token, alice, timezone.now())
    elif end == "deactivated":
        type(alice).objects.update(is_active=False)
    else:
        token.delete()
    answer = api.get("/mailboxes")
    assert_problem(answer, 401, "token-refused")
    assert "invalid_token" in answer["WWW-Authenticate"]


def test_its_use_is_noted_at_most_once_a_minute(api_of, alice, assert_queries):
    api = api_of(alice)
    api.get("/mailboxes")
    first = ApiToken.objects.get().last_used_at
    assert first is not None
    api.get("/mailboxes")
    assert ApiToken.objects.get().last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(minutes=1))
    api.get("/mailboxes")
    assert ApiToken.objects.get().last_used_at > first


def test_guessing_is_slowed_down_and_a_token_that_works_is_not(api_of, alice):
    guess, good = Api("ems_" + "a" * 43), api_of(alice)
    for _ in range(calls.REFUSED_TOKENS):
        assert guess.get("/mailboxes").status_code == 401
    answer = guess.get("/mailboxes")
    assert_problem(answer, 429, "too-many-refusals")
    assert int(answer["Retry-After"]) > 0
    assert good.get("/mailboxes").status_code == 200


def test_a_missing_scope_is_named(api_of, alice):
    answer = api_of(alice, Scope.MESSAGES_READ).get("/mailboxes")
    assert_problem(answer, 403, "scope-missing")
    assert answer.data["scope"] == "mailboxes:read"
    assert 'scope="mailboxes:read"' in answer["WWW-Authenticate"]


def test_reading_does_not_write(api_of, administrator, mailbox):
    api = api_of(administrator, *(scope for scope in Scope if scope.value.endswith(":read")))
    assert_problem(api.patch("/mail-servers/1", {"name": "X"}), 403, "scope-missing")
    assert_problem(api.delete(f"/mailboxes/{mailbox.pk}"), 403, "scope-missing")
    assert Mailbox.objects.filter(pk=mailbox.pk, display_name=mailbox.display_name).exists()


def test_a_scope_gives_nothing_that_the_person_has_not(api_of, charlie, mailbox, shared_mailbox):
    api = api_of(charlie)
    assert_problem(api.get("/mail-servers"), 403, "operation-missing")
    assert api.get("/mailboxes").data["items"] == []
    assert_problem(api.get(f"/mailboxes/{mailbox.pk}"), 404, "not-found")


class TestBoundToMailboxes:
    """A token for certain mailboxes sees these everywhere, and no others anywhere."""

    @pytest.fixture
    def api(self, api_of, alice, mailbox, shared_mailbox) -> Api:
        return api_of(alice, mailboxes=[shared_mailbox])

    def test_lists_hold_only_these(self, api, mailbox, shared_mailbox):
        assert [one["id"] for one in api.get("/mailboxes").data["items"]] == [shared_mailbox.pk]
        assert_problem(api.get(f"/mailboxes/{mailbox.pk}"), 404, "not-found")

    def test_messages_come_only_from_these(self, api, deliver, mailbox, shared_mailbox):
        from tests.mailstore.panel.conftest import mail

        own = deliver(mailbox, mail("Private"))
        shared = deliver(shared_mailbox, mail("Common"))
        assert [one["subject"] for one in api.get("/messages").data["items"]] == ["Common"]
        assert [one["subject"] for one in api.get("/messages?q=common").data["items"]] == ["Common"]
        assert api.get("/messages?q=private").data["items"] == []
        assert api.get(f"/messages/{shared.pk}").status_code == 200
        for path in ("", "/raw", "/attachments/1"):
            assert_problem(api.get(f"/messages/{own.pk}{path}"), 404, "not-found")

    def test_the_outbox_holds_only_these(self, api, make_message, alice, mailbox, shared_mailbox):
        own, shared = make_message(mailbox, alice), make_message(shared_mailbox, alice)
        for path in ("/outbox", "/email-log"):
            assert [one["id"] for one in api.get(path).data["items"]] == [shared.pk]
        assert_problem(api.get(f"/outbox/{own.pk}"), 404, "not-found")
        assert_problem(api.post(f"/outbox/{own.pk}/cancel"), 404, "not-found")

    def test_nothing_is_sent_from_others(self, api, mailbox):
        body = {"mailbox": mailbox.pk, "to": [{"address": "bob@example.org"}], "text": "Hi"}
        answer = api.post("/outbox", body, Idempotency_Key="a")
        assert answer.status_code == 422
        assert answer.data["errors"][0]["field"] == "mailbox"

    def test_others_cannot_be_added(self, api_of, administrator, shared_mailbox):
        api = api_of(administrator, mailboxes=[shared_mailbox])
        body = {"address": "new@example.org", "display_name": "New", "mail_server": 1}
        assert_problem(api.post("/mailboxes", body), 403, "token-bound")

    def test_it_sees_nothing_once_they_are_deleted(self, api, shared_mailbox):
        shared_mailbox.delete()
        assert api.get("/mailboxes").data["items"] == []


def _read(answer):
    import json

    answer.data = json.loads(answer.content)
    return answer
