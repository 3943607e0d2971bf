"""A new address of a person counts once the link that was mailed there is opened, and not before."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from organizations import new_address, people
from organizations.models import AddressChange, AuditEntry, User
from organizations.new_address import UnknownLink
from organizations.roles import add_member, administrators_of
from tests.conftest import PASSWORD
from tests.organizations.people.test_invitations import mailed_link, neutral

NEW = "alice.l@example.org"


@pytest.fixture
def asked(administrator: User, alice: User) -> str:
    """The token of the link to Alice's new address."""
    return new_address.ask(alice, NEW, by=administrator, now=timezone.now())[1]


def test_the_address_counts_once_its_link_is_opened(as_administrator, alice, account_server):
    answer = as_administrator.post(f"/people/{alice.pk}", {"name": "Alice L.", "email": NEW}, follow=True)
    assert f"{NEW} is not confirmed yet" in answer.content.decode()
    alice.refresh_from_db()
    assert (alice.name, alice.email) == ("Alice L.", "alice@example.org")
    assert [mail.recipients for mail in account_server.taken] == [[NEW]]

    reader, link = Client(), mailed_link(account_server)
    assert f"Use {NEW}" in reader.get(link).content.decode()
    alice.refresh_from_db()
    assert alice.email == "alice@example.org", "mail scanners open links too"
    assert reader.post(link).status_code == 302
    assert [mail.recipients for mail in account_server.taken] == [[NEW], ["alice@example.org"]]
    assert reader.post("/account/login/", {"login": NEW, "password": PASSWORD}).status_code == 302
    entry = AuditEntry.objects.get(action="user.changed", detail__has_key="email now")
    assert (entry.actor, entry.detail["email before"], entry.detail["email now"]) == (alice, "alice@example.org", NEW)
    assert reader.post(link).status_code == 404, "it works once"


@pytest.mark.proves("A1")
def test_who_asks_sees_the_same_whether_the_address_signs_in_elsewhere_or_not(
    as_administrator, alice, dana, account_server
):
    told = []
    for address in (dana.email, "d4n4@elsewhere.example"):
        AddressChange.objects.all().delete()
        with CaptureQueriesContext(connection) as queries:
            answer = as_administrator.post(f"/people/{alice.pk}", {"name": alice.name, "email": address})
        page = as_administrator.get(f"/people/{alice.pk}")
        told.append((answer.status_code, answer["Location"], len(queries), neutral(page, address)))
    assert told[0] == told[1]


@pytest.mark.proves("A1")
def test_only_the_reader_of_the_mailbox_is_told_that_it_signs_in_elsewhere(
    as_administrator, alice, dana, account_server
):
    as_administrator.post(f"/people/{alice.pk}", {"name": alice.name, "email": dana.email.upper()})
    answer = Client().post(mailed_link(account_server))
    assert (answer.status_code, "signs in elsewhere already" in answer.content.decode()) == (409, True)
    alice.refresh_from_db()
    dana.refresh_from_db()
    assert (alice.email, dana.organization.name) == ("alice@example.org", "Elsewhere Inc")
    assert "is not confirmed yet" in as_administrator.get(f"/people/{alice.pk}").content.decode()


def test_a_link_ends_after_a_day_and_with_a_newer_one(alice, administrator, asked):
    now = timezone.now()
    assert new_address.find(asked, now).email == NEW
    with pytest.raises(UnknownLink):
        new_address.find(asked, now + timedelta(hours=24))
    new_address.ask(alice, "other@example.org", by=administrator, now=now)
    with pytest.raises(UnknownLink):
        new_address.find(asked, now)


@pytest.mark.parametrize("what", ["deactivated asker", "removed asker", "no administrator", "deactivated person"])
def test_a_link_does_not_outlive_the_right_of_who_asked(alice, bob, administrator, asked, what):
    add_member(administrators_of(administrator.organization), bob, added_by=None)
    by, now = User.objects.get(pk=bob.pk), timezone.now()
    match what:
        case "deactivated asker":
            people.deactivate(administrator, by=by, now=now)
        case "removed asker":
            people.remove(administrator, by=by, now=now)
        case "no administrator":
            people.leave_role(administrator, administrators_of(administrator.organization), by=by)
        case _:
            people.deactivate(alice, by=by, now=now)
    with pytest.raises(UnknownLink):
        new_address.confirm(asked, now=now)


def test_forged_links_are_unknown(client, asked):
    for wrong in (asked[:-1], "x", "é" * 300, "\0"):
        with pytest.raises(UnknownLink):
            new_address.find(wrong, timezone.now())
    assert client.get(f"/people/address/{asked}x").status_code == 404


def test_a_withdrawn_wish_opens_nothing(as_administrator, alice, asked):
    assert as_administrator.post(f"/people/{alice.pk}/address/withdraw").status_code == 302
    with pytest.raises(UnknownLink):
        new_address.find(asked, timezone.now())
    assert as_administrator.post(f"/people/{alice.pk}/address/withdraw").status_code == 302
    assert AuditEntry.objects.filter(action="user.address_withdrawn").count() == 1


def test_who_is_no_administrator_asks_and_withdraws_nothing(as_mona, alice, asked):
    as_mona.post(f"/people/{alice.pk}", {"name": alice.name, "email": "mona@evil.example"})
    assert as_mona.post(f"/people/{alice.pk}/address/withdraw").status_code == 403
    assert AddressChange.objects.get().email == NEW


def test_a_mail_that_did_not_leave_is_said_in_words(as_administrator, alice, settings):
    settings.ACCOUNT_MAIL_URL = "smtp://accounts%40example.org:pass-word@10.9.9.9:587"
    page = as_administrator.post(f"/people/{alice.pk}", {"name": "Alice", "email": NEW}, follow=True).content.decode()
    assert "10.9.9.9:587 could not be reached" in page
    assert "pass-word" not in page
    assert "Save the address again" in page


def test_only_the_hash_of_the_link_is_stored(asked):
    assert asked not in str(list(AddressChange.objects.values()) + list(AuditEntry.objects.values()))
