"""A forgotten password: a link by account mail, and no word about who has an account."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from organizations import password_recovery, people
from organizations.models import AuditEntry, PasswordRequest
from organizations.password_recovery import link_path
from organizations.tasks import sweep_password_requests
from tests.conftest import PASSWORD
from tests.organizations.people.test_invitations import mailed_link

RESET = "/account/password/reset/"
NEW = {"password1": "battery staple nine", "password2": "battery staple nine"}


@pytest.fixture
def ask(client, db, django_capture_on_commit_callbacks):
    def ask(address: str):
        with django_capture_on_commit_callbacks(execute=True):
            return client.post(RESET, {"email": address})

    return ask


def link_in(server) -> str:
    raw = server.taken[-1].raw.replace(b"=\r\n", b"").decode()
    return re.search(r"http://testserver(/account/password/reset/\S+)", raw)[1]


@pytest.mark.proves("A5")
def test_from_the_forgotten_password_to_the_new_one(ask, alice, account_server):
    assert ask("ALICE@example.org")["Location"] == "/account/password/reset/sent/"
    assert account_server.taken[0].recipients == ["alice@example.org"]
    newcomer = Client()
    page = newcomer.get(link_in(account_server), follow=True)
    assert page.redirect_chain[0][0].endswith("/set-password/")  # the key leaves the address, and the Referer
    assert newcomer.post(page.redirect_chain[0][0], NEW).status_code == 302
    assert newcomer.get("/profile").status_code == 200
    alice.refresh_from_db()
    assert alice.check_password(NEW["password1"])
    assert list(AuditEntry.objects.filter(actor=alice).order_by("pk").values_list("action", "outcome")) == [
        ("user.password_link_sent", "done"),
        ("user.password_reset", "done"),
        ("user.sign_in", "done"),
    ]


def test_the_link_works_once_and_ends_other_sessions(ask, alice, account_server, client_of):
    elsewhere = client_of(alice)
    ask("alice@example.org")
    link = link_in(account_server)
    visitor = Client()
    visitor.post(visitor.get(link)["Location"], NEW)
    assert elsewhere.get("/profile").status_code == 302
    assert "This link does not work" in Client().get(link, follow=True).content.decode()


@pytest.mark.parametrize("address", ["alice@example.org", "nobody@example.org", "bob@example.org"])
def test_the_answer_is_the_same_whoever_has_the_address(
    ask, client, administrator, alice, bob, account_server, address
):
    people.deactivate(bob, by=administrator, now=timezone.now())
    answer = ask(address)
    assert answer["Location"] == "/account/password/reset/sent/"
    page = client.get(answer["Location"]).content.decode()
    assert "If that address has an account here" in page
    assert address not in page
    assert PasswordRequest.objects.count() == 1  # the same work, too
    assert len(account_server.taken) == (1 if address == alice.email else 0)


def test_asking_is_slowed_down_per_address_for_known_and_unknown_alike(ask):
    for address in ("alice@example.org", "nobody@example.org"):
        assert [ask(address).status_code for _ in range(6)] == [302] * 5 + [429]


def test_an_old_address_opens_nothing_any_more(ask, as_administrator, alice, account_server):
    ask("alice@example.org")
    link = link_in(account_server)
    as_administrator.post(f"/people/{alice.pk}", {"name": "Alice", "email": "alice.l@example.org"})
    assert "This link" not in Client().get(link, follow=True).content.decode(), "it is not confirmed yet"
    Client().post(mailed_link(account_server))
    assert "This link does not work" in Client().get(link, follow=True).content.decode()
    count = len(account_server.taken)
    ask("alice@example.org")
    assert len(account_server.taken) == count


def test_a_link_from_before_somebody_was_deactivated_sets_no_password(administrator, alice):
    link = link_path(alice)
    people.deactivate(alice, by=administrator, now=timezone.now())
    client = Client()
    form = client.get(link)["Location"]
    answer = client.post(form, NEW)
    assert "This account is switched off." in answer.content.decode()
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_a_failure_is_written_where_administrators_look(ask, alice, settings):
    settings.ACCOUNT_MAIL_URL = "smtp://accounts%40example.org:pass-word@10.9.9.9:587"
    assert ask("alice@example.org").status_code == 302
    entry = AuditEntry.objects.get(action="user.password_link_sent")
    assert entry.outcome == "failed"
    assert "10.9.9.9:587 could not be reached" in entry.detail["reason"]
    assert "pass-word" not in str(entry.detail)


def test_a_lost_nudge_is_found_and_a_second_run_sends_nothing(client, alice, account_server, db):
    moments_ago = timezone.now() - timedelta(minutes=1)
    wanted = password_recovery.request_link(alice, "http://testserver", moments_ago)
    sweep_password_requests()
    assert password_recovery.waiting(timezone.now()) == [wanted.pk]
    for _ in range(2):
        password_recovery.send_link(wanted.pk, timezone.now())
    assert len(account_server.taken) == 1
    assert password_recovery.waiting(timezone.now()) == []


def test_a_request_that_nobody_could_serve_in_time_is_dropped(alice, account_server):
    wanted = password_recovery.request_link(alice, "http://testserver", timezone.now() - timedelta(hours=2))
    password_recovery.send_link(wanted.pk, timezone.now())
    assert not account_server.taken
    password_recovery.waiting(timezone.now() + timedelta(days=1))
    assert not PasswordRequest.objects.exists()


@pytest.mark.parametrize(
    "address", ["", "nobody", "a@example.org\x00", "a@example.org\r\nBcc: b@example.org", "x" * 999]
)
def test_what_is_no_address_is_explained(client, db, address):
    answer = client.post(RESET, {"email": address})
    assert answer.status_code == 200
    assert 'class="error"' in answer.content.decode()
    assert not PasswordRequest.objects.exists()


@pytest.mark.proves("A2", "A8")
def test_slowed_down_sign_ins_are_recorded_once_per_pause(client, alice):
    for _ in range(9):
        client.post("/account/login/", {"login": alice.email, "password": "wrong"})
    client.post("/account/login/", {"login": alice.email, "password": PASSWORD})
    reasons = [entry.detail["reason"] for entry in AuditEntry.objects.filter(action="user.sign_in").order_by("pk")]
    assert reasons == ["wrong password"] * 5 + ["too many wrong passwords"]
