"""Somebody always administers an organization, whichever way the last one would go."""

from functools import partial

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction

from organizations.models import Role, RoleMembership, User
from organizations.roles import (
    LastAdministrator,
    add_member,
    administrators_of,
    deactivate,
    remove_member,
)
from tests.simultaneously import simultaneously

pytestmark = pytest.mark.proves("A3")

WAYS_OUT = {
    "leaves the role": lambda user: remove_member(administrators_of(user.organization), user),
    "loses the membership": lambda user: RoleMembership.objects.get(user=user).delete(),
    "is in a deleted queryset": lambda user: RoleMembership.objects.filter(user=user).delete(),
    "is deleted": lambda user: user.delete(),
    "is deleted with others": lambda user: User.objects.filter(organization=user.organization).delete(),
    "is switched off": deactivate,
}


@pytest.mark.parametrize("way_out", WAYS_OUT.values(), ids=WAYS_OUT.keys())
def test_the_last_administrator_stays(administrator, alice, way_out):
    with pytest.raises(LastAdministrator), transaction.atomic():
        way_out(administrator)
    administrator = User.objects.get(email=administrator.email)
    assert administrator.is_active
    assert RoleMembership.objects.filter(user=administrator, role__is_administrators=True).exists()


@pytest.mark.parametrize("way_out", [*list(WAYS_OUT.values())[:4], deactivate])
def test_one_of_two_administrators_may_go(administrator, alice, way_out):
    add_member(administrators_of(alice.organization), alice, added_by=administrator)
    way_out(administrator)
    assert list(User.objects.filter(is_active=True, roles__is_administrators=True)) == [alice]


def test_an_administrator_who_is_switched_off_does_not_count(administrator, alice):
    role = administrators_of(alice.organization)
    add_member(role, alice, added_by=administrator)
    deactivate(alice)
    with pytest.raises(LastAdministrator):
        remove_member(role, administrator)


def test_the_role_itself_cannot_be_deleted(administrator):
    with pytest.raises(ValidationError, match="built in"), transaction.atomic():
        administrators_of(administrator.organization).delete()
    assert Role.objects.filter(is_administrators=True).count() == 1


def test_other_roles_may_be_emptied_and_deleted(alice):
    role = Role.objects.create(organization=alice.organization, name="Sales")
    add_member(role, alice, added_by=None)
    remove_member(role, alice)
    role.delete()
    assert not Role.objects.exists()


def test_an_organization_takes_its_administrators_along(administrator):
    administrator.organization.delete()
    assert not User.objects.exists()


def test_a_role_takes_nobody_from_another_organization(administrator, dana):
    with pytest.raises(ValueError, match="own organization"):
        add_member(administrators_of(administrator.organization), dana, added_by=administrator)


@pytest.mark.django_db(transaction=True)
def test_two_administrators_who_remove_each_other_at_once_do_not_both_succeed(administrator, alice):
    role = administrators_of(alice.organization)
    add_member(role, alice, added_by=administrator)
    first, second = simultaneously(*[partial(remove_member, role, user) for user in (administrator, alice)])
    assert [type(first), type(second)].count(LastAdministrator) == 1
    assert role.memberships.count() == 1
