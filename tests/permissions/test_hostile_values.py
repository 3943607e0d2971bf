"""Every page with hostile values in every field that it reads: a clear answer, and nothing changed.

The fields are those that the page shows and those that its view looks for. One value at a time is wrong in a request
that would be taken. Normally a sample of the values is sent, chosen by the route and so the same each time, by one
actor; `--all` sends each by everybody.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise

import pytest
from django.apps import apps
from django.core.cache import cache
from django.db import transaction
from django.db.models import F, ForeignKey, Model
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox
from delivery.models import OutboxMessage
from mailservers.models import MailServer
from organizations.models import Invitation, Role
from protocols.errors import Unreachable
from protocols.network import Dialer
from providers.models import Provider, ProviderDomain
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
    "imap_port": b"993",
    "smtp_host": b"smtp.example.org",
    "smtp_port": b"465",
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
    "receives": b"on",
    "delivers": b"on",
}
#: What one route wants instead, to be let through to its end; "=server" is the key of that row.
GOOD_AT: dict[str, dict[str, str]] = {
    "mailservers:create": {"name": "Another server"},
    "providers:domain-add": {"provider": "=own_provider"},
    "accounts:create": {"mail_server": "=server"},
    "accounts:check-new": {"mail_server": "=server"},
    "accounts:wizard-connect": {"manual": "1", "imap_security": "tls", "smtp_security": "tls"},
    "accounts:access-add": {"to": "person-=person", "rights": "access"},
    "accounts:access-tick": {"right": "access"},
    "accounts:tokens": {"scopes": "messages:read"},
    "mailstore:change": {"action": "read", "message": "=message"},
    "delivery:compose": {"mailbox": "=mailbox", "submission_key": "one-of-its-own"},
    "delivery:reschedule": {"send_at": "chosen", "send_on": f"{timezone.now().date() + timedelta(days=3)}T10:00"},
    "delivery:suppression-add": {"addresses": "bob@example.org"},
    "organizations:operations": {"operation": "manage_people", "person": "=person"},
}
#: Which rows a field chooses from, where its name does not tell.
KEYS = {"owner": "person", "to": "person", "user": "person"}
FORM_DEPTH = 4  # at most so often a form shows that it reads yet more fields
#: Where the form stands that goes to a route which shows none itself.
SHOWN_AT = {
    "mailservers:check-new": "mailservers:create",
    "mailservers:service-new": "mailservers:create",
    "mailservers:check": "mailservers:edit",
    "mailservers:service": "mailservers:edit",
    "accounts:check-new": "accounts:create",
    "accounts:check": "accounts:edit",
    "accounts:settings-servers": "accounts:settings-advanced",
    "accounts:settings-check": "accounts:settings-advanced",
}
#: A refused request may be noted: in the log, in the session, and that somebody looked at another's settings.
NOTES = {"organizations_auditentry", "django_session"}
SAMPLE = 1  # values of each field without --all
#: Administrators are let in here, and have nothing to send from, or no draft.
ASKED = {"delivery:compose": ("owner",), "delivery:draft-files": ("owner",)}
#: Want the address of a picture, where nobody is dialled; JSON, which no form writes; messages that have left already.
NEVER_TAKEN = {
    "accounts:settings-signature-fetch",
    "delivery:compose-image",
    "delivery:save-draft",
    "delivery:log-ask",
}
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
                asked = ASKED.get(row.route, ("administrator", "owner"))
                let_in = [actor for actor in asked if row.cells[actor] not in ("403", "404", "-")]
                for actor in let_in if everything else let_in[:1]:
                    yield Walk(row, world, actor)

    return walk


@pytest.mark.long
@pytest.mark.parametrize("area", _areas())
def test_no_form_is_broken_by_what_is_typed(area: str, walks, chosen: Chosen, everything: bool):
    found: list[str] = []
    for walk in walks(area, "POST", "PUT", "PATCH", "DELETE"):
        found += walk.with_good() + walk.with_values(chosen) + walk.with_files(chosen)
        found += walk.with_foreign_keys(everything)
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
        self.url = self._url_of(row.route)
        self.good, self.names, self.files = self._discover()

    def _url_of(self, route: str) -> str:
        return reverse(route, kwargs={name: self.world.value(word) for name, word in self.row.arguments.items()})

    def _discover(self) -> tuple[Values, set[str], set[str]]:
        """What a good request would be, the names of all fields, and of those that take files."""
        shown_at = self._url_of(SHOWN_AT.get(self.row.route, self.row.route))
        reader = FormReader(self.url, shown_at)
        with _undone(), hostile.watching() as names:
            page = self.client.get(shown_at)
        if page.status_code == 200 and not page.streaming:
            reader.feed(page.content.decode(errors="replace"))
        self.typed = reader.typed
        if self.row.method == "GET":
            return {}, names, set()
        good = reader.values | self._good_here()
        names = set(good)
        for _ in range(FORM_DEPTH):
            with _undone(), hostile.watching() as looked_for:
                self.status = self._send(good).status_code
            names |= looked_for
            fresh = {name: [GOOD[name]] for name in names & GOOD.keys() if good.get(name) in (None, [], [b""])}
            if not fresh:
                break
            good |= fresh
        return good, names, reader.files

    def _good_here(self) -> dict[str, list[bytes]]:
        things = self.world.things
        filled = {
            name: re.sub("=(.+)", lambda word: str(things[word[1]]), value)
            for name, value in GOOD_AT.get(self.row.route, {}).items()
        }
        return {name: [value.encode()] for name, value in filled.items()}

    def with_good(self) -> list[str]:
        """Or a hostile value would stand behind another mistake, and never be looked at."""
        is_taken = self.status < 400 or self.row.route in NEVER_TAKEN
        return [] if is_taken else [f"{self.row} by {self.actor}, what is sent as good: {self.status}"]

    def send_good(self) -> HttpResponse:
        return self._send(self.good)

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

    def with_foreign_keys(self, everything: bool) -> list[str]:
        """Keys of the other organization's rows: the fitting kind where a row is chosen, or every kind everywhere."""
        found = []
        for name in sorted(self.names if everything else self.names - self.typed):
            for word, pk in self._foreign(name, everything).items():
                found += self._try(f"{name} = the {word} of another organization", {**self.good, name: [pk]})
        return found

    def _foreign(self, name: str, everything: bool) -> dict[str, bytes]:
        """By kind, written as the good value of the field is: person-7 after person-3."""
        [shape] = self.good.get(name, [])[:1] or [b""]
        keys = {word: re.sub(rb"\d*$", str(pk).encode(), shape, count=1) for word, pk in self.world.foreign.items()}
        fitting = {word: key for word, key in keys.items() if word in KEYS.get(name, name)}
        return (
            keys if everything else fitting or dict(random.Random(f"{self.row} {name}").sample(sorted(keys.items()), 1))
        )

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
            crossed = _crossings() if written and "of another organization" in what else []
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


#: Forms that make something: route, who presses the button twice, and what is made.
CREATING: list[tuple[str, str, type[Model]]] = [
    ("organizations:invite", "administrator", Invitation),
    ("organizations:create-role", "administrator", Role),
    ("mailservers:create", "administrator", MailServer),
    ("providers:add", "administrator", Provider),
    ("providers:domain-add", "administrator", ProviderDomain),
    ("accounts:create", "administrator", Mailbox),
    ("delivery:compose", "owner", OutboxMessage),
]


@pytest.mark.parametrize(("route", "actor", "made"), CREATING, ids=[route for route, *_ in CREATING])
def test_a_button_that_is_pressed_twice_makes_one(world: World, route: str, actor: str, made: type[Model]):
    row = next(row for row in rows() if (row.route, row.method) == (route, "POST"))
    walk = Walk(row, world, actor)
    before = made._default_manager.count()
    first = walk.send_good()
    assert made._default_manager.count() == before + 1, first.status_code
    again = walk.send_good()
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
