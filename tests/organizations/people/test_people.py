"""The list of people, and what is decided about one of them."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Mailbox
from mailstore.models import SyncSchedule
from organizations import departures, invitations, people
from organizations.models import AuditEntry, Organization, User
from organizations.roles import add_member, administrators_of
from tests.conftest import PASSWORD, person


def entries(action: str) -> list[tuple[str, str]]:
    return list(AuditEntry.objects.filter(action=action).values_list("actor_label", "object_label"))


# --- The list -----------------------------------------------------------------------------------------------------


@pytest.mark.proves("A2", "A3")
def test_the_list_shows_states_roles_and_the_last_sign_in(as_administrator, administrator, alice, bob, sales, join):
    join(alice, sales)
    people.deactivate(bob, by=administrator, now=timezone.now())
    invitations.invite(
        alice.organization, name="Nora", email="nora@example.org", roles=[], by=administrator, now=timezone.now()
    )
    page = " ".join(as_administrator.get("/people/").content.decode().split())
    for words in ("Alice", "Sales", "Deactivated", "Never signed in", "Nora", ">Invited<"):
        assert words in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=ALI", ["Alice"]),
        ("q=bob@example", ["Bob"]),
        ("state=deactivated", ["Charlie"]),
        ("state=active", ["Ada", "Alice", "Bob"]),
        ("state=invited", []),
        ("q=%00", []),
        ("q=nobody", []),
        ("state=nonsense", []),
    ],
)
def test_the_list_is_narrowed(as_administrator, administrator, alice, bob, charlie, query, found):
    people.deactivate(charlie, by=administrator, now=timezone.now())
    answer = as_administrator.get(f"/people/?{query}")
    assert answer.status_code == 200
    assert [each.name for each in answer.context["page"].rows] == found


def test_pages_of_the_list_follow_each_other_without_gap_or_repetition(as_administrator, organization):
    for number in range(90):
        person(organization, f"p{number:02}").__class__.objects.filter(email=f"p{number:02}@example.org").update(
            name=f"{'Same' if number % 3 else 'same'} name, %&é"
        )
    seen, query = [], ""
    while True:
        page = as_administrator.get(f"/people/{query}").context["page"]
        seen += [each.pk for each in page.rows]
        if not page.next:
            break
        query = as_administrator.get(f"/people/{query}").context["older"]
    assert len(seen) == len(set(seen)) == User.objects.filter(organization=organization).count()


def test_the_number_of_queries_does_not_grow_with_people_and_invitations(
    as_administrator, assert_queries, administrator, organization, sales, join
):
    def grow() -> None:
        for number in range(8):
            join(person(organization, f"p{number}"), sales)
            invitations.invite(
                organization,
                name="Nora",
                email=f"n{number}@example.org",
                roles=[sales],
                by=administrator,
                now=timezone.now(),
            )

    invitations.invite(
        organization, name="N", email="n@example.org", roles=[sales], by=administrator, now=timezone.now()
    )
    assert_queries.constant(lambda: as_administrator.get("/people/"), grow)


# --- Name and address ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["bob@example.org", "BOB@EXAMPLE.ORG"])
def test_an_address_that_somebody_has_is_refused_in_any_case(as_administrator, alice, bob, address):
    answer = as_administrator.post(f"/people/{alice.pk}", {"name": "Alice", "email": address})
    assert answer.status_code == 422
    assert "Somebody in your organization has this address already" in answer.content.decode()
    alice.refresh_from_db()
    assert alice.email == "alice@example.org"


# --- Deactivating and reactivating --------------------------------------------------------------------------------


@pytest.mark.proves("A2")
def test_deactivating_ends_every_session_at_once_and_reactivating_revives_none(as_administrator, client_of, alice):
    here, elsewhere = client_of(alice), client_of(alice)
    assert here.get("/profile").status_code == 200
    as_administrator.post(f"/people/{alice.pk}/deactivate")
    assert here.get("/profile").status_code == 302
    assert Client().post("/account/login/", {"login": alice.email, "password": PASSWORD}).status_code == 302
    as_administrator.post(f"/people/{alice.pk}/reactivate")
    assert [each.get("/profile").status_code for each in (here, elsewhere)] == [302, 302]
    fresh = Client()
    fresh.post("/account/login/", {"login": alice.email, "password": PASSWORD})
    assert fresh.get("/profile").status_code == 200
    assert entries("user.deactivated") == entries("user.reactivated") == [("Ada", "Alice")]


def test_a_second_click_changes_and_records_nothing_more(as_administrator, alice):
    for _ in range(2):
        assert as_administrator.post(f"/people/{alice.pk}/deactivate").status_code == 302
    assert len(entries("user.deactivated")) == 1


def test_the_dialog_says_what_stops(as_administrator, alice, make_mailbox):
    for number in range(3):
        make_mailbox(f"alice{number}@example.org", alice)
    page = as_administrator.get(f"/people/{alice.pk}/deactivate").content.decode()
    assert "3 email accounts of Alice stop syncing: alice0@example.org" in page


def test_mailboxes_of_somebody_deactivated_are_not_synced(as_administrator, alice, mailbox):
    now = timezone.now()
    SyncSchedule.objects.update_or_create(mailbox=mailbox, defaults={"due_at": now})
    assert SyncSchedule.objects.due(now).exists()
    as_administrator.post(f"/people/{alice.pk}/deactivate")
    assert not SyncSchedule.objects.due(now).exists()
    as_administrator.post(f"/people/{alice.pk}/reactivate")
    assert SyncSchedule.objects.due(now).exists()


# --- Removing -----------------------------------------------------------------------------------------------------


def test_removing_deletes_the_persons_own_and_says_it_before(as_administrator, alice, mailbox, shared_mailbox):
    page = as_administrator.get(f"/people/{alice.pk}/remove").content.decode()
    assert "1 email account of Alice is deleted here, with all mail" in page
    answer = as_administrator.post(f"/people/{alice.pk}/remove")
    assert answer["Location"] == "/people/"
    assert not User.objects.filter(pk=alice.pk).exists()
    assert list(Mailbox.objects.all()) == [shared_mailbox]
    assert entries("user.removed") == [("Ada", "Alice")]


def test_what_a_removed_person_did_stays_in_the_log_under_the_name(as_administrator, client_of, alice):
    values = {"name": "Alice", "language": "en", "time_zone": "Europe/London", "undo_seconds": 10}
    client_of(alice).post("/profile", values)
    as_administrator.post(f"/people/{alice.pk}/remove")
    [entry] = AuditEntry.objects.filter(action="user.profile_changed")
    assert (entry.actor, entry.actor_label) == (None, "Alice")


def test_somebody_with_nothing_loses_nothing(charlie):
    assert departures.what_is_lost(charlie) == departures.what_stops(charlie) == []


# --- Nobody locks everybody out -----------------------------------------------------------------------------------


@pytest.mark.proves("A3")
def test_the_last_administrator_cannot_be_taken_out_of_the_role(as_administrator, administrator):
    role = administrators_of(administrator.organization)
    for url in (
        f"/people/{administrator.pk}/roles/{role.pk}/leave",
        f"/people/roles/{role.pk}/members/{administrator.pk}/remove",
    ):
        page = as_administrator.post(url, follow=True).content.decode()
        assert "Somebody has to administer the organization" in page
    assert role.members.get() == administrator


@pytest.mark.parametrize("way", ["deactivate", "remove"])
def test_nobody_sends_oneself_away(as_administrator, administrator, way):
    assert as_administrator.get(f"/people/{administrator.pk}/{way}").status_code == 403
    assert as_administrator.post(f"/people/{administrator.pk}/{way}").status_code == 403
    assert User.objects.get(pk=administrator.pk).is_active


def test_an_administrator_who_leaves_the_role_is_led_out_of_the_pages(as_administrator, administrator, alice):
    role = administrators_of(administrator.organization)
    add_member(role, alice, added_by=administrator)
    answer = as_administrator.post(f"/people/{administrator.pk}/roles/{role.pk}/leave")
    assert answer["Location"] == "/"
    assert as_administrator.get("/people/").status_code == 403


def test_the_pages_are_in_the_side_bar_of_those_who_manage_people(as_mona, client_of, alice):
    def side(client: Client) -> list[str]:
        return re.findall(r'href="(/(?:people|logs/audit)[^"]*)"', client.get("/profile").content.decode())

    assert side(as_mona) == ["/people/", "/people/roles", "/people/operations", "/logs/audit"]
    assert side(client_of(alice)) == []


# --- Another organization -----------------------------------------------------------------------------------------


@pytest.fixture
def double(other_organization: Organization, dana: User) -> User:
    """The same Alice, somewhere else."""
    return User.objects.create_user("alice@elsewhere.example", PASSWORD, organization=other_organization, name="Alice")


@pytest.mark.proves("A1")
def test_people_roles_and_entries_of_another_organization_are_nowhere(
    as_administrator, client_of, administrator, alice, double, dana, sales
):
    client_of(dana).post(f"/people/{double.pk}", {"name": "Alice Elsewhere", "email": double.email})
    theirs = invitations.invite(
        dana.organization, name="Nora", email="nora@elsewhere.example", roles=[], by=dana, now=timezone.now()
    )[0]
    role = administrators_of(dana.organization)
    for url in ("/people/", "/people/operations", "/people/roles", f"/people/roles/{sales.pk}", "/logs/audit"):
        assert "elsewhere" not in as_administrator.get(url).content.decode().lower(), url
    export = b"".join(as_administrator.get("/logs/audit/export").streaming_content).decode()
    assert "elsewhere" not in export.lower()
    for url in (
        f"/people/{double.pk}/deactivate",
        f"/people/{double.pk}/reactivate",
        f"/people/{double.pk}/remove",
        f"/people/{double.pk}",
        f"/people/{double.pk}/roles/{sales.pk}/leave",
        f"/people/{alice.pk}/roles/{role.pk}/leave",
        f"/people/roles/{role.pk}",
        f"/people/roles/{role.pk}/delete",
        f"/people/roles/{sales.pk}/members/{double.pk}/remove",
        f"/people/invitations/{theirs.pk}/renew",
        f"/people/invitations/{theirs.pk}/withdraw",
    ):
        assert as_administrator.post(url, {"name": "Mallory", "email": "m@example.org"}).status_code == 404, url
    assert as_administrator.post(f"/people/{double.pk}/roles", {"role": sales.pk}).status_code == 404
    assert as_administrator.post(f"/people/{alice.pk}/roles", {"role": role.pk}).status_code == 404
    assert as_administrator.post(f"/people/roles/{sales.pk}/members", {"person": double.pk}).status_code == 404
    answer = as_administrator.post("/people/operations", {"operation": "manage_people", "person": double.pk})
    assert answer.status_code == 404
    assert User.objects.get(pk=double.pk).name == "Alice Elsewhere"


@pytest.mark.proves("A1")
def test_a_role_of_another_organization_is_not_given_by_an_invitation(as_administrator, dana):
    theirs = administrators_of(dana.organization)
    answer = as_administrator.post("/people/invite", {"name": "N", "email": "n@example.org", "roles": [theirs.pk]})
    assert answer.status_code == 422


@pytest.mark.parametrize("number", ["0", "99999999999999999999999", "999999999999"])
def test_numbers_that_no_row_has_are_not_found(as_administrator, alice, number):
    for url in (f"/people/{number}", f"/people/roles/{number}"):
        assert as_administrator.get(url).status_code == 404
    for value in (number, "x", "-1", "1" * 5000, "\x00", "٣"):
        assert as_administrator.post(f"/people/{alice.pk}/roles", {"role": value}).status_code == 404
