"""The access page: what it shows to whom, its dialogs, and what it says to bad input (spec F1, F2, F4)."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Mailbox, MailboxGrant
from accounts.rights import Right
from organizations.models import AuditEntry, Role, RoleMembership, User
from tests.accounts.sharing.conftest import grant, may_share, rights_of
from tests.conftest import person

ACCESS, SEND, SETUP = Right


def toast(answer) -> str:
    return json.loads(answer["HX-Trigger"])["toast"]["text"]


def text_of(answer) -> str:
    return " ".join(answer.content.decode().split())


@pytest.fixture
def hers(page_of, owner, mailbox):
    """Alice's page of her own mailbox, which she may share."""
    return page_of(owner, mailbox)


@pytest.fixture
def shared(mailbox: Mailbox) -> Mailbox:
    Mailbox.objects.filter(pk=mailbox.pk).update(is_shared=True)
    mailbox.refresh_from_db()
    return mailbox


# --- What it shows ------------------------------------------------------------------------------------------------


@pytest.mark.proves("F1")
def test_an_empty_list_says_no_data_and_what_to_do(hers, shared):
    text = text_of(hers.get())
    assert "No data" in text
    assert "Press + to add people or roles" in text


@pytest.mark.proves("F2")
def test_the_page_explains_what_surprises(hers):
    text = text_of(hers.get())
    assert "It does <b>not</b> show in the person’s own mail panel." in text
    assert "Nobody can ever read its password." in text


@pytest.mark.proves("F1", "F4")
def test_each_row_says_what_the_person_can_do_who_gave_it_and_until_when(hers, mailbox, owner, bob, sales):
    grant(mailbox, bob, ACCESS, granted_by=owner)
    grant(mailbox, sales, SEND, SETUP, granted_by=owner, ends_at=timezone.now() + timedelta(days=400))
    text = text_of(hers.get())
    assert "Finds and reads its mail in search, not in the mail panel." in text
    assert "Has it in the mail panel, reads its mail and sends from it; changes its settings." in text
    assert text.count("Given by Alice") == 2
    assert "Role, 1 person" in text
    assert (timezone.now() + timedelta(days=400)).strftime("%B %Y") in text


@pytest.mark.proves("F4")
def test_everybody_who_can_use_it_stands_there_with_every_way(hers, mailbox, owner, bob, charlie, sales):
    grant(mailbox, sales, ACCESS, granted_by=owner)
    grant(mailbox, charlie, SEND)
    grant(mailbox, bob, ACCESS, ends_at=timezone.now() - timedelta(seconds=1))
    _, _, reach = text_of(hers.get()).partition("Who can use it now, and why")
    assert "Owns this mailbox" in reach
    assert "Access emails, through the role “Sales”, given by Alice" in reach
    assert "Send emails, given directly" in reach
    assert "Bob" not in reach.partition("Last changes")[0]


@pytest.mark.proves("F3")
def test_while_sharing_is_off_the_list_is_kept_and_nobody_but_the_owner_can_use_it(hers, mailbox, bob):
    grant(mailbox, bob, ACCESS)
    hers.htmx("switch")
    text = text_of(hers.get())
    assert "Nobody in the list can use this mailbox now. Switching it on gives them back what is ticked." in text
    assert "Can do nothing while shared access is off." in text
    assert "given directly" not in text


@pytest.mark.proves("F3", "A8")
def test_the_owner_sees_what_an_administrator_did_even_when_it_is_gone_again(hers, page_of, administrator, mailbox):
    administrators = page_of(administrator, mailbox)
    assert "Alice sees on this page" in text_of(administrators.get())
    administrators.htmx("switch", on="on")
    administrators.htmx("add", to=f"person-{administrator.pk}", rights=["access"])
    assert "Gave it to themself" in text_of(hers.get())
    administrators.htmx("remove", mailbox.grants.get().pk)
    text = text_of(hers.get())
    assert "<b>Ada</b> gave Ada: Access emails" in text
    assert "<b>Ada</b> took Ada off the list" in text


@pytest.mark.proves("F1")
def test_without_the_operation_one_sees_who_may_use_it_and_changes_nothing(page_of, alice, mailbox, bob):
    given = grant(mailbox, bob, ACCESS)
    hers = page_of(alice, mailbox)
    text = text_of(hers.get())
    assert "Bob" in text
    assert "Set up shared mailboxes" in text
    assert "hx-post" not in text
    for name, args in (
        ("switch", ()),
        ("add", ()),
        ("tick", (given.pk,)),
        ("end", (given.pk,)),
        ("remove", (given.pk,)),
    ):
        assert hers.htmx(name, *args, on="on", right="send").status_code == 403, name
    assert rights_of(bob, mailbox) == {ACCESS}


