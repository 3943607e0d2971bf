"""The first administrator: by link, by two variables, never twice."""

from datetime import UTC, datetime

import pytest
from django.test import Client

from organizations.models import AuditEntry, Organization, SetupLink, User
from organizations.operations import Operation
from organizations.setup import (
    FirstAdministrator,
    UnusableSetupLink,
    create_first_administrator,
    make_setup_link,
    use_setup_link,
)
from tests.simultaneously import simultaneously

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADA = FirstAdministrator(
    organization_name="Example Ltd", name="Ada", email="ada@example.org", password="a long enough word"
)
FORM = {
    "organization_name": "Example Ltd",
    "name": "Ada",
    "email": "ada@example.org",
    "password": "a long enough word",
    "time_zone": "Europe/Vienna",
}


def test_the_link_makes_an_organization_with_an_administrator_who_holds_every_operation(db):
    user = use_setup_link(make_setup_link(NOW), ADA, now=NOW)
    assert user.organization.name == "Example Ltd"
    assert user.operations == frozenset(Operation)
    assert user.check_password(ADA.password)


def test_only_the_hash_of_the_token_is_stored(db):
    token = make_setup_link(NOW)
    [link] = SetupLink.objects.all()
    assert token not in link.token_hash
    assert len(link.token_hash) == 64


def test_a_link_works_once(db):
    token = make_setup_link(NOW)
    use_setup_link(token, ADA, now=NOW)
    with pytest.raises(UnusableSetupLink) as refusal:
        use_setup_link(token, ADA, now=NOW)
    assert refusal.value.was_used
    assert User.objects.count() == 1


def test_an_unknown_link_makes_nobody(db):
    make_setup_link(NOW)
    with pytest.raises(UnusableSetupLink) as refusal:
        use_setup_link("guessed", ADA, now=NOW)
    assert not refusal.value.was_used
    assert not Organization.objects.exists()


def test_a_new_link_ends_the_older_one(db):
    older = make_setup_link(NOW)
    newer = make_setup_link(NOW)
    with pytest.raises(UnusableSetupLink):
        use_setup_link(older, ADA, now=NOW)
    assert use_setup_link(newer, ADA, now=NOW).name == "Ada"


def test_the_variables_make_the_administrator_and_end_the_link(db):
    token = make_setup_link(NOW)
    user = create_first_administrator("ada.lovelace@example.org", "a long enough word")
    assert user is not None
    assert (user.name, user.organization.name) == ("Ada Lovelace", "example.org")
    with pytest.raises(UnusableSetupLink):
        use_setup_link(token, ADA, now=NOW)


def test_the_variables_change_nothing_once_somebody_exists(alice):
    assert create_first_administrator("ada@example.org", "a long enough word") is None
    assert list(User.objects.all()) == [alice]


@pytest.mark.django_db(transaction=True)
def test_two_uses_at_the_same_moment_make_one_administrator():
    token = make_setup_link(NOW)
    outcomes = simultaneously(*[lambda: use_setup_link(token, ADA, now=NOW)] * 2)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["UnusableSetupLink", "User"]
    assert (User.objects.count(), Organization.objects.count()) == (1, 1)


# --- The page -----------------------------------------------------------------------------------------------------


def test_the_page_signs_the_new_administrator_in(client, db):
    answer = client.post(f"/setup/{make_setup_link(NOW)}", FORM, REMOTE_ADDR="192.0.2.7")
    assert (answer.status_code, answer["Location"]) == (302, "/")
    user = User.objects.get()
    assert client.session["_auth_user_id"] == str(user.pk)
    assert user.time_zone == "Europe/Vienna"
    entry = AuditEntry.objects.get(action="organization.set_up")
    assert (entry.actor, entry.address) == (user, "192.0.2.7")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("organization_name", "", "“Organization” is empty. Fill it in."),
        ("email", "ada at example", "wants an email address such as anna@example.com"),
        ("password", "short", "at least 10 characters"),
        ("password", "ada@example.org", "too similar"),
    ],
)
def test_wrong_input_is_explained_and_what_was_typed_stays(client, db, field, value, words):
    answer = client.post(f"/setup/{make_setup_link(NOW)}", {**FORM, field: value})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert words in page
    assert 'value="Ada"' in page
    assert not User.objects.exists()


def test_a_typed_password_is_never_written_back_into_the_page(client, db):
    answer = client.post(f"/setup/{make_setup_link(NOW)}", {**FORM, "organization_name": ""})
    assert answer.status_code == 422
    assert FORM["password"] not in answer.content.decode()


def test_a_time_zone_that_does_not_exist_becomes_utc(client, db):
    client.post(f"/setup/{make_setup_link(NOW)}", {**FORM, "time_zone": "Mars/Olympus"})
    assert User.objects.get().time_zone == "UTC"


def test_a_used_link_says_so_and_leads_to_sign_in(client, db):
    token = make_setup_link(NOW)
    client.post(f"/setup/{token}", FORM)
    answer = Client().get(f"/setup/{token}")
    assert answer.status_code == 404
    assert "works only once" in answer.content.decode()
    assert "/account/login/" in answer.content.decode()


def test_an_unknown_link_says_where_the_right_one_stands(client, db):
    answer = client.get("/setup/guessed")
    assert answer.status_code == 404
    assert "Every start prints a new link" in answer.content.decode()
