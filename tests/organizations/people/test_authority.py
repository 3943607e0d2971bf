"""Who manages people without being an administrator gives and takes only what is hers."""

from __future__ import annotations

import pytest

from accounts.models import MailboxGrant
from organizations import authority
from organizations.authority import BeyondAuthority
from organizations.models import AuditEntry, OperationGrant, Role, User
from organizations.operations import OFFERED, Operation
from organizations.roles import add_member, administrators_of

pytestmark = pytest.mark.proves("A3", "A4")


@pytest.mark.parametrize("what", ["deactivate", "reactivate", "remove"])
def test_administrators_are_changed_by_administrators_alone(as_mona, administrator, alice, what):
    add_member(administrators_of(alice.organization), alice, added_by=administrator)  # so that none is the last
    assert as_mona.post(f"/people/{alice.pk}/{what}").status_code == 403
    answer = as_mona.post(f"/people/{alice.pk}", {"name": "Mallory", "email": "mallory@example.org"})
    assert answer.status_code == 403
    alice.refresh_from_db()
    assert (alice.name, alice.email, alice.is_active) == ("Alice", "alice@example.org", True)


def test_nobody_becomes_or_ceases_to_be_an_administrator_through_her(as_mona, mona, administrator, alice):
    role = administrators_of(mona.organization)
    add_member(role, alice, added_by=administrator)
    for person in (mona, alice):
        assert as_mona.post(f"/people/{person.pk}/roles", {"role": role.pk}).status_code == 403
        assert as_mona.post(f"/people/roles/{role.pk}/members", {"person": person.pk}).status_code == 403
    assert as_mona.post(f"/people/{alice.pk}/roles/{role.pk}/leave").status_code == 403
    assert as_mona.post(f"/people/roles/{role.pk}/members/{alice.pk}/remove").status_code == 403
    assert set(role.members.all()) == {administrator, alice}


def tick(client, operation: Operation, *, given: bool, **holder: int):
    values = {"operation": operation.value, **holder, **({"granted": "1"} if given else {})}
    return client.post("/people/operations", values)


@pytest.mark.parametrize("given", [True, False])
def test_she_neither_gives_nor_takes_an_operation_that_she_does_not_hold(as_mona, mona, alice, sales, give, given):
    give(alice, Operation.VIEW_EMAIL_LOGS)
    give(sales, Operation.VIEW_EMAIL_LOGS)
    before = set(OperationGrant.objects.values_list("pk", flat=True))
    for holder in ({"person": alice.pk}, {"role": sales.pk}, {"person": mona.pk}):
        for operation in set(OFFERED) - {Operation.MANAGE_PEOPLE}:
            assert tick(as_mona, operation, given=given, **holder).status_code == 403
    assert set(OperationGrant.objects.values_list("pk", flat=True)) == before


def test_she_gives_and_takes_what_she_holds(as_mona, alice):
    assert tick(as_mona, Operation.MANAGE_PEOPLE, given=True, person=alice.pk).status_code == 200
    assert User.objects.get(pk=alice.pk).may(Operation.MANAGE_PEOPLE)
    assert tick(as_mona, Operation.MANAGE_PEOPLE, given=False, person=alice.pk).status_code == 200
    assert not User.objects.get(pk=alice.pk).may(Operation.MANAGE_PEOPLE)


def test_what_she_has_through_a_role_she_cannot_make_her_own(as_mona, mona, sales, give, join):
    give(sales, Operation.VIEW_EMAIL_LOGS)
    join(mona, sales)
    assert tick(as_mona, Operation.VIEW_EMAIL_LOGS, given=True, person=mona.pk).status_code == 403


def test_a_role_with_more_than_she_holds_is_not_hers_to_give_rename_or_delete(as_mona, mona, alice, sales, give):
    give(sales, Operation.MANAGE_MAIL_SERVERS)
    for person in (mona, alice):
        assert as_mona.post(f"/people/{person.pk}/roles", {"role": sales.pk}).status_code == 403
    assert as_mona.post(f"/people/roles/{sales.pk}", {"name": "Mine"}).status_code == 403
    assert as_mona.post(f"/people/roles/{sales.pk}/delete").status_code == 403
    assert not sales.members.exists()
    sales.refresh_from_db()
    assert sales.name == "Sales"


