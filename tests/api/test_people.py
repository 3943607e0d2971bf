"""`/people`, `/invitations` and `/roles`: what the pages about people do, in JSON (spec A2 to A5, L1)."""

from __future__ import annotations

import pytest
from django.test import Client

from organizations.models import AuditEntry, Invitation, OperationGrant, Role, User
from organizations.operations import Operation
from organizations.roles import add_member, administrators_of
from organizations.scopes import Scope
from tests.api.conftest import Api, assert_problem, fields

pytestmark = pytest.mark.proves("L1")

NEW = {"name": "Erin Frost", "email": "erin@example.org", "sends_mail": False}


@pytest.fixture
def api(api_of, administrator) -> Api:
    return api_of(administrator)


@pytest.fixture
def manager(organization, charlie) -> User:
    """Manages people, and is no administrator."""
    OperationGrant.objects.create(user=charlie, operation=Operation.MANAGE_PEOPLE)
    return charlie


@pytest.fixture
def front_desk(organization) -> Role:
    return Role.objects.create(organization=organization, name="Front desk")


@pytest.mark.proves("A5")
def test_a_person_is_invited_by_a_link_that_is_shown_once(api, front_desk):
    invited = api.post("/people", NEW | {"roles": [front_desk.pk]})
    assert invited.status_code == 201
    assert (invited.data["roles"], invited.data["mailed_at"], invited.data["failure"]) == ([front_desk.pk], None, "")
    link = invited.data["link"]
    assert Client().get(link).status_code == 200
    [listed] = api.get("/invitations").data["items"]
    assert listed == {name: value for name, value in invited.data.items() if name != "link"}
    assert link.rstrip("/").rpartition("/")[2] not in str(AuditEntry.objects.values_list("detail", flat=True))
    renewed = api.post(f"/invitations/{invited.data['id']}/renew", {"sends_mail": False})
    assert renewed.data["link"] != link
    assert "Join" not in Client().get(link).content.decode()
    assert api.delete(f"/invitations/{invited.data['id']}").status_code == 204
    assert_problem(api.delete(f"/invitations/{invited.data['id']}"), 404, "not-found")
    assert api.get("/invitations").data["items"] == []


def test_an_invitation_that_was_not_mailed_says_so(api):
    invited = api.post("/people", {"name": "Erin", "email": "erin@example.org"})
    assert invited.status_code == 201
    assert invited.data["mailed_at"] is None
    assert "printed" in invited.data["failure"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\r\nBcc: x@example.org"}, "name"),
        ({"email": "erin"}, "email"),
        ({"email": "BOB@example.org"}, "email"),
        ({"roles": [10**12]}, "roles"),
        ({"roles": "1"}, "roles"),
        ({"password": "x"}, "password"),
    ],
)
def test_what_is_wrong_with_an_invitation_is_named(api, bob, change, field):
    assert fields(api.post("/people", NEW | change)) == [field]
    assert not Invitation.objects.exists()


@pytest.mark.proves("A2")
def test_a_person_is_renamed_deactivated_reactivated_and_removed(api, api_of, bob):
    path, his = f"/people/{bob.pk}", api_of(bob)
    assert api.patch(path, {"name": "Robert"}).data["name"] == "Robert"
    assert api.post(f"{path}/deactivate").data["is_active"] is False
    assert_problem(his.get("/mailboxes"), 401, "token-refused")
    assert api.post(f"{path}/reactivate").data["is_active"] is True
    assert his.get("/mailboxes").status_code == 200
    assert api.delete(path).status_code == 204
    assert_problem(api.get(path), 404, "not-found")
    actions = AuditEntry.objects.filter(action__startswith="user.").order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["user.changed", "user.deactivated", "user.reactivated", "user.removed"]


