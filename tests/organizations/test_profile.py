"""One's own profile."""

import pytest

from organizations.models import AuditEntry

pytestmark = pytest.mark.proves("A6")


def test_the_profile_is_saved_confirmed_and_recorded(client_of, alice):
    client = client_of(alice)
    answer = client.post(
        "/profile", {"name": "Alice Liddell", "language": "de", "time_zone": "Europe/London"}, follow=True
    )
    assert "Your profile is saved." in answer.content.decode()
    alice.refresh_from_db()
    assert (alice.name, alice.language, alice.time_zone) == ("Alice Liddell", "de", "Europe/London")
    entry = AuditEntry.objects.get(action="user.profile_changed")
    assert (entry.actor, entry.detail, entry.address) == (
        alice,
        {"fields": ["name", "language", "time_zone"]},
        "127.0.0.1",
    )


def test_saving_without_a_change_records_nothing(client_of, alice):
    client_of(alice).post("/profile", {"name": alice.name, "language": "en", "time_zone": alice.time_zone})
    assert not AuditEntry.objects.filter(action="user.profile_changed").exists()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", " ", "“Name” is empty"),
        ("name", "x" * 151, "150"),
        ("language", "tlh", "does not offer that"),
        ("language", "", "“Language” is empty"),
        ("time_zone", "Mars/Olympus", "does not offer that"),
    ],
)
def test_wrong_input_is_explained_and_the_stored_name_stands_in_the_side_bar(client_of, alice, field, value, words):
    values = {"name": "Changed", "language": "en", "time_zone": "UTC", field: value}
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
