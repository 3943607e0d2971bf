"""Every cell of the declared table, asked for on real rows (spec F6, A1, F3, A4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.conf import settings
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from tests.architecture.test_urls import routes
from tests.permissions.conftest import IN_MAIL, IN_OUTBOX, IN_SETTINGS, World
from tests.permissions.table import ACTORS, DOES_NOT_APPLY, LOGIN, Row, rows

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
#: Its views answer PUT as POST, and send away who is signed in, whatever the method.
ALLAUTH = {name for name, _, _ in routes() if name.startswith("account_")}
#: Words and the actors who must never be answered with them, whatever the status.
SECRETS = {
    IN_MAIL: {"anonymous", "stranger", "setup", "administrator", "elsewhere", "former"},
    IN_OUTBOX: {"anonymous", "stranger", "elsewhere", "former"},
    IN_SETTINGS: {"anonymous", "stranger", "elsewhere", "former"},
}

pages = [row for row in rows() if not row.route.startswith("api:")]


@pytest.mark.proves("F6", "A1", "A4", "F3")
@pytest.mark.django_db
@pytest.mark.parametrize("row", pages, ids=str)
def test_everybody_gets_what_the_table_says(row: Row, world: World):
    got, told = {}, []
    for actor in ACTORS:
        if row.cells[actor] == DOES_NOT_APPLY:
            got[actor] = DOES_NOT_APPLY
            continue
        with _undone():
            answer = _ask(row.method, row, world, actor)
            got[actor] = _cell(answer)
            text = "" if answer.streaming else answer.content.decode(errors="replace")
            told += [f"{actor} was told {word}" for word, barred in SECRETS.items() if actor in barred and word in text]
    assert got == row.cells
    assert not told


@pytest.mark.proves("F6")
def test_every_route_has_a_row():
    names = {name for name, _, _ in routes() if not name.startswith("api:")}  # those are asked in tests/api
    assert names - {row.route for row in pages} == set()


def test_every_row_has_a_route_and_stands_once():
    assert {row.route for row in pages} <= {name for name, _, _ in routes()}
    assert len({str(row) for row in rows()}) == len(rows())


@pytest.mark.proves("F6")
@pytest.mark.django_db
@pytest.mark.parametrize("route", sorted({row.route for row in pages} - ALLAUTH))
def test_a_method_without_a_row_is_refused_to_everybody(route: str, world: World):
    declared = [row for row in pages if row.route == route]
    for method in set(METHODS) - {row.method for row in declared}:
        for actor in ("owner", "administrator"):
            with _undone():
                answer = _ask(method, declared[0], world, actor)
            assert answer.status_code in (403, 404, 405), f"{method} {route} by {actor}: {answer.status_code}"


@pytest.mark.django_db
def test_nobody_of_the_world_is_forgotten(world: World):
    assert set(ACTORS) - set(world.people) == {"anonymous", "token"}


@contextmanager
def _undone() -> Iterator[None]:
    """Whatever was asked leaves no trace for who asks next."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def _ask(method: str, row: Row, world: World, actor: str) -> HttpResponse:
    client = Client()
    if actor in world.people:
        client.force_login(world.people[actor])
    url = reverse(row.route, kwargs={name: world.value(word) for name, word in row.arguments.items()})
    return client.generic(method, url)


def _cell(answer: HttpResponse) -> str:
    if answer.status_code == 302 and answer["Location"].startswith(reverse(settings.LOGIN_URL)):
        return LOGIN
    return str(answer.status_code)
