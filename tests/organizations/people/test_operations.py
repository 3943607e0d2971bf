"""The table of operations, and the pages of roles."""

from __future__ import annotations

import re

import pytest

from organizations.models import AuditEntry, OperationGrant, Role, User
from organizations.operations import EXPLANATIONS, OFFERED, Operation
from organizations.roles import administrators_of
from tests.conftest import person

OPERATIONS = "/people/operations"


def tick(client, operation: str, *, given: bool = True, **holder: int):
    return client.post(OPERATIONS, {"operation": operation, **holder, **({"granted": "1"} if given else {})})


@pytest.mark.proves("A4")
def test_a_tick_gives_at_once_and_is_recorded_once(as_administrator, alice, client_of):
    assert client_of(alice).get("/people/").status_code == 403
    for _ in range(2):
        answer = tick(as_administrator, "manage_people", person=alice.pk)
    assert "Alice may now manage people" in answer["HX-Trigger"]
    assert client_of(alice).get("/people/").status_code == 200
    [entry] = AuditEntry.objects.filter(action="operation.given")
    assert (entry.object_label, entry.detail, entry.actor_label) == ("Alice", {"operation": "Manage people"}, "Ada")


@pytest.mark.proves("A4")
def test_a_cleared_tick_takes_at_once_and_is_recorded_once(as_administrator, alice, give, client_of):
    give(alice, Operation.MANAGE_PEOPLE)
    for _ in range(2):
        tick(as_administrator, "manage_people", given=False, person=alice.pk)
    assert client_of(alice).get("/people/").status_code == 403
    assert AuditEntry.objects.filter(action="operation.taken").count() == 1


@pytest.mark.proves("A3", "A4")
def test_a_role_gives_to_its_members_and_the_table_says_through_which(as_administrator, alice, sales, join):
    join(alice, sales)
    answer = tick(as_administrator, "view_email_logs", role=sales.pk)
    assert "operations:changed" in answer["HX-Trigger"]
    assert User.objects.get(pk=alice.pk).operations == {Operation.VIEW_EMAIL_LOGS}
    [row] = [row for row in as_administrator.get(OPERATIONS).context["people"] if row.holder == alice]
    assert [(cell.operation.value, cell.is_given, cell.through) for cell in row.cells if cell.through] == [
        ("view_email_logs", False, "Sales")
    ]


def test_administrators_hold_everything_without_a_tick(as_administrator, administrator):
    role = administrators_of(administrator.organization)
    assert tick(as_administrator, "manage_people", given=False, role=role.pk).status_code == 403
    rows = as_administrator.get(OPERATIONS).context["roles"]
    assert [(row.holder, row.holds_all, row.cells) for row in rows] == [(role, True, [])]


def test_every_operation_is_explained_in_one_sentence(as_administrator):
    page = as_administrator.get(OPERATIONS).content.decode()
    assert set(EXPLANATIONS) == set(OFFERED)
    for operation in OFFERED:
        assert operation.label in page
        assert re.fullmatch(r"[A-Z][^.]+\.", operation.explanation)


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({}, 400),
        ({"operation": "rule_the_world", "person": "1"}, 400),
        ({"operation": "manage_templates", "person": "1"}, 400),  # opens nothing yet
        ({"operation": "manage_people"}, 404),
        ({"operation": "manage_people", "person": "x"}, 404),
        ({"operation": "manage_people", "role": "9" * 30}, 404),
        ({"operation": "manage_people\x00", "role": "1"}, 400),
    ],
)
def test_hostile_ticks_change_nothing(as_administrator, values, status):
    before = OperationGrant.objects.count()
    assert as_administrator.post(OPERATIONS, values).status_code == status
    assert OperationGrant.objects.count() == before


def test_the_number_of_queries_does_not_grow_with_roles_people_and_ticks(
    as_administrator, assert_queries, organization, give, join
):
    def grow() -> None:
        for number in range(5):
            role = Role.objects.create(organization=organization, name=f"Role {Role.objects.count()}")
            user = person(organization, f"p{User.objects.count()}")
            join(user, role)
            give(user, list(Operation)[number])
            give(role, list(Operation)[number])

    grow()
    assert_queries.constant(lambda: as_administrator.get(OPERATIONS), grow)


# --- Roles --------------------------------------------------------------------------------------------------------


@pytest.mark.proves("A3")
def test_a_role_is_made_renamed_filled_emptied_and_deleted(as_administrator, alice):
    as_administrator.post("/people/roles/new", {"name": "Client service"})
    role = Role.objects.get(name="Client service")
    as_administrator.post(f"/people/roles/{role.pk}", {"name": "Client service department"})
    as_administrator.post(f"/people/roles/{role.pk}/members", {"person": alice.pk})
    assert "Alice" in as_administrator.get(f"/people/roles/{role.pk}").content.decode()
    as_administrator.post(f"/people/roles/{role.pk}/members/{alice.pk}/remove")
    assert not role.members.exists()
    as_administrator.post(f"/people/roles/{role.pk}/delete")
    actions = AuditEntry.objects.filter(action__startswith="role.").order_by("pk").values_list("action", "object_label")
    assert list(actions) == [
        ("role.created", "Client service"),
        ("role.renamed", "Client service department"),
        ("role.member_added", "Client service department"),
        ("role.member_removed", "Client service department"),
        ("role.deleted", "Client service department"),
    ]


def test_deleting_a_role_says_first_what_its_members_lose(as_administrator, alice, bob, sales, join, give):
    for user in (alice, bob):
        join(user, sales)
    give(sales, Operation.VIEW_EMAIL_LOGS)
    page = " ".join(as_administrator.get(f"/people/roles/{sales.pk}/delete").content.decode().split())
    assert "2 people lose what the role gives" in page
    assert "view email logs" in page
    as_administrator.post(f"/people/roles/{sales.pk}/delete")
    assert not User.objects.get(pk=alice.pk).operations


@pytest.mark.parametrize(("what", "values"), [("", {"name": "Chiefs"}), ("/delete", {})])
def test_the_role_administrators_is_built_in(as_administrator, administrator, what, values):
    role = administrators_of(administrator.organization)
    assert as_administrator.post(f"/people/roles/{role.pk}{what}", values).status_code == 403
    role.refresh_from_db()
    assert role.name == "Administrators"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "“Name” is empty"),
        ("SALES", "has this name already"),
        ("x" * 101, "at most 100"),
        ("A\nB", "in one line"),
        ("A\x00", "cannot be kept"),
    ],
)
def test_a_wrong_name_of_a_role_is_explained(as_administrator, sales, name, words):
    other = Role.objects.create(organization=sales.organization, name="Other")
    for url in ("/people/roles/new", f"/people/roles/{other.pk}"):
        answer = as_administrator.post(url, {"name": name})
        assert answer.status_code == 422
        assert words in answer.content.decode()
    assert set(Role.objects.filter(is_administrators=False).values_list("name", flat=True)) == {"Sales", "Other"}


def test_two_organizations_may_have_roles_of_the_same_name(as_administrator, sales, client_of, dana):
    assert client_of(dana).post("/people/roles/new", {"name": "Sales"}).status_code == 302
    assert Role.objects.filter(name="Sales").count() == 2
