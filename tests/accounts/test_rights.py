"""Who may do what with a mailbox: by ownership, grant or role; nothing by office, and nothing for longer than given."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import Http404
from django.utils import timezone

from accounts.models import Mailbox, MailboxGrant
from accounts.rights import Right, mailbox_or_404
from organizations.models import OperationGrant, Role, RoleMembership
from organizations.operations import Operation


def rights_of(user, mailbox) -> set[Right]:
    now = timezone.now()
    return {right for right in Right if Mailbox.objects.allowing(right, user, now).filter(pk=mailbox.pk).exists()}


def grant(mailbox, **fields) -> MailboxGrant:
    return MailboxGrant.objects.create(mailbox=mailbox, **fields)


@pytest.fixture
def sales_team(organization, charlie) -> Role:
    role = Role.objects.create(organization=organization, name="Sales")
    RoleMembership.objects.create(role=role, user=charlie)
    return role


def test_the_owner_holds_all_three_rights(mailbox, alice):
    assert rights_of(alice, mailbox) == set(Right)


@pytest.mark.parametrize("right", list(Right))
def test_each_right_is_given_alone(shared_mailbox, charlie, right):
    grant(shared_mailbox, user=charlie, **{f"may_{right}": True})
    assert rights_of(charlie, shared_mailbox) == {right}


@pytest.mark.parametrize("right", list(Right))
def test_a_role_gives_its_members_the_right(shared_mailbox, sales_team, charlie, bob, right):
    grant(shared_mailbox, role=sales_team, **{f"may_{right}": True})
    assert rights_of(charlie, shared_mailbox) == {right}
    assert right not in rights_of(bob, shared_mailbox) - {Right.ACCESS}


@pytest.mark.proves("F3")
def test_a_right_ends_with_its_moment(shared_mailbox, charlie):
    given = grant(shared_mailbox, user=charlie, may_access=True, ends_at=timezone.now() + timedelta(hours=1))
    assert rights_of(charlie, shared_mailbox) == {Right.ACCESS}
    MailboxGrant.objects.filter(pk=given.pk).update(ends_at=timezone.now())
    assert rights_of(charlie, shared_mailbox) == set()


@pytest.mark.proves("F3")
def test_a_right_ends_with_the_membership(shared_mailbox, sales_team, charlie):
    grant(shared_mailbox, role=sales_team, may_access=True)
    RoleMembership.objects.all().delete()
    assert rights_of(charlie, shared_mailbox) == set()


@pytest.mark.proves("F3")
@pytest.mark.parametrize("name", ["alice", "bob"])
def test_a_person_who_is_switched_off_holds_nothing(shared_mailbox, mailbox, request, name):
    user = request.getfixturevalue(name)
    user.is_active = False
    user.save()
    now = timezone.now()
    assert rights_of(user, shared_mailbox) == rights_of(user, mailbox) == set()
    assert not Mailbox.objects.visible_to(user, now)
    assert not Mailbox.objects.manageable_by(user, now)


@pytest.mark.proves("F3")
def test_the_administrator_knows_of_every_mailbox_and_reads_none(mailbox, shared_mailbox, administrator):
    now = timezone.now()
    assert set(Mailbox.objects.visible_to(administrator, now)) == {mailbox, shared_mailbox}
    assert set(Mailbox.objects.manageable_by(administrator, now)) == {mailbox, shared_mailbox}
    assert rights_of(administrator, mailbox) == rights_of(administrator, shared_mailbox) == set()


def test_whoever_manages_accounts_and_is_switched_off_manages_nothing(mailbox, charlie):
    OperationGrant.objects.create(operation=Operation.MANAGE_EMAIL_ACCOUNTS, user=charlie)
    assert Mailbox.objects.manageable_by(charlie, timezone.now()).exists()
    charlie.is_active = False
    charlie.save()
    assert not Mailbox.objects.manageable_by(charlie, timezone.now())


@pytest.mark.proves("A1")
def test_a_grant_does_not_reach_into_another_organization(mailbox, dana):
    grant(mailbox, user=dana, may_access=True, may_send=True, may_setup=True)
    assert rights_of(dana, mailbox) == set()
    assert not Mailbox.objects.visible_to(dana, timezone.now())
    with pytest.raises(Http404):
        mailbox_or_404(dana, mailbox.pk, Right.ACCESS)


def test_whoever_cannot_see_a_mailbox_is_not_told_that_it_exists(mailbox, charlie):
    with pytest.raises(Http404):
        mailbox_or_404(charlie, mailbox.pk, Right.ACCESS)


def test_whoever_sees_it_without_the_right_is_refused(shared_mailbox, bob):
    assert mailbox_or_404(bob, shared_mailbox.pk, Right.ACCESS) == shared_mailbox
    with pytest.raises(PermissionDenied):
        mailbox_or_404(bob, shared_mailbox.pk, Right.SEND)


def test_two_ways_to_the_same_right_list_a_mailbox_once(shared_mailbox, sales_team, charlie):
    grant(shared_mailbox, role=sales_team, may_access=True)
    grant(shared_mailbox, user=charlie, may_access=True)
    assert Mailbox.objects.allowing(Right.ACCESS, charlie, timezone.now()).count() == 1


def test_a_grant_goes_to_a_user_or_a_role_and_not_to_both(shared_mailbox, sales_team, charlie):
    for receivers in ({}, {"user": charlie, "role": sales_team}):
        with pytest.raises(IntegrityError), transaction.atomic():
            grant(shared_mailbox, **receivers)