@pytest.mark.proves("A3", "A4")
def test_a_role_is_made_filled_given_an_operation_and_deleted(api, api_of, bob):
    his = api_of(bob)
    role = api.post("/roles", {"name": "Postmasters"})
    assert (role.status_code, role.data["members"], role.data["operations"]) == (201, [], [])
    path = f"/roles/{role.data['id']}"
    for _ in range(2):  # harmless when repeated
        assert api.call("PUT", f"{path}/members/{bob.pk}").data["members"] == [bob.pk]
        assert api.call("PUT", f"{path}/operations/manage_mail_servers").data["operations"] == ["manage_mail_servers"]
    assert his.get("/mail-servers").status_code == 200
    assert api.get(f"/people/{bob.pk}").data["roles"] == [role.data["id"]]
    assert api.delete(f"{path}/operations/manage_mail_servers").data["operations"] == []
    assert_problem(his.get("/mail-servers"), 403, "operation-missing")
    assert api.delete(f"{path}/members/{bob.pk}").data["members"] == []
    assert api.patch(path, {"name": "Mail team"}).data["name"] == "Mail team"
    assert fields(api.post("/roles", {"name": "mail TEAM"})) == ["name"]
    assert api.delete(path).status_code == 204
    actions = AuditEntry.objects.exclude(action__startswith="token.").order_by("pk").values_list("action", flat=True)
    assert list(actions) == [
        "role.created",
        "role.member_added",
        "operation.given",
        "operation.taken",
        "role.member_removed",
        "role.renamed",
        "role.deleted",
    ]


@pytest.mark.proves("A4")
def test_an_operation_is_given_to_a_person_and_taken(api, bob):
    path = f"/people/{bob.pk}/operations"
    assert api.call("PUT", f"{path}/view_email_logs").data["operations"] == ["view_email_logs"]
    assert api.delete(f"{path}/view_email_logs").data["operations"] == []
    assert fields(api.call("PUT", f"{path}/manage_templates")) == ["operation"]
    assert fields(api.call("PUT", f"{path}/everything")) == ["operation"]


@pytest.mark.proves("A3", "A4")
def test_who_manages_people_gives_nothing_beyond_her_own(api_of, manager, administrator, organization, bob, front_desk):
    api, administrators = api_of(manager), administrators_of(organization)
    OperationGrant.objects.create(role=front_desk, operation=Operation.MANAGE_MAIL_SERVERS)
    for method, path, body in (
        ("PATCH", f"/people/{administrator.pk}", {"name": "X"}),
        ("POST", f"/people/{administrator.pk}/deactivate", None),
        ("DELETE", f"/people/{administrator.pk}", None),
        ("POST", f"/people/{manager.pk}/deactivate", None),
        ("PUT", f"/people/{bob.pk}/operations/manage_mail_servers", None),
        ("PUT", f"/people/{manager.pk}/operations/manage_people", None),
        ("PUT", f"/roles/{administrators.pk}/members/{manager.pk}", None),
        ("PUT", f"/roles/{front_desk.pk}/members/{manager.pk}", None),
        ("PUT", f"/roles/{front_desk.pk}/operations/view_email_logs", None),
        ("PATCH", f"/roles/{administrators.pk}", {"name": "X"}),
        ("DELETE", f"/roles/{front_desk.pk}", None),
    ):
        assert_problem(api.call(method, path, body), 403, "forbidden")
    assert fields(api.post("/people", NEW | {"roles": [administrators.pk]})) == ["roles"]
    assert fields(api.post("/people", NEW | {"roles": [front_desk.pk]})) == ["roles"]
    assert not AuditEntry.objects.exclude(action__startswith="token.").exists()


def test_somebody_always_administers(api, organization, administrator, bob):
    administrators = administrators_of(organization)
    path = f"/roles/{administrators.pk}/members/{administrator.pk}"
    assert_problem(api.delete(path), 409, "last-administrator")
    add_member(administrators, bob, added_by=None)
    assert api.delete(path).status_code == 200


def test_writing_needs_its_scope(api_of, administrator):
    answer = api_of(administrator, Scope.PEOPLE_READ).post("/people", NEW)
    assert_problem(answer, 403, "scope-missing")
    assert answer.data["scope"] == "people:write"


def test_another_organization_is_not_known_of(api, dana, bob):
    foreign = administrators_of(dana.organization)
    for method, path in (
        ("PATCH", f"/people/{dana.pk}"),
        ("POST", f"/people/{dana.pk}/deactivate"),
        ("PUT", f"/people/{dana.pk}/operations/manage_people"),
        ("PUT", f"/roles/{foreign.pk}/members/{bob.pk}"),
    ):
        assert_problem(api.call(method, path, {} if method == "PATCH" else None), 404, "not-found")
