"""Every cell of the declared table that is about the API, asked for on real rows (spec F6)."""

from __future__ import annotations

import json
from itertools import product

import pytest
from django.test import Client
from django.urls import reverse

from emailsettings.api.urls import api, schema
from organizations.calls import BearerToken
from organizations.scopes import Scope
from providers.logo_api import A_PNG
from tests.api.conftest import MakeApi
from tests.architecture.test_urls import routes
from tests.permissions.conftest import IN_MAIL, IN_SETTINGS, World, deliver, make_message, world
from tests.permissions.table import ACTORS, DOES_NOT_APPLY, Row, in_batches, named, rows
from tests.permissions.test_table import _cell, barred_words, undone

__all__ = ["deliver", "make_message", "world"]

#: What is asked where `{}` says nothing.
BODIES = {
    "outbox_decide": {"decision": "mark-sent"},
    "access_switch": {"is_shared": True},
    "access_give": {"rights": ["access"]},
    "mailboxes_set_signature": {"is_on": True, "html": "<p>The desk</p>"},
    "providers_set_logo": {"image": A_PNG},
    "providers_check": {"address": "anna@example.org"},
}
#: Whoever connects a mailbox chooses from the organization's own providers, one of which bears the word.
OFFERED_TO_ALL = {"api:providers_list", "api:providers_get"}
NOT_OPERATIONS = {"api:docs", "api:openapi", "api:unknown"}
declared = [row for row in rows() if row.route.startswith("api:")]


@pytest.mark.proves("F6", "A1", "A4", "F3", "L1")
@pytest.mark.sampled(5)
@pytest.mark.django_db
@pytest.mark.parametrize("batch", in_batches(declared), ids=named)
def test_everybody_gets_what_the_table_says(batch: tuple[Row, ...], world: World, api_of: MakeApi):
    got: dict[str, dict[str, str]] = {}
    told = []
    for row, actor in product(batch, ACTORS):
        cells = got.setdefault(str(row), {})
        if row.cells[actor] == DOES_NOT_APPLY:
            cells[actor] = DOES_NOT_APPLY
            continue
        with undone():
            answer = _ask(row, world, api_of, actor)
        cells[actor] = _cell(answer)
        text = answer.getvalue().decode(errors="replace")
        barred = set(barred_words(actor)) - ({IN_SETTINGS} if row.route in OFFERED_TO_ALL else set())
        told += [f"{row}: {actor} was told {word}" for word in barred if word in text]
    assert got == {str(row): row.cells for row in batch}
    assert not told


@pytest.mark.proves("F6")
def test_every_operation_has_a_row():
    assert {name for name, _, _ in routes() if name.startswith("api:")} == {row.route for row in declared}


@pytest.mark.proves("L1")
def test_every_operation_needs_a_token_with_one_scope():
    for router in api._get_bound_routers():
        for path, view in router.path_operations.items():
            for operation in view.operations:
                [auth] = operation.auth_callbacks
                assert isinstance(auth, BearerToken), path
                assert operation.operation_id == operation.view_func.__name__, "the table names it by its URL name"
                reading = operation.methods == ["GET"]
                assert auth.scope.value.endswith(":read") == reading, f"{operation.operation_id} needs {auth.scope}"


def test_the_schema_names_every_operation_once():
    named = [one["operationId"] for item in schema()["paths"].values() for one in item.values()]
    assert len(named) == len(set(named))
    assert {f"api:{name}" for name in named} == {row.route for row in declared} - NOT_OPERATIONS


def test_the_barred_words_are_really_there(world: World, api_of: MakeApi):
    """Or the table's test would prove nothing about them."""
    owner = api_of(world.people["owner"])
    assert IN_MAIL in owner.get("/messages").content.decode()
    assert IN_SETTINGS in owner.get("/mailboxes").content.decode()


def _ask(row: Row, world: World, api_of: MakeApi, actor: str):
    url = reverse(row.route, kwargs={name: world.value(word) for name, word in row.arguments.items()})
    if row.route in NOT_OPERATIONS:
        client = Client()
        if actor in world.people:
            client.force_login(world.people[actor])
        return client.generic(row.method, url)
    body = BODIES.get(row.route.removeprefix("api:"), {}) if row.method in ("POST", "PATCH", "PUT") else None
    if actor == "anonymous":
        return Client().generic(row.method, url, json.dumps(body), content_type="application/json")
    if actor == "token":
        needed = next(scope for scope in Scope if scope is not _scope(row.route.removeprefix("api:")))
        return api_of(world.people["owner"], needed).call(row.method, url.removeprefix("/api/v1"), body)
    return api_of(world.people[actor]).call(row.method, url.removeprefix("/api/v1"), body)


def _scope(operation_id: str) -> Scope:
    for item in schema()["paths"].values():
        for operation in item.values():
            if operation["operationId"] == operation_id:
                return Scope(operation["security"][0]["token"][0])
    raise LookupError(operation_id)