def test_the_page_costs_the_same_however_many_may_use_it(assert_queries, hers, mailbox, organization, owner):
    def grow() -> None:
        for number in range(5):
            someone = person(organization, f"Person{number}{User.objects.count()}")
            role = Role.objects.create(organization=organization, name=f"Role {Role.objects.count()}")
            RoleMembership.objects.create(role=role, user=someone)
            RoleMembership.objects.create(role=role, user=owner)
            grant(mailbox, role, ACCESS, SEND, granted_by=person(organization, f"Giver{someone.pk}"))
            grant(mailbox, someone, ACCESS, granted_by=someone)
            hers.htmx("tick", mailbox.grants.latest("pk").pk, right="send", on="on")

    grow()
    assert_queries.constant(hers.get, grow)
    assert_queries.constant(lambda: hers.get("add"), grow)
    assert_queries.constant(lambda: hers.get("candidates", q="person"), grow)


# --- What it changes ----------------------------------------------------------------------------------------------


@pytest.mark.proves("F1")
def test_from_the_switch_to_a_role_that_may_send(hers, mailbox, bob, charlie, sales):
    assert toast(hers.htmx("switch", on="on")).startswith("Shared access is on.")
    answer = hers.htmx("add", to=[f"person-{bob.pk}", f"role-{sales.pk}"], rights=["access"])
    assert toast(answer) == "Sales (1 person) gains: Access emails. Bob gains: Access emails."
    assert rights_of(bob, mailbox) == rights_of(charlie, mailbox) == {ACCESS}
    given = mailbox.grants.get(role=sales)
    assert toast(hers.htmx("tick", given.pk, right="send", on="on")) == "Sales (1 person) gains: Send emails."
    assert toast(hers.htmx("tick", given.pk, right="access")) == "Sales (1 person) loses: Access emails."
    assert rights_of(charlie, mailbox) == {SEND}
    assert toast(hers.htmx("remove", given.pk)) == "Sales (1 person) loses: Send emails."
    assert rights_of(charlie, mailbox) == set()
    assert AuditEntry.objects.filter(action__startswith="mailbox.access", object_id=str(mailbox.pk)).count() == 5


@pytest.mark.proves("F4")
def test_a_last_day_counts_to_its_end_in_the_time_zone_of_who_types_it(hers, owner, mailbox, bob):
    User.objects.filter(pk=owner.pk).update(time_zone="Pacific/Auckland")
    given = grant(mailbox, bob, ACCESS)
    assert toast(hers.htmx("end", given.pk, ends_on="2030-12-31")) == "The last day is 31 December 2030."
    given.refresh_from_db()
    assert given.ends_at.isoformat() == "2030-12-31T11:00:00+00:00"
    assert 'value="2030-12-31"' in text_of(hers.get("end", given.pk))
    hers.htmx("end", given.pk, ends_on="")
    given.refresh_from_db()
    assert given.ends_at is None


def test_without_scripts_every_form_works_by_its_plain_address(hers, mailbox, bob):
    assert hers.post("switch", on="on").status_code == 302
    assert b"<html" in hers.get("add").content
    assert hers.post("add", to=f"person-{bob.pk}", rights=["send"]).status_code == 302
    given = mailbox.grants.get()
    for name in ("end", "remove"):
        assert b"<html" in hers.get(name, given.pk).content
    assert hers.post("tick", given.pk, right="access", on="on").status_code == 302
    assert hers.post("end", given.pk, ends_on="2030-01-01").status_code == 302
    assert rights_of(bob, mailbox) == {ACCESS, SEND}
    assert hers.post("remove", given.pk).status_code == 302
    assert not mailbox.grants.exists()


def test_whoever_takes_away_her_own_setup_is_led_to_a_page_that_is_left(page_of, mailbox, bob):
    mine = grant(mailbox, may_share(bob), SETUP)
    answer = page_of(bob, mailbox).htmx("remove", mine.pk)
    assert answer["HX-Redirect"] == "/communications/settings/email"


# --- Searching people ---------------------------------------------------------------------------------------------


def test_the_search_finds_people_and_roles_and_keeps_who_is_chosen(hers, bob, charlie, sales, dana, organization):
    everybody = text_of(hers.get("candidates"))
    assert all(f">{name}<small>" in everybody for name in ("Bob", "Charlie", "Sales"))
    assert "Dana" not in everybody
    assert "Alice" not in everybody  # the owner
    found = text_of(hers.get("candidates", q="SALES", to=f"person-{bob.pk}"))
    assert f'value="person-{bob.pk}" checked' in found
    assert ">Sales<small>" in found
    assert "Charlie" not in found
    by_address = text_of(hers.get("candidates", q="charlie@example"))
    assert ">Charlie<small>" in by_address


def test_who_is_in_the_list_already_cannot_be_chosen_again(hers, mailbox, bob):
    grant(mailbox, bob, ACCESS)
    assert f'value="person-{bob.pk}" disabled' in text_of(hers.get("candidates", q="bob"))


@pytest.mark.parametrize("text", ["xyz", "\0", "%", "_", "'", "a" * 5000, "<script>alert(1)</script>"])
def test_a_search_for_nobody_says_so(hers, bob, text):
    answer = hers.get("candidates", q=text)
    assert answer.status_code == 200
    assert b"<script>" not in answer.content


