"""One's own profile."""

import pytest

from organizations import timezones
from organizations.models import AuditEntry
from tests.api.conftest import api_of

__all__ = ["api_of"]

pytestmark = pytest.mark.proves("A6")


def test_the_profile_is_saved_confirmed_and_recorded(client_of, alice):
    client = client_of(alice)
    values = {"name": "Alice Liddell", "language": "de", "time_zone": "Europe/London", "undo_seconds": 30}
    answer = client.post("/profile", values, follow=True)
    assert "Your profile is saved." in answer.content.decode()
    alice.refresh_from_db()
    assert (alice.name, alice.language, alice.time_zone) == ("Alice Liddell", "de", "Europe/London")
    assert alice.undo_seconds == 30
    entry = AuditEntry.objects.get(action="user.profile_changed")
    assert (entry.actor, entry.detail, entry.address) == (
        alice,
        {"fields": ["name", "language", "time_zone", "undo_seconds"]},
        "127.0.0.1",
    )


def test_saving_without_a_change_records_nothing(client_of, alice):
    client_of(alice).post(
        "/profile", {"name": alice.name, "language": "en", "time_zone": alice.time_zone, "undo_seconds": 10}
    )
    assert not AuditEntry.objects.filter(action="user.profile_changed").exists()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", " ", "“Name” is empty"),
        ("name", "x" * 151, "150"),
        ("language", "tlh", "does not offer that"),
        ("language", "", "“Language” is empty"),
        ("time_zone", "Mars/Olympus", "does not offer that"),
        ("undo_seconds", "7", "does not offer that"),
    ],
)
def test_wrong_input_is_explained_and_the_stored_name_stands_in_the_side_bar(client_of, alice, field, value, words):
    values = {"name": "Changed", "language": "en", "time_zone": "UTC", "undo_seconds": 10, field: value}
    answer = client_of(alice).post("/profile", values)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert '<span class="truncate">Alice</span>' in answer.content.decode()
    alice.refresh_from_db()
    assert alice.name == "Alice"


def test_nothing_but_name_language_and_time_zone_can_be_posted(client_of, alice, other_organization):
    values = {
        "name": "Al",
        "language": "en",
        "time_zone": "UTC",
        "undo_seconds": 10,
        "email": "x@example.org",
        "organization": other_organization.pk,
    }
    client_of(alice).post("/profile", {**values, "is_active": ""})
    alice.refresh_from_db()
    assert (alice.name, alice.email) == ("Al", "alice@example.org")
    assert (alice.organization.name, alice.is_active) == ("Example Ltd", True)


def test_the_language_is_that_of_the_mail_and_the_pages_say_that_they_stay_english(client_of, alice):
    alice.language = "fi"
    alice.save(update_fields=["language"])
    page = client_of(alice).get("/profile").content.decode()
    assert '<html lang="en">' in page
    assert '<option value="fi" selected>Finnish (Suomi)</option>' in page
    assert "The pages are in English." in page


def test_time_zones_are_offered_by_the_names_of_today(client_of, alice):
    offered = {name for _, places in timezones.choices() for name, _ in places}
    assert {"Europe/Amsterdam", "Europe/Kyiv", "Asia/Kolkata", "Antarctica/Troll", "UTC"} <= offered
    assert not {"Europe/Kiev", "Asia/Calcutta", "America/Buenos_Aires", "Asia/Saigon"} & offered
    assert "Asia/Calcutta" not in client_of(alice).get("/profile").content.decode()


def test_an_old_name_that_was_chosen_before_stays_and_programs_may_use_it(client_of, api_of, alice):
    alice.time_zone = "Asia/Calcutta"
    alice.save(update_fields=["time_zone"])
    client = client_of(alice)
    assert '<option value="Asia/Calcutta" selected>' in client.get("/profile").content.decode()
    client.post(
        "/profile", {"name": "Alice Liddell", "language": "en", "time_zone": "Asia/Calcutta", "undo_seconds": 10}
    )
    alice.refresh_from_db()
    assert (alice.name, alice.time_zone) == ("Alice Liddell", "Asia/Calcutta")
    assert api_of(alice).patch("/profile", {"time_zone": "US/Eastern"}).data["time_zone"] == "US/Eastern"


def test_where_no_table_tells_the_names_of_today_all_are_offered(monkeypatch, tmp_path):
    monkeypatch.setattr(timezones, "TZPATH", (str(tmp_path),))
    assert timezones.present_names.__wrapped__() == timezones.names()
