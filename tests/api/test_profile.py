"""`/profile` and `/notifications`: each person's own, in JSON (spec A6, A7, L1)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from notifications.kinds import Kind
from notifications.models import MailChoice, Notification
from notifications.telling import tell
from organizations.models import AuditEntry, OperationGrant, Role, User
from organizations.operations import Operation
from organizations.roles import add_member
from organizations.scopes import Scope
from tests.api.conftest import Api, assert_problem, fields

pytestmark = pytest.mark.proves("L1")


@pytest.fixture
def api(api_of, alice) -> Api:
    return api_of(alice)


# --- The profile --------------------------------------------------------------------------------------------------


@pytest.mark.proves("A6")
def test_the_profile_says_who_one_is_and_what_one_may_do(api, alice, organization):
    role = Role.objects.create(organization=organization, name="Front desk")
    OperationGrant.objects.create(role=role, operation=Operation.VIEW_EMAIL_LOGS)
    add_member(role, alice, added_by=None)
    assert api.get("/profile").data == {
        "id": alice.pk,
        "name": "Alice",
        "email": alice.email,
        "time_zone": "UTC",
        "language": "en",
        "undo_seconds": 10,
        "organization": {"id": organization.pk, "name": organization.name},
        "roles": [role.pk],
        "operations": ["view_email_logs"],
    }


@pytest.mark.proves("A6", "A8")
def test_the_name_and_the_time_zone_are_changed_as_on_the_page(api, alice):
    changed = api.patch("/profile", {"time_zone": "Europe/Berlin"})
    assert (changed.data["name"], changed.data["time_zone"]) == ("Alice", "Europe/Berlin")
    assert api.patch("/profile", {"name": " Alice Berg "}).data["name"] == "Alice Berg"
    assert api.patch("/profile", {"name": "Alice Berg"}).status_code == 200
    assert api.patch("/profile", {}).status_code == 200
    alice.refresh_from_db()
    assert (alice.name, alice.time_zone) == ("Alice Berg", "Europe/Berlin")
    assert api.patch("/profile", {"language": "fr"}).data["language"] == "fr"
    entries = AuditEntry.objects.filter(action="user.profile_changed").order_by("pk")
    assert [entry.detail for entry in entries] == [
        {"fields": ["time_zone"]},
        {"fields": ["name"]},
        {"fields": ["language"]},
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": None}, "name"),
        ({"name": "x" * 151}, "name"),
        ({"name": "a\r\nBcc: x@example.org"}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"time_zone": "../../etc/passwd"}, "time_zone"),
        ({"time_zone": ""}, "time_zone"),
        ({"language": "tlh"}, "language"),
        ({"language": ""}, "language"),
        ({"undo_seconds": 7}, "undo_seconds"),
        ({"email": "root@example.org"}, "email"),
        ({"is_active": True}, "is_active"),
        ({"organization": 1}, "organization"),
    ],
)
def test_what_cannot_be_taken_changes_nothing(api, alice, change, field):
    before = User.objects.filter(pk=alice.pk).values().get()
    assert fields(api.patch("/profile", change)) == [field]
    assert User.objects.filter(pk=alice.pk).values().get() == before
    assert not AuditEntry.objects.filter(action="user.profile_changed").exists()


def test_reading_the_profile_opens_no_writing(api_of, alice):
    api = api_of(alice, Scope.PROFILE_READ)
    assert api.get("/profile").status_code == 200
    assert_problem(api.patch("/profile", {"name": "X"}), 403, "scope-missing")


# --- Notifications ------------------------------------------------------------------------------------------------


@pytest.fixture
def told(alice, bob) -> list[Notification]:
    """Three for Alice, oldest first, and one for Bob."""
    now = timezone.now()
    for minutes, user in enumerate((alice, alice, alice, bob)):
        tell(
            [user],
            Kind.MESSAGE_FAILED,
            title=f"Number {minutes}",
            text="“Offer” was refused.",
            url="/logs/email/7",
            key=str(minutes),
            now=now + timedelta(minutes=minutes),
        )
    return list(Notification.objects.order_by("pk"))


@pytest.mark.proves("A7")
def test_one_reads_what_one_was_told_newest_first_and_page_by_page(api, told):
    first = api.get("/notifications?limit=2").data
    assert [item["title"] for item in first["items"]] == ["Number 2", "Number 1"]
    second = api.get(f"/notifications?limit=2&cursor={first['next']}").data
    assert [item["title"] for item in second["items"]] == ["Number 0"]
    assert second["next"] is None
    shown = second["items"][0]
    assert {name: shown[name] for name in ("id", "kind", "text", "link", "read_at")} == {
        "id": told[0].pk,
        "kind": "message_failed",
        "text": "“Offer” was refused.",
        "link": "http://testserver/logs/email/7",
        "read_at": None,
    }


@pytest.mark.proves("A7")
def test_reading_one_and_reading_all_count_down(api, told):
    assert api.get("/notifications/unread").data == {"unread": 3}
    read = api.post(f"/notifications/{told[1].pk}/read")
    assert read.status_code == 200
    assert read.data["read_at"] is not None
    assert api.post(f"/notifications/{told[1].pk}/read").data == read.data  # the first moment stays
    assert api.get("/notifications/unread").data == {"unread": 2}
    assert [item["id"] for item in api.get("/notifications?unread=true").data["items"]] == [told[2].pk, told[0].pk]
    assert api.post("/notifications/read").data == {"marked": 2}
    assert api.post("/notifications/read").data == {"marked": 0}
    assert Notification.objects.unread().get() == told[3]  # Bob's


@pytest.mark.proves("A7", "A1")
def test_somebody_elses_notification_does_not_exist(api, told):
    assert_problem(api.post(f"/notifications/{told[3].pk}/read"), 404, "not-found")
    assert Notification.objects.unread().count() == 4


@pytest.mark.proves("A7")
def test_reading_tells_the_open_pages_of_the_person(api, told, alice, monkeypatch, django_capture_on_commit_callbacks):
    heard = []
    monkeypatch.setattr("organizations.live._publish", lambda channel, text: heard.append(text))
    with django_capture_on_commit_callbacks(execute=True):
        api.post(f"/notifications/{told[0].pk}/read")
        api.post(f"/notifications/{told[0].pk}/read")
    assert heard == [f'{{"kind": "notifications", "pk": {alice.pk}}}']


@pytest.mark.proves("A7", "A8")
def test_what_is_mailed_is_chosen_as_on_the_page(api, told, alice, bob):
    assert Notification.objects.of(alice).awaiting_mail().count() == 3
    before = api.get("/notifications/choices").data
    assert before == {kind.value: kind.manner.by_mail for kind in Kind}
    changed = api.patch("/notifications/choices", {"message_failed": False, "mailbox_connected": True})
    assert changed.data == before | {"message_failed": False, "mailbox_connected": True}
    assert api.get("/notifications/choices").data == changed.data
    assert not Notification.objects.of(alice).awaiting_mail().exists()
    assert MailChoice.objects.of(bob) == {kind: kind.manner.by_mail for kind in Kind}
    api.patch("/notifications/choices", {})
    assert AuditEntry.objects.filter(action="user.notifications_changed").count() == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"message_failed": None}, "message_failed"),
        ({"message_failed": "on"}, "message_failed"),
        ({"message_failed": 0}, "message_failed"),
        ({"message_eaten": True}, "message_eaten"),
        ({"user": 1}, "user"),
    ],
)
def test_a_choice_that_cannot_be_taken_changes_nothing(api, change, field):
    assert fields(api.patch("/notifications/choices", change)) == [field]
    assert not MailChoice.objects.exists()


@pytest.mark.parametrize("query", ["unread=perhaps", "cursor=x", "limit=101", "since=1"])
def test_a_mistyped_filter_is_refused(api, query):
    assert fields(api.get(f"/notifications?{query}")) == [query.partition("=")[0]]


def test_the_choices_name_every_kind(api):
    """A new kind needs its member in notifications/api.py."""
    assert set(api.get("/notifications/choices").data) == set(Kind)


def test_a_page_of_notifications_takes_the_same_queries_however_long(api, alice, django_assert_max_num_queries):
    now = timezone.now()
    for number in range(60):
        tell([alice], Kind.MAILBOX_CONNECTED, title="It works", url="/", key=str(number), now=now)
    api.get("/notifications?limit=1")
    with django_assert_max_num_queries(4):
        assert len(api.get("/notifications?limit=50").data["items"]) == 50
