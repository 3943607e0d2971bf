"""Calls of the API as programs make them: with a token, in JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from accounts.models import Mailbox, TokenMailbox
from organizations.models import User
from organizations.scopes import Scope
from organizations.tokens import make_token
from tests.delivery.conftest import make_message, may_dial, sending_mailbox, sink
from tests.mailstore.panel.conftest import deliver

__all__ = ["deliver", "make_message", "may_dial", "sending_mailbox", "sink"]


class Api:
    """`api.get("/mailboxes")`, `api.post("/outbox", {...})`: answers keep `status_code`, `data` is the JSON."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.client = Client(raise_request_exception=False)

    def call(
        self, method: str, path: str, body: object = None, *, raw: bytes | None = None, **headers: str
    ) -> HttpResponse:
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        kind = named.pop("Content-Type", "application/json" if data else "")
        answer = self.client.generic(method, f"/api/v1{path}", data, content_type=kind, headers={**sent, **named})
        if not answer.streaming and answer.content and "json" in answer.headers.get("Content-Type", ""):
            answer.data = json.loads(answer.content)
        return answer

    def get(self, path: str, **headers: str) -> Any:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: object = None, **headers: str) -> Any:
        return self.call("POST", path, body, **headers)

    def patch(self, path: str, body: object) -> Any:
        return self.call("PATCH", path, body)

    def delete(self, path: str) -> Any:
        return self.call("DELETE", path)


MakeApi = Callable[..., Api]


@pytest.fixture
def api_of(db: None) -> MakeApi:
    """`api_of(user, *scopes, mailboxes=None)`: with all scopes where none is named."""

    def make(user: User, *scopes: Scope, mailboxes: list[Mailbox] | None = None, days: int = 1) -> Api:
        now = timezone.now()
        token, text = make_token(
            user,
            "Tests",
            scopes or tuple(Scope),
            now=now,
            expires_at=now + timedelta(days=days),
            only_mailboxes=mailboxes is not None,
        )
        for mailbox in mailboxes or ():
            TokenMailbox.objects.create(token=token, mailbox=mailbox)
        return Api(text)

    return make


@pytest.fixture
def nobody() -> Api:
    """A call without a token."""
    return Api("")


def assert_problem(answer: Any, status: int, kind: str) -> None:
    """The one form of every error (RFC 9457)."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.data["type"].endswith(f"#problem-{kind}"), answer.data
    assert answer.data["status"] == status
    assert answer.data["title"]
    assert answer.data["detail"]


def fields(answer: Any) -> list[str]:
    """Which members a 422 is about."""
    assert_problem(answer, 422, "invalid")
    return [error["field"] for error in answer.data["errors"]]