def test_a_role_that_opens_mail_which_she_cannot_read_is_not_hers_to_give(as_mona, mona, alice, sales, shared_mailbox):
    type(shared_mailbox).objects.filter(pk=shared_mailbox.pk).update(is_shared=True)
    MailboxGrant.objects.create(mailbox=shared_mailbox, role=sales, may_access=True)
    answer = as_mona.post(f"/people/{mona.pk}/roles", {"role": sales.pk})
    assert answer.status_code == 403
    assert "sales@example.org" in answer.content.decode()
    MailboxGrant.objects.create(mailbox=shared_mailbox, user=mona, may_access=True)
    assert as_mona.post(f"/people/{alice.pk}/roles", {"role": sales.pk}).status_code == 302


def test_a_role_that_she_is_in_herself_is_hers_to_give(as_mona, mona, alice, sales, shared_mailbox, join, give):
    give(sales, Operation.MANAGE_MAIL_SERVERS)
    MailboxGrant.objects.create(mailbox=shared_mailbox, role=sales, may_access=True)
    join(mona, sales)
    assert as_mona.post(f"/people/{alice.pk}/roles", {"role": sales.pk}).status_code == 302
    assert sales.members.filter(pk=alice.pk).exists()


def test_an_address_is_changed_by_administrators_alone(as_mona, alice):
    """A new password could be asked for at the new address: Mona would be Alice, with all her mail."""
    answer = as_mona.post(f"/people/{alice.pk}", {"name": "Alice L.", "email": "mona2@example.org"})
    assert answer.status_code == 302
    alice.refresh_from_db()
    assert (alice.name, alice.email) == ("Alice L.", "alice@example.org")


def test_she_may_close_and_open_the_door_for_others(as_mona, alice):
    as_mona.post(f"/people/{alice.pk}/deactivate")
    assert not User.objects.get(pk=alice.pk).is_active
    as_mona.post(f"/people/{alice.pk}/reactivate")
    assert User.objects.get(pk=alice.pk).is_active


def test_holding_every_operation_makes_nobody_an_administrator(mona, administrator, give):
    for operation in set(Operation) - {Operation.MANAGE_PEOPLE}:
        give(mona, operation)
    mona = User.objects.get(pk=mona.pk)
    assert mona.operations == frozenset(Operation)
    assert authority.refusal_to_change(mona, administrator)
    with pytest.raises(BeyondAuthority):
        authority.require(authority.refusal_over_role(mona, administrators_of(mona.organization)))


def test_administrators_decide_everything(as_administrator, administrator, alice, sales, give, shared_mailbox):
    give(sales, Operation.MANAGE_MAIL_SERVERS)
    MailboxGrant.objects.create(mailbox=shared_mailbox, role=sales, may_access=True)
    assert as_administrator.post(f"/people/{alice.pk}/roles", {"role": sales.pk}).status_code == 302
    role = administrators_of(administrator.organization)
    assert as_administrator.post(f"/people/{alice.pk}/roles", {"role": role.pk}).status_code == 302
    assert set(Role.objects.filter(members=alice)) == {sales, role}
    assert AuditEntry.objects.filter(action="role.member_added", actor=administrator).count() == 2


def test_the_refusals_of_many_roles_cost_a_constant_number_of_queries(mona, assert_queries, shared_mailbox, give):
    def grow() -> None:
        for number in range(6):
            role = Role.objects.create(organization=mona.organization, name=f"Role {Role.objects.count()}")
            if number % 2:
                give(role, Operation.MANAGE_MAIL_SERVERS)
            else:
                MailboxGrant.objects.create(mailbox=shared_mailbox, role=role, may_send=True)

    def ask() -> None:
        authority.refusals_over_roles(User.objects.get(pk=mona.pk), list(Role.objects.all()))

    grow()
    assert_queries.constant(ask, grow)
