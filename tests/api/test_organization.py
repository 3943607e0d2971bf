"""`/options` and `/audit-log`: what the pages about the organization do, in JSON (spec A8, B3, E10, L1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from mailstore import schedule
from mailstore.models import SyncSchedule
from organizations import audit
from organizations.models import AuditEntry, OperationGrant, User
from organizations.operations import Operation
from organizations.scopes import Scope, opening_something
from providers.models import HiddenProvider, Provider
from tests.api.conftest import Api, assert_problem, fields

pytestmark = pytest.mark.proves("L1")


@pytest.fixture
def api(api_of, administrator) -> Api:
    return api_of(administrator)


@pytest.fixture
def keeper(charlie) -> User:
    """Manages email accounts, and no providers."""
    OperationGrant.objects.create(user=charlie, operation=Operation.MANAGE_EMAIL_ACCOUNTS)
    return charlie


# --- Options ------------------------------------------------------------------------------------------------------


@pytest.mark.proves("B3", "E10")
def test_the_options_are_read_and_changed(api, organization, mailbox):
    schedule.ensure(mailbox)
    SyncSchedule.objects.update(due_at=timezone.now() + timedelta(hours=3))
    assert api.get("/options").data == {
        "sync_interval": 5,
        "automatic_per_recipient": 20,
        "automatic_per_thread": 5,
        "allows_typed_servers": True,
        "hidden_providers": [],
    }
    changed = api.patch("/options", {"sync_interval": 60, "allows_typed_servers": False})
    assert (changed.data["sync_interval"], changed.data["allows_typed_servers"]) == (60, False)
    assert SyncSchedule.objects.get().due_at <= timezone.now() + timedelta(minutes=60)
    entry = AuditEntry.objects.get(action="organization.options_changed")
    assert entry.detail == {
        "before": {"sync_interval": 5, "allows_typed_servers": True},
        "after": {"sync_interval": 60, "allows_typed_servers": False},
    }
    assert api.patch("/options", {"sync_interval": 60}).status_code == 200
    assert api.patch("/options", {}).status_code == 200
    assert AuditEntry.objects.filter(action="organization.options_changed").count() == 1


@pytest.mark.proves("B3")
def test_hidden_services_are_listed_by_the_entry_that_counts_here(api, organization, other_organization):
    shared = Provider.objects.create(organization=None, key="zz_post", name="Post")
    other = Provider.objects.create(organization=None, key="zz_mail", name="Mail")
    own = Provider.objects.create(organization=organization, key="zz_post", name="Our post")
    HiddenProvider.objects.create(organization=other_organization, key=other.key)
    assert api.post(f"/providers/{own.pk}/hide").status_code == 200
    assert api.get("/options").data["hidden_providers"] == [own.pk]
    assert shared.pk != own.pk


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sync_interval": 0}, "sync_interval"),
        ({"sync_interval": 1441}, "sync_interval"),
        ({"sync_interval": 10**400}, "sync_interval"),
        ({"sync_interval": "5"}, "sync_interval"),
        ({"sync_interval": None}, "sync_interval"),
        ({"sync_interval": True}, "sync_interval"),
        ({"allows_typed_servers": 0}, "allows_typed_servers"),
        ({"allows_typed_servers": "false"}, "allows_typed_servers"),
        ({"hidden_providers": []}, "hidden_providers"),
        ({"name": "Ours now"}, "name"),
    ],
)
def test_an_option_that_cannot_be_taken_changes_nothing(api, organization, change, field):
    assert fields(api.patch("/options", {"sync_interval": 9} | change)) == [field]
    organization.refresh_from_db()
    assert (organization.sync_interval, organization.allows_typed_servers) == (5, True)
    assert not AuditEntry.objects.filter(action="organization.options_changed").exists()


@pytest.mark.proves("A4")
def test_each_option_needs_its_own_operation(api_of, keeper, bob, organization):
    api = api_of(keeper)
    assert api.patch("/options", {"sync_interval": 30}).status_code == 200
    refused = api.patch("/options", {"sync_interval": 31, "allows_typed_servers": False})
    assert_problem(refused, 403, "operation-missing")
    assert "“Manage email providers”" in refused.data["detail"]
    organization.refresh_from_db()
    assert (organization.sync_interval, organization.allows_typed_servers) == (30, True)
    nothing = api_of(bob).get("/options")
    assert_problem(nothing, 403, "operation-missing")
    assert "“Manage email accounts” or “Manage email providers”" in nothing.data["detail"]


@pytest.mark.proves("A4")
def test_scopes_are_offered_where_one_of_their_operations_is_held(keeper, bob):
    options = {Scope.OPTIONS_READ, Scope.OPTIONS_WRITE}
    assert options <= set(opening_something(keeper))
    assert not (options | {Scope.AUDIT_LOG_READ, Scope.PEOPLE_READ}) & set(opening_something(bob))
    assert Scope.NOTIFICATIONS_READ in opening_something(bob)


# --- The audit log ------------------------------------------------------------------------------------------------


@pytest.fixture
def entries(organization, other_organization, administrator, alice, mailbox) -> list[AuditEntry]:
    """Oldest first; the last is of another organization."""
    AuditEntry.objects.all().delete()
    refused = AuditEntry.Outcome.REFUSED
    return [
        audit.record("mailbox.created", organization=organization, actor=alice, target=mailbox, detail={"a": [1, "x"]}),
        audit.record("user.sign_in", organization=organization, actor=alice, target=alice, outcome=refused),
        audit.record("mailbox.deleted", organization=organization, actor=None, target=mailbox),
        audit.record("mailbox.deleted", organization=other_organization, actor=None, target=mailbox),
    ]


def ids(answer) -> list[int]:
    assert answer.status_code == 200, answer.content
    return [item["id"] for item in answer.data["items"]]


@pytest.mark.proves("A8", "A1")
def test_the_audit_log_is_the_organizations_own_newest_first(api, entries, alice, mailbox):
    created, sign_in, deleted, _ = entries
    answer = api.get("/audit-log")
    assert ids(answer) == [deleted.pk, sign_in.pk, created.pk]
    assert answer.data["next"] is None
    assert answer.data["items"][2] == {
        "id": created.pk,
        "at": answer.data["items"][2]["at"],
        "person": alice.pk,
        "person_name": str(alice),
        "action": "mailbox.created",
        "words": "Email account added",
        "object": {"kind": "mailbox", "id": str(mailbox.pk), "name": str(mailbox)},
        "outcome": "done",
        "address": None,
        "detail": {"a": [1, "x"]},
    }
    assert abs(datetime.fromisoformat(answer.data["items"][2]["at"]) - created.at) < timedelta(milliseconds=2)
    assert (answer.data["items"][0]["person"], answer.data["items"][0]["person_name"]) == (None, "System")


@pytest.mark.proves("A8")
def test_each_filter_of_the_page_narrows(api, entries, alice, mailbox):
    created, sign_in, deleted, _ = (entry.pk for entry in entries)
    today, tomorrow = timezone.now().date(), timezone.now().date() + timedelta(days=1)
    assert ids(api.get(f"/audit-log?person={alice.pk}")) == [sign_in, created]
    assert ids(api.get("/audit-log?person=0")) == [deleted]
    assert ids(api.get("/audit-log?action=mailbox.deleted")) == [deleted]
    assert ids(api.get(f"/audit-log?object=mailbox:{mailbox.pk}")) == [deleted, created]
    assert ids(api.get(f"/audit-log?name={alice}&outcome=refused")) == [sign_in]
    assert ids(api.get(f"/audit-log?since={today}&until={today}")) == [deleted, sign_in, created]
    assert ids(api.get(f"/audit-log?since={tomorrow}")) == []


@pytest.mark.proves("A8")
def test_days_are_those_of_the_person(api, entries, administrator):
    User.objects.filter(pk=administrator.pk).update(time_zone="Pacific/Kiritimati")  # 14 hours ahead
    AuditEntry.objects.filter(pk=entries[0].pk).update(at=datetime(2026, 3, 1, 11, tzinfo=UTC))
    assert ids(api.get("/audit-log?since=2026-03-02&until=2026-03-02")) == [entries[0].pk]
    assert ids(api.get("/audit-log?since=2026-03-01&until=2026-03-01")) == []


@pytest.mark.proves("A8")
def test_pages_of_the_log_follow_each_other_while_new_entries_come(api, organization, administrator):
    AuditEntry.objects.all().delete()
    rows = [audit.record("user.sign_in", organization=organization, actor=administrator) for _ in range(7)]
    seen, cursor = [], ""
    while cursor is not None:
        answer = api.get(f"/audit-log?limit=3&cursor={cursor}")
        seen += ids(answer)
        cursor = answer.data["next"]
        audit.record("user.sign_out", organization=organization, actor=administrator)
    assert seen == [row.pk for row in reversed(rows)]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("person=-1", "person"),
        ("person=1" + "0" * 30, "person"),
        ("person=999999999", "person"),
        ("person=x", "person"),
        ("action=mailbox.eaten", "action"),
        ("action=%00", "action"),
        ("object=mailbox", "object"),
        ("object=mailbox:%0a1", "object"),
        ("name=a%0d%0ab", "name"),
        ("name=" + "x" * 321, "name"),
        ("outcome=good", "outcome"),
        ("since=yesterday", "since"),
        ("since=0.0", "since"),
        ("since=86400", "since"),
        ("until=2026-11-21T00:00:00", "until"),
        ("until=2026-02-30", "until"),
        ("until=9999-12-31", "until"),
        ("cursor=7", "cursor"),
        ("limit=0", "limit"),
        ("persons=1", "persons"),
    ],
)
def test_a_filter_that_cannot_be_taken_is_named_and_means_never_everything(api, entries, query, field):
    assert fields(api.get(f"/audit-log?{query}")) == [field]


@pytest.mark.proves("A1")
def test_somebody_of_another_organization_is_no_filter(api, entries, dana):
    assert fields(api.get(f"/audit-log?person={dana.pk}")) == ["person"]


@pytest.mark.proves("A4")
def test_reading_the_log_needs_the_operation_and_the_scope(api_of, alice, administrator, entries):
    assert_problem(api_of(alice).get("/audit-log"), 403, "operation-missing")
    assert_problem(api_of(administrator, Scope.PEOPLE_READ).get("/audit-log"), 403, "scope-missing")
    assert api_of(administrator, Scope.AUDIT_LOG_READ).get("/audit-log").status_code == 200


def test_a_page_of_the_log_takes_the_same_queries_however_long(
    api, organization, administrator, django_assert_max_num_queries
):
    for _ in range(60):
        audit.record("user.sign_in", organization=organization, actor=administrator, target=administrator)
    api.get("/audit-log?limit=1")
    with django_assert_max_num_queries(6):
        assert len(ids(api.get("/audit-log?limit=50"))) == 50
