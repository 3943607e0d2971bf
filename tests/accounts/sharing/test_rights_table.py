"""Rights against a model of them in plain words: whatever combination of owner, grants, roles, ends and switches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Mailbox, MailboxGrant
from accounts.rights import Right
from accounts.sharing import Giver
from organizations.models import OperationGrant, Organization, Role, RoleMembership, User
from organizations.operations import Operation

ticks = st.frozensets(st.sampled_from(Right))
FEW = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True)
class Case:
    """direct, by_role: the ticks of the two grants; *_ends: how many hours are left of them, None without end."""

    is_owner: bool
    is_shared: bool
    is_active: bool
    is_elsewhere: bool
    is_in_role: bool
    direct: frozenset[Right]
    direct_ends: int | None
    by_role: frozenset[Right]
    by_role_ends: int | None
    manages: bool
    may_share: bool

    @property
    def held(self) -> set[Right]:
        """What the person may do, in the words of the specification."""
        if not self.is_active or self.is_elsewhere:
            return set()
        if self.is_owner:
            return set(Right)
        if not self.is_shared:
            return set()
        mine = self.direct if self.direct_ends is None or self.direct_ends > 0 else frozenset()
        ours = self.by_role if self.by_role_ends is None or self.by_role_ends > 0 else frozenset()
        return set(mine | (ours if self.is_in_role else frozenset()))


ends = st.sampled_from([None, -1, 0, 1, 24])
cases = st.builds(
    Case,
    is_owner=st.booleans(),
    is_shared=st.booleans(),
    is_active=st.integers(0, 4).map(bool),
    is_elsewhere=st.integers(0, 4).map(lambda number: number == 0),
    is_in_role=st.booleans(),
    direct=ticks,
    direct_ends=ends,
    by_role=ticks,
    by_role_ends=ends,
    manages=st.booleans(),
    may_share=st.booleans(),
)


def build(case: Case, now) -> tuple[User, Mailbox]:
    """The case, and the same once more in another organization, under the same names."""
    double = _build(case, "double.example", now)
    assert double
    return _build(case, "example.org", now)


def _build(case: Case, domain: str, now) -> tuple[User, Mailbox]:
    home = Organization.objects.create(name="Look-alike")
    lives_in = Organization.objects.create(name="Look-alike") if case.is_elsewhere else home
    user = User.objects.create(email=f"p@{domain}", organization=lives_in, name="P", is_active=case.is_active)
    other = User.objects.create(email=f"o@{domain}", organization=home, name="O")
    owner = user if case.is_owner else other
    mailbox = Mailbox.objects.create(organization=home, owner=owner, address="m@example.org", is_shared=case.is_shared)
    role = Role.objects.create(organization=home, name="Team")
    if case.is_in_role:
        RoleMembership.objects.create(role=role, user=user)
    for whom, rights, left in (
        ({"user": user}, case.direct, case.direct_ends),
        ({"role": role}, case.by_role, case.by_role_ends),
    ):
        grant = MailboxGrant(mailbox=mailbox, ends_at=None if left is None else now + timedelta(hours=left), **whom)
        grant.rights = rights
        grant.save()
    for operation, holds in (
        (Operation.MANAGE_EMAIL_ACCOUNTS, case.manages),
        (Operation.SET_UP_SHARED_MAILBOXES, case.may_share),
    ):
        if holds:
            OperationGrant.objects.create(operation=operation, user=user)
    return User.objects.get(pk=user.pk), mailbox


@pytest.mark.proves("F1", "F2", "F3", "A1")
@given(case=cases)
@FEW
def test_every_question_is_answered_as_the_model_does(db, case: Case):
    now = timezone.now()
    with transaction.atomic():
        user, mailbox = build(case, now)
        asked = Mailbox.objects
        assert {right for right in Right if asked.allowing(right, user, now).exists()} == case.held
        assert all(list(asked.allowing(right, user, now)) == [mailbox] for right in case.held)
        assert asked.readable_by(user, now).exists() == bool(case.held & {Right.ACCESS, Right.SEND})
        assert asked.in_panel_of(user, now).exists() == (Right.SEND in case.held)
        administers = case.manages and case.is_active and not case.is_elsewhere
        assert asked.visible_to(user, now).exists() == (bool(case.held) or administers)
        assert asked.manageable_by(user, now).exists() == (Right.SETUP in case.held or administers)
        transaction.set_rollback(True)


@pytest.mark.proves("F1", "F3", "T18")
@given(case=cases)
@FEW
def test_nobody_can_give_what_the_model_does_not_let_them(db, case: Case):
    now = timezone.now()
    with transaction.atomic():
        user, mailbox = build(case, now)
        giver = Giver.of(mailbox, user, now)
        administers = case.manages and case.is_active and not case.is_elsewhere
        if not case.may_share or not (Right.SETUP in case.held or administers):
            assert not giver.may_share
        elif administers or case.is_owner:
            assert giver.may_switch
            assert giver.until == dict.fromkeys(Right)
        else:
            assert not giver.may_switch
            assert set(giver.until) == case.held
        transaction.set_rollback(True)


@pytest.mark.parametrize("right", list(Right))
def test_the_latest_end_counts_where_two_grants_give_the_same(mailbox, bob, organization, right):
    role = Role.objects.create(organization=organization, name="Team")
    RoleMembership.objects.create(role=role, user=bob)
    now = timezone.now()
    soon, late = now + timedelta(hours=1), now + timedelta(hours=2)
    for whom, end in (({"user": bob}, soon), ({"role": role}, late)):
        MailboxGrant.objects.create(mailbox=mailbox, ends_at=end, **whom, **{f"may_{right}": True})
    assert mailbox.grants.latest_ends() == {right: late}
    mailbox.grants.filter(user=bob).update(ends_at=None)
    assert mailbox.grants.latest_ends() == {right: None}
