"""Every page with hostile values in every field that it reads: a clear answer, and nothing changed.

The fields are those that the page shows and those that its view looks for. Normally a sample of the values is sent,
chosen by the route and so the same each time, by one actor; `--all` sends each by everybody.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from django.apps import apps
from django.core.cache import cache
from django.db import transaction
from django.db.models import F, ForeignKey, Model
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from delivery.models import OutboxMessage
from organizations.models import Invitation, Role
from protocols.errors import Unreachable
from protocols.network import Dialer
from tests.permissions import hostile
from tests.permissions.conftest import World, deliver, make_message
from tests.permissions.hostile import FILES, MARKUP, QUERY_VALUES, VALUES, FormReader, Values
from tests.permissions.table import Row, rows

__all__ = ["deliver", "make_message"]
pytestmark = [pytest.mark.django_db, pytest.mark.proves("F6")]

#: What a page is asked with where its own form leaves a field empty, so that one wrong value alone is wrong.
GOOD: dict[str, bytes] = {
    "email": b"new@example.org",
    "address": b"new@example.org",
    "name": b"Somebody",
    "display_name": b"Somebody",
    "host": b"smtp.example.org",
    "imap_host": b"imap.example.org",
    "smtp_host": b"smtp.example.org",
    "port": b"587",
    "username": b"somebody",
    "password": b"a long enough word",
    "to": b"bob@example.org",
    "recipient": b"bob@example.org",
    "subject": b"Hello",
    "domain": b"new.example",
    "key": b"new_entry",
    "scopes": b"mail:read",
    "time_zone": b"UTC",
    "decision": b"cancel",
}
#: A refused request may be noted: in the log, in the session, and that somebody looked at another's settings.
NOTES = {"organizations_auditentry", "django_session"}
SAMPLE = 2  # values of each field without --all
#: Sent away whoever is signed in, or answered by the library's own views, which tests/organizations ask.
NOT_ASKED = {"account_login", "account_logout", "events"}


Chosen = Callable[..., dict]


def _areas() -> list[str]:
    return sorted({_area(row) for row in rows() if not row.route.startswith("api:")})


def _area(row: Row) -> str:
    """Routes that share one world: it takes longer to build than to ask."""
    return row.route.partition(":")[0] if ":" in row.route else "frame"


@pytest.fixture(autouse=True)
def _nobody_is_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise Unreachable("Nobody is dialled here.")

    monkeypatch.setattr(Dialer, "connect", refuse)


@pytest.fixture
def everything(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.option.run_slow)


@pytest.fixture
def chosen(everything: bool) -> Chosen:
    """`chosen(values, key, size=SAMPLE)`: all of them, or a sample."""

    def choose(values: dict, key: str, size: int = SAMPLE) -> dict:
        if everything:
            return values
        names = random.Random(key).sample(sorted(values), min(size, len(values)))
        return {name: values[name] for name in names}

    return choose


@pytest.fixture
def walks(world: World, everything: bool) -> Callable[..., Iterator[Walk]]:
    """`walks(area, *methods)`: each route of the area by those who are let in; without --all by one of them."""

    def walk(area: str, *methods: str) -> Iterator[Walk]:
        for row in rows():
            if _area(row) == area and row.method in methods and row.route not in NOT_ASKED:
                let_in = [actor for actor in ("administrator", "owner") if row.cells[actor] not in ("403", "404", "-")]
                for actor in let_in if everything else let_in[:1]:
                    yield Walk(row, world, actor)

    return walk


@pytest.mark.parametrize("area", _areas())
def test_no_form_is_broken_by_what_is_typed(area: str, walks, chosen: Chosen):
    found: list[str] = []
    for walk in walks(area, "POST", "PUT", "PATCH", "DELETE"):
        found += walk.with_values(chosen) + walk.with_files(chosen) + walk.with_foreign_keys(chosen)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("area", _areas())
def test_no_page_is_broken_by_its_query(area: str, walks, chosen: Chosen):
    found: list[str] = []
    for walk in walks(area, "GET"):
        found += walk.with_queries(chosen)
    assert not found, "\n".join(found)


class Walk:
    """One actor at one route."""

    def __init__(self, row: Row, world: World, actor: str) -> None:
        self.row, self.world, self.actor = row, world, actor
        self.client = Client()
        self.client.force_login(world.people[actor])
        self.url = reverse(row.route, kwargs={name: world.value(word) for name, word in row.arguments.items()})
        self.good, self.names, self.files = self._discover()

    def _discover(self) -> tuple[Values, set[str], set[str]]:
        """What a good request would be, the names of all fields, and of those that take files."""
        reader = FormReader(self.url)
        with _undone(), hostile.watching() as names:
            page = self.client.get(self.url)
        if page.status_code == 200 and not page.streaming:
            reader.feed(page.content.decode(errors="replace"))
        if self.row.method == "GET":
            return {}, names, set()
        good = dict(reader.values)
        names = set(good)
        for values in ({}, good):
            with _undone(), hostile.watching() as looked_for:
                self._send(values)
            names |= looked_for
            good |= {name: [GOOD[name]] for name in names & GOOD.keys() if good.get(name) in (None, [], [b""])}
        return good, names, reader.files

    def with_values(self, chosen: Chosen) -> list[str]:
        found = []
        for name in sorted(self.names):
            for what, value in chosen(VALUES, f"{self.row} {name}").items():
                found += self._try(f"{name} = {what}", {**self.good, name: [value]})
        return found

    def with_files(self, chosen: Chosen) -> list[str]:
        found = []
        for name in sorted(self.files) + sorted(self.names - self.files)[:1]:
            for what, file in (FILES if name in self.files else chosen(FILES, f"{self.row} {name}")).items():
                body, content_type = hostile.multipart(self.good, name, file)
                found += self._try(f"{name} = {what}", body, content_type)
        return found

    def with_foreign_keys(self, chosen: Chosen) -> list[str]:
        """Keys of the other organization's rows, of whatever kind, in every field."""
        keys = {f"the {word} of another organization": pk for word, pk in self.world.foreign.items()}
        found = []
        for name in sorted(self.names):
            for what, pk in chosen(keys, f"{self.row} {name}", 1).items():
                found += self._try(f"{name} = {what}", {**self.good, name: [str(pk).encode()]})
        return found

    def with_queries(self, chosen: Chosen) -> list[str]:
        found = []
        for name in sorted(self.names):
            for what, value in chosen(QUERY_VALUES, f"{self.row} {name}").items():
                found += self._try(f"{name} = {what}", {name: [value]})
        return found

    def _try(self, what: str, values: Values | bytes, content_type: str = "") -> list[str]:
        """Send it; return what is wrong with the answer."""
        about = f"{self.row} by {self.actor}, {what}: "
        with _undone():
            try:
                with hostile.writes() as written:
                    answer = self._send(values, content_type)
                    text = _text(answer)
                if answer.status_code in (301, 302) and answer["Location"].startswith("/"):
                    text += _text(self.client.get(answer["Location"]))
            except Exception as exc:
                return [f"{about}{type(exc).__name__}: {str(exc)[:200]}"]
            crossed = _crossings() if written and "of another" in what else []
        wrong = []
        if answer.status_code >= 500:
            wrong.append(f"{about}{answer.status_code}")
        if MARKUP in text or "<hostile-tag" in text:
            wrong.append(f"{about}stands unescaped in the page")
        if answer.status_code >= 400 and set(written) - NOTES:
            wrong.append(f"{about}{answer.status_code}, and yet wrote to {sorted(set(written) - NOTES)}")
        return wrong + [f"{about}{each}" for each in crossed]

    def _send(self, values: Values | bytes, content_type: str = "") -> HttpResponse:
        cache.clear()  # limits are asked elsewhere
        if self.row.method == "GET":
            assert not isinstance(values, bytes)
            return self.client.get(f"{self.url}?{hostile.encoded(values)}")
        body = values if isinstance(values, bytes) else hostile.encoded(values).encode()
        kind = content_type or "application/x-www-form-urlencoded"
        return self.client.generic(self.row.method, self.url, body, content_type=kind)


