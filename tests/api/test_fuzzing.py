"""Everything that the OpenAPI document promises, asked by schemathesis; and what no document can say."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, connection
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from accounts.models import Mailbox
from emailsettings.api.urls import schema
from mailservers import checking, test_message
from mailservers.models import MailServer
from mailstore import folder_list
from organizations import calls
from organizations.models import User
from protocols.checking import CheckResult
from protocols.errors import Unreachable
from tests.api.conftest import Api, MakeApi
from tests.conftest import person
from tests.mailstore.panel.conftest import mail_with_files

pytestmark = [pytest.mark.proves("L1"), pytest.mark.django_db]

documented = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", get_wsgi_application())
#: The tests bring the token. One that schemathesis left out would make a mistake of a request that is none.
documented.config.generation.update(with_security_parameters=False)
OPERATIONS = {found.ok().label: found.ok() for found in documented.get_all_operations()}
#: No schema says that a user name needs a password, or which mailboxes exist.
NOT_ASKED = [checks.positive_data_acceptance]
#: Each of its mails is judged for itself, and what is wrong with one stands in the answer's item for it.
JUDGES_ITEMS = "POST /api/v1/outbox/batch"
MODES = {"meant": GenerationMode.POSITIVE, "mistaken": GenerationMode.NEGATIVE}


@pytest.fixture
def token(
    api_of: MakeApi, administrator: User, mailbox: Mailbox, make_message, deliver, organization, monkeypatch
) -> Iterator[str]:
    """An administrator who owns a mailbox with mail in it; nothing is dialled."""
    Mailbox.objects.update(owner=administrator, is_default=True)
    person(organization, "Another")
    MailServer.objects.create(organization=organization, name="Office", host="smtp.example.org")
    deliver(mailbox, mail_with_files())
    make_message(mailbox, administrator)
    silent = CheckResult(ok=False, steps=(), error=Unreachable("nobody is dialled"), server_response="")
    monkeypatch.setattr(checking, "check_smtp", lambda *args, **kwargs: silent)
    monkeypatch.setattr(checking, "check_imap", lambda *args, **kwargs: silent)

    def unreachable(*args: object, **kwargs: object) -> None:
        raise Unreachable("nobody is dialled")

    monkeypatch.setattr(test_message, "open_session", unreachable)
    monkeypatch.setattr(folder_list, "imap_session", unreachable)
    monkeypatch.setattr(calls, "REFUSED_TOKENS", 10_000)  # schemathesis tries each operation with broken ones too
    for signal in (request_started, request_finished):  # the test's own transaction stays open, as with a test client
        signal.disconnect(close_old_connections)
    yield api_of(administrator).token
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.sampled(60)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("label", OPERATIONS)
def test_schemathesis_finds_nothing(label: str, mode: str, token: str):
    _explore(label, mode, token, examples=6 if connection.vendor == "sqlite" else 3)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("label", OPERATIONS)
def test_schemathesis_finds_nothing_for_longer(label: str, mode: str, token: str):
    _explore(label, mode, token, examples=300)


def _explore(label: str, mode: str, token: str, *, examples: int) -> None:
    operation = OPERATIONS[label]
    if mode == "mistaken" and not (operation.body or operation.query or operation.path_parameters):
        return  # there is nothing that could be mistaken

    excluded = [*NOT_ASKED, *([checks.negative_data_rejection] if label == JUDGES_ITEMS else [])]

    @seed(connection.vendor)  # each engine is asked something else
    @settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=HealthCheck
    )
    @given(case=operation.as_strategy(generation_mode=MODES[mode]))
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, excluded_checks=excluded)

    ask()


HOSTILE = {
    "NUL": b'{"name": "a\\u0000b", "address": "a\\u0000@b.example", "subject": "\\u0000", "text": "\\u0000"}',
    "half a surrogate pair": b'{"name": "\\ud800", "display_name": "\\udfff", "subject": "\\ud800", "text": "\\udc00"}',
    "half a pair as a member": b'{"\\ud800": 1}',
    "huge numbers": b'{"port": 1%s, "mailbox": 1%s, "owner": 1e999, "timeout": -1%s}' % ((b"0" * 400,) * 3),
    "a number of 5000 digits": b'{"port": 1%s}' % (b"0" * 5000),
    "bad UTF-8": b'{"name": "\xff\xfe\xc3"}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "NaN": b'{"port": NaN, "timeout": -Infinity}',
    "half a document": b'{"name": ',
    "nothing but spaces": b"   ",
    "a list": b"[]",
    "a text": b'"title"',
    "null": b"null",
    "the same member twice": b'{"name": 1, "name": []}',
    "wrong types": b'{"name": [], "host": {}, "port": "587", "to": "bob@example.org", "is_default": 1, "text": null}',
    "line breaks": b'{"subject": "\\r\\nBcc: x@example.org", "name": "a\\nb", "host": "a\\nb"}',
}
WITH_BODY = [
    (method.upper(), path)
    for path, item in schema()["paths"].items()
    for method, operation in item.items()
    if "requestBody" in operation
]


@pytest.mark.parametrize("what", HOSTILE)
def test_no_body_breaks_anything(what: str, token: str):
    api, pk = Api(token), Mailbox.objects.get().pk
    for method, path in WITH_BODY:
        answer = api.call(method, re.sub(r"{\w+}", str(pk), path.removeprefix("/api/v1")), raw=HOSTILE[what], **KEY)
        assert 400 <= answer.status_code < 500, f"{method} {path}: {answer.status_code} {answer.content[:300]!r}"
        assert answer["Content-Type"] == "application/problem+json"


KEY = {"Idempotency_Key": "key"}
QUERIES = ["%00", "%ff%fe", "%ED%A0%80", "1" + "0" * 400, "-1", "1e9", "٣", "' OR 1=1 --", "%0d%0aX: y", "[]", "%25"]


@pytest.mark.parametrize("value", QUERIES)
def test_no_parameter_breaks_anything(value: str, token: str):
    api = Api(token)
    for path, item in schema()["paths"].items():
        for parameter in item.get("get", {}).get("parameters", ()):
            if parameter["in"] == "query":
                address = re.sub(r"{\w+}", "1", path.removeprefix("/api/v1"))
                answer = api.get(f"{address}?{parameter['name']}={value}")
                assert answer.status_code < 500, f"{path}?{parameter['name']}={value}: {answer.content[:300]!r}"


@pytest.mark.parametrize("value", ["0", "1" + "0" * 30, "1" * 5000, "-1", "%00", "x", "1%2f2", "٣", "%0a"])
def test_no_address_breaks_anything(value: str, token: str):
    api = Api(token)
    for path, item in schema()["paths"].items():
        for method in item if "{" in path else ():
            answer = api.call(method.upper(), re.sub(r"{\w+}", value, path.removeprefix("/api/v1")), {}, **KEY)
            assert answer.status_code in (404, 405, 422), f"{method} {path} {value}: {answer.status_code}"
            assert answer["Content-Type"] == "application/problem+json"
