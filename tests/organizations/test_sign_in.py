"""Signing in and out, what is told to whom, and what it leaves in the audit log."""

import pytest
from django.test import Client

from organizations.models import AuditEntry
from organizations.roles import add_member, administrators_of, deactivate
from tests.conftest import PASSWORD

LOGIN = "/account/login/"


def sign_in(client: Client, address: str, password: str, **extra):
    return client.post(LOGIN, {"login": address, "password": password}, **extra)


def entries(action: str) -> list[tuple[str, str | None]]:
    return [(entry.outcome, entry.address) for entry in AuditEntry.objects.filter(action=action).order_by("pk")]


def test_every_page_but_the_entrance_asks_to_sign_in(client, db):
    answer = client.get("/profile")
    assert (answer.status_code, answer["Location"]) == (302, f"{LOGIN}?next=/profile")


def test_the_address_is_compared_without_case_and_the_way_goes_on_to_the_page_asked_for(client, alice):
    answer = client.post(
        f"{LOGIN}?next=/profile", {"login": "Alice@Example.ORG", "password": PASSWORD, "next": "/profile"}
    )
    assert (answer.status_code, answer["Location"]) == (302, "/profile")


def test_nobody_is_sent_to_a_foreign_page(client, alice):
    answer = client.post(LOGIN, {"login": alice.email, "password": PASSWORD, "next": "https://elsewhere.example/"})
    assert answer["Location"] == "/"


@pytest.mark.parametrize("address", ["alice@example.org", "nobody@example.org"])
def test_a_wrong_password_and_an_unknown_address_read_the_same_and_keep_the_address(client, alice, address):
    page = sign_in(client, address, "wrong").content.decode()
    assert "do not belong together" in page
    assert f'value="{address}"' in page
    assert 'value="wrong"' not in page


@pytest.mark.proves("A2")
def test_after_five_wrong_passwords_even_the_right_one_waits(client, alice):
    for _ in range(5):
        sign_in(client, alice.email, "wrong")
    page = sign_in(client, alice.email, PASSWORD).content.decode()
    assert "Wait five minutes" in page
    assert "_auth_user_id" not in client.session


@pytest.mark.proves("A2", "A8")
def test_sign_ins_and_refusals_are_recorded_with_where_they_came_from(client, alice):
    sign_in(client, alice.email, "wrong", REMOTE_ADDR="192.0.2.9")
    sign_in(client, alice.email, PASSWORD, REMOTE_ADDR="2001:db8::7")
    client.post("/account/logout/", REMOTE_ADDR="2001:db8::7")
    assert entries("user.sign_in") == [("refused", "192.0.2.9"), ("done", "2001:db8::7")]
    assert entries("user.sign_out") == [("done", "2001:db8::7")]
    assert "wrong" not in str(
        AuditEntry.objects.values_list("detail", flat=True).exclude(detail={"reason": "wrong password"})
    )


def test_somebody_who_is_switched_off_does_not_get_in(client, administrator, alice):
    add_member(administrators_of(alice.organization), alice, added_by=None)
    deactivate(alice)
    sign_in(client, alice.email, PASSWORD)
    assert "_auth_user_id" not in client.session


def test_signing_out_takes_a_post(client_of, alice):
    client = client_of(alice)
    assert "Sign out?" in client.get("/account/logout/").content.decode()
    assert "_auth_user_id" in client.session
    assert client.post("/account/logout/")["Location"] == LOGIN
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize("path", ["signup/", "email/", "login/code/"])
def test_what_administrators_do_is_not_open_to_everybody(client, db, path):
    assert client.get(f"/account/{path}").status_code in (302, 404)
    assert client.post(f"/account/{path}", {"email": "x@example.org"}).status_code in (302, 404)


def test_a_part_of_a_page_whose_session_ended_sends_the_whole_page_to_sign_in(client, db):
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/profile?x=1"}
    answer = client.get("/profile", headers=headers)
    assert answer.status_code == 204
    assert answer["HX-Redirect"] == f"{LOGIN}?next=%2Fprofile%3Fx%3D1"


def test_a_form_from_before_a_sign_in_says_what_to_do(alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    answer = client.post("/profile", {"name": "Mallory"})
    assert answer.status_code == 403
    assert "reload the page" in answer.content.decode()
    alice.refresh_from_db()
    assert alice.name == "Alice"


# --- Password -----------------------------------------------------------------------------------------------------


def test_changing_the_password_ends_the_other_sessions_and_keeps_this_one(client_of, alice):
    here, elsewhere = client_of(alice), client_of(alice)
    answer = here.post(
        "/account/password/change/",
        {"oldpassword": PASSWORD, "password1": "battery staple nine", "password2": "battery staple nine"},
    )
    assert answer["Location"] == "/profile"
    assert "Your password is changed." in here.get("/profile").content.decode()
    assert elsewhere.get("/profile").status_code == 302
    assert entries("user.password_changed") == [("done", "127.0.0.1")]


def test_a_wrong_current_password_changes_nothing(client_of, alice):
    page = client_of(alice).post(
        "/account/password/change/",
        {"oldpassword": "wrong", "password1": "battery staple nine", "password2": "battery staple nine"},
    )
    assert "This is not your current password." in page.content.decode()
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)