#: Forms that make something: route, who presses the button twice, what is made, and what else is typed.
CREATING: list[tuple[str, str, type[Model], Values]] = [
    ("organizations:invite", "administrator", Invitation, {}),
    ("organizations:create-role", "administrator", Role, {}),
    ("delivery:compose", "owner", OutboxMessage, {}),
]


@pytest.mark.parametrize(("route", "actor", "made", "typed"), CREATING, ids=[route for route, *_ in CREATING])
def test_a_button_that_is_pressed_twice_makes_one(
    world: World, route: str, actor: str, made: type[Model], typed: Values
):
    row = next(row for row in rows() if (row.route, row.method) == (route, "POST"))
    walk = Walk(row, world, actor)
    before = made._default_manager.count()
    first = walk._send({**walk.good, **typed})
    assert made._default_manager.count() == before + 1, first.status_code
    again = walk._send({**walk.good, **typed})
    assert made._default_manager.count() == before + 1
    assert again.status_code < 500


def _text(answer: HttpResponse) -> str:
    octets = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return octets.decode(errors="replace") if "html" in answer.get("Content-Type", "") else ""


def _crossings() -> list[str]:
    """Rows that tie one organization to another."""
    found = []
    for model in apps.get_models():
        ways = [way for each in model._meta.get_fields() if isinstance(each, ForeignKey) for way in _ways(each)]
        for first, second in pairwise(ways):
            tied = model._default_manager.filter(**{f"{first}__isnull": False, f"{second}__isnull": False})
            if tied.exclude(**{first: F(second)}).exists():
                found.append(f"{model.__name__} ties {first} to {second}")
    return found


def _ways(key: ForeignKey) -> list[str]:
    """How one comes from a row to the organization by `key`; none where it leads to no organization."""
    target: type[Model] = key.related_model
    if target._meta.label == "organizations.Organization":
        return [key.attname]
    fields = {each.name for each in target._meta.get_fields()}
    return [f"{key.name}__organization_id"] if "organization" in fields else []


@contextmanager
def _undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