# --- Bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"rights": ["access"]}, "Choose at least one person or role."),
        ({"to": "bob"}, "Tick at least one thing that they may do."),
        ({"to": "bob", "rights": ["everything"]}, "is not one of the three rights"),
        ({"to": "bob", "rights": ["access"], "ends_on": "tomorrow"}, "Choose a day"),
        ({"to": "bob", "rights": ["access"], "ends_on": "2020-01-01"}, "This day is over already."),
        ({"to": "bob", "rights": ["access"], "ends_on": "9999-12-31"}, "Choose a day from"),
        ({"to": "bob", "rights": ["access"], "ends_on": "0001-01-01"}, "Choose a day from"),
        ({"to": "dana", "rights": ["access"]}, "does not exist here"),
        ({"to": "their role", "rights": ["access"]}, "does not exist here"),
        ({"to": "alice", "rights": ["access"]}, "owns this mailbox"),
        ({"to": "known", "rights": ["send"]}, "is in the list already"),
        ({"to": "deactivated", "rights": ["access"]}, "is deactivated"),
        *(({"to": wrong, "rights": ["access"]}, "does not exist here")
          for wrong in ("person-0", "person-99999999999999999999", "person-1; DROP", "\0", "user-1", "person-¹")),
        ({"to": [f"person-{number}" for number in range(51)], "rights": ["access"]}, "at most 50"),
    ],
)  # fmt: skip
def test_what_cannot_be_given_is_refused_with_a_sentence(hers, mailbox, organization, bob, charlie, dana, data, words):
    grant(mailbox, charlie, ACCESS)
    gone = person(organization, "Gone")
    User.objects.filter(pk=gone.pk).update(is_active=False)
    theirs = Role.objects.get(organization=dana.organization)
    named = {
        "bob": f"person-{bob.pk}",
        "dana": f"person-{dana.pk}",
        "their role": f"role-{theirs.pk}",
        "alice": f"person-{mailbox.owner_id}",
        "known": f"person-{charlie.pk}",
        "deactivated": f"person-{gone.pk}",
    }
    to = data.get("to")
    sent = {**data, "to": named.get(to, to)} if isinstance(to, str) else data
    answer = hers.htmx("add", **sent)
    assert answer.status_code == 422
    assert words in text_of(answer)
    assert mailbox.grants.get().rights == {ACCESS}


def test_what_was_typed_is_not_lost(hers, mailbox, bob):
    answer = text_of(hers.htmx("add", to=f"person-{bob.pk}", rights=["send"], ends_on="2020-01-01"))
    assert f'value="person-{bob.pk}" checked' in answer
    assert 'value="send" checked' in answer
    assert 'value="access" checked' not in answer
    assert 'value="2020-01-01"' in answer


def test_a_second_press_adds_nobody_twice(hers, mailbox, bob):
    answers = [hers.htmx("add", to=f"person-{bob.pk}", rights=["access"]).status_code for _ in range(2)]
    assert answers == [200, 422]
    assert mailbox.grants.count() == 1


def test_a_tick_that_means_nothing_changes_nothing(hers, mailbox, bob):
    given = grant(mailbox, bob, ACCESS)
    for right in ("", "everything", "may_setup", "\0"):
        for answer in (hers.htmx("tick", given.pk, right=right, on="on"), hers.post("tick", given.pk, right=right)):
            assert answer.status_code == 422
    given.refresh_from_db()
    assert given.rights == {ACCESS}


@pytest.mark.proves("A1", "F3", "T18")
def test_a_grant_of_another_mailbox_or_organization_does_not_exist_here(
    hers, mailbox, shared_mailbox, make_mailbox, dana
):
    theirs = grant(make_mailbox("dana@elsewhere.example", dana), dana, ACCESS)
    for foreign in (shared_mailbox.grants.first(), theirs):
        for name in ("tick", "end", "remove"):
            assert hers.htmx(name, foreign.pk, right="send", on="on").status_code == 404
        for name in ("end", "remove"):
            assert hers.get(name, foreign.pk).status_code == 404
    assert hers.htmx("remove", 2**63).status_code == 404
    assert MailboxGrant.objects.filter(pk=theirs.pk, may_access=True, may_send=False).exists()


@pytest.mark.proves("T18")
def test_a_refused_tick_shows_how_it_stands(page_of, mailbox, bob, charlie):
    grant(mailbox, may_share(bob), ACCESS, SETUP)
    other = grant(mailbox, charlie, ACCESS)
    answer = page_of(bob, mailbox).htmx("tick", other.pk, right="send", on="on")
    assert answer.status_code == 422
    assert toast(answer) == "You cannot give “Send emails”, since you do not have it yourself."
    [box] = [line for line in answer.content.decode().split("<input") if f'id="tick-{other.pk}-send"' in line]
    assert "checked" not in box
    assert "disabled" in box
