"""Every cell of the declared table, asked for on real rows (spec F6, A1, F3, A4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from tests.architecture.test_urls import routes
from tests.permissions.conftest import IN_MAIL, IN_OUTBOX, IN_SETTINGS, World
from tests.permissions.table import ACTORS, DOES_NOT_APPLY, LOGIN, Row, in_batches, named, rows

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
one_per_route = [row for route, row in {row.route: row for row in reversed(pages)}.items() if route not in ALLAUTH]


@pytest.mark.proves("F6", "A1", "A4", "F3")
@pytest.mark.sampled(6)
@pytest.mark.django_db
@pytest.mark.parametrize("batch", in_batches(pages), ids=named)
def test_everybody_gets_what_the_table_says(batch: tuple[Row, ...], world: World):
    got: dict[str, dict[str, str]] = {}
    told = []
    for row, actor in product(batch, ACTORS):
        cells = got.setdefault(str(row), {})
        if row.cells[actor] == DOES_NOT_APPLY:
            cells[actor] = DOES_NOT_APPLY
            continue
        with undone():
            answer = _ask(row.method, row, world, actor)
            cells[actor] = _cell(answer)
            text = "" if answer.streaming else answer.content.decode(errors="replace")
            told += [f"{row}: {actor} was told {word}" for word in barred_words(actor) if word in text]
    assert got == {str(row): row.cells for row in batch}
    assert not told


@pytest.mark.proves("F6")
def test_every_route_has_a_row():
    names = {name for name, _, _ in routes() if not name.startswith("api:")}  # those are asked in tests/api
    assert names - {row.route for row in pages} == set()


def test_every_row_has_a_route_and_stands_once():
    assert {row.route for row in pages} <= {name for name, _, _ in routes()}
    assert len({str(row) for row in rows()}) == len(rows())


@pytest.mark.proves("F6")
@pytest.mark.once
@pytest.mark.django_db
@pytest.mark.parametrize("batch", in_batches(one_per_route), ids=named)
def test_a_method_without_a_row_is_refused_to_everybody(batch: tuple[Row, ...], world: World):
    for row in batch:
        declared = {one.method for one in pages if one.route == row.route}
        for method, actor in product(set(METHODS) - declared, ("owner", "administrator")):
            with undone():
                answer = _ask(method, row, world, actor)
            assert answer.status_code in (403, 404, 405), f"{method} {row.route} by {actor}: {answer.status_code}"


@pytest.mark.django_db
def test_nobody_of_the_world_is_forgotten(world: World):
    assert set(ACTORS) - set(world.people) == {"anonymous", "token"}


@contextmanager
def undone() -> Iterator[None]:
    """Whatever was asked leaves no trace for who asks next."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
    cache.clear()


def barred_words(actor: str) -> list[str]:
    return [word for word, barred in SECRETS.items() if actor in barred]


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
