"""`/mail-servers`: what the dialogs do, in JSON (spec B1 to B8, L1)."""

from __future__ import annotations

import pytest

from mailservers import checking
from mailservers.models import MailServer
from organizations.models import AuditEntry
from protocols.checking import CheckResult
from protocols.steps import Step, StepName, StepStatus
from tests.api.conftest import Api, assert_problem, fields

pytestmark = pytest.mark.proves("L1")

NEW = {"name": "Office", "host": "smtp.example.org", "username": "office@example.org", "password": "top-secret-word"}


@pytest.fixture
def api(api_of, administrator) -> Api:
    return api_of(administrator)


def test_a_server_is_added_read_changed_and_deleted(api, organization):
    added = api.post("/mail-servers", NEW)
    assert added.status_code == 201
    assert added.data | {"port": 587, "security": "starttls", "has_password": True, "check": None} == added.data
    path = f"/mail-servers/{added.data['id']}"
    assert api.get(path).data == added.data
    changed = api.patch(path, {"timeout": 60})
    assert (changed.status_code, changed.data["timeout"], changed.data["name"]) == (200, 60, "Office")
    assert MailServer.objects.get().password.reveal() == "top-secret-word"
    assert api.delete(path).status_code == 204
    assert_problem(api.get(path), 404, "not-found")
    actions = AuditEntry.objects.filter(action__startswith="mailserver.").values_list("action", flat=True)
    assert sorted(actions) == ["mailserver.changed", "mailserver.created", "mailserver.deleted"]


@pytest.mark.proves("B9")
def test_limits_and_the_server_that_stands_in_are_set_and_taken_back(api):
    reserve = api.post("/mail-servers", NEW | {"name": "Reserve"}).data["id"]
    limits = {"connections": 2, "messages_per_connection": 50, "per_minute": 30, "per_day": 500, "fallback": reserve}
    added = api.post("/mail-servers", NEW | limits)
    assert added.status_code == 201
    assert added.data | limits | {"unreachable_since": None} == added.data
    path = f"/mail-servers/{added.data['id']}"
    assert api.patch(path, {"timeout": 60}).data | limits == api.get(path).data
    changed = api.patch(path, {"per_day": None, "fallback": None})
    assert changed.data | limits | {"per_day": None, "fallback": None} == changed.data
    assert fields(api.patch(path, {"per_day": 0})) == ["per_day"]
    assert fields(api.patch(path, {"fallback": added.data["id"]})) == ["fallback"]


@pytest.mark.proves("B6", "J1")
def test_no_answer_holds_a_password(api):
    answers = [api.post("/mail-servers", NEW), api.get("/mail-servers")]
    answers.append(api.patch(f"/mail-servers/{answers[0].data['id']}", {"password": "another-secret-word"}))
    assert not [answer for answer in answers if b"secret-word" in answer.content]
    assert not AuditEntry.objects.filter(detail__icontains="secret-word").exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"host": "http://smtp.example.org/"}, "host"),
        ({"host": ""}, "host"),
        ({"port": 0}, "port"),
        ({"port": "587"}, "port"),
        ({"security": "none"}, "accepts_clear_text"),
        ({"username": ""}, "username"),
        ({"password": ""}, "password"),
        ({"timeout": 301}, "timeout"),
        ({"username": "a\r\nb"}, "username"),
        ({"name": "a\0b"}, "name"),
        ({"colour": "red"}, "colour"),
        ({"provider": 10**18}, "provider"),
        ({"name": "x" * 121}, "name"),
    ],
)
def test_what_is_wrong_is_named_with_its_field(api, change, field):
    assert field in fields(api.post("/mail-servers", NEW | change))
    assert not MailServer.objects.exists()


def test_the_stored_password_goes_nowhere_else(api):
    pk = api.post("/mail-servers", NEW).data["id"]
    assert fields(api.patch(f"/mail-servers/{pk}", {"host": "smtp.elsewhere.example"})) == ["password"]
    assert MailServer.objects.get().host == "smtp.example.org"


def test_a_check_answers_in_the_promised_shape_and_stays_with_the_server(api, monkeypatch):
    step = Step(StepName.LOGIN, StepStatus.OK, 12, "accepted")
    monkeypatch.setattr(checking, "check_smtp", lambda *args, **kwargs: CheckResult(True, (step,), None, "250 OK"))
    unsaved = api.post("/mail-servers/check", {name: NEW[name] for name in ("host", "username", "password")})
    expected = {
        "ok": True,
        "steps": [{"name": "login", "status": "ok", "ms": 12, "detail": "accepted"}],
        "diagnosis": None,
        "server_response": "250 OK",
    }
    assert (unsaved.status_code, unsaved.data) == (200, expected)
    pk = api.post("/mail-servers", NEW).data["id"]
    assert api.post(f"/mail-servers/{pk}/check").data == expected
    assert api.get(f"/mail-servers/{pk}").data["check"] == expected


def test_another_organization_has_its_own(api, api_of, dana):
    pk = api.post("/mail-servers", NEW).data["id"]
    other = api_of(dana)
    assert other.get("/mail-servers").data["items"] == []
    assert_problem(other.get(f"/mail-servers/{pk}"), 404, "not-found")
    assert_problem(other.patch(f"/mail-servers/{pk}", {}), 404, "not-found")
    assert_problem(other.delete(f"/mail-servers/{pk}"), 404, "not-found")
