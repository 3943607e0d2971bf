"""Queries that are put into SQL once."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db.models import Q, QuerySet
from django.utils import timezone

from organizations.models import ApiToken, Organization, User
from organizations.prepared import prepared

pytestmark = pytest.mark.django_db


@pytest.fixture
def people() -> list[User]:
    house = Organization.objects.create(name="House")
    return [User.objects.create(email=f"{name}@example.org", name=name, organization=house) for name in "abc"]


@prepared
def by_email(email: str) -> QuerySet[User]:
    return User.objects.filter(email=email).select_related("organization")


def test_each_run_has_its_own_values(people, django_assert_num_queries):
    by_email("nobody@example.org")
    with django_assert_num_queries(3):
        found = [by_email(one.email) for one in people]
    assert found == [[one] for one in people]


def test_rows_are_whole_with_what_they_are_joined_to(people, django_assert_num_queries):
    [found] = by_email("a@example.org")
    expected = User.objects.select_related("organization").get(pk=people[0].pk)
    with django_assert_num_queries(0):
        assert found.organization == expected.organization
    shown = [{name: value for name, value in vars(one).items() if name != "_state"} for one in (found, expected)]
    assert shown[0] == shown[1]
    found.save()  # it knows that it is stored, and where


def test_moments_and_json_come_and_go_as_ever(people):
    now = timezone.now()
    rows = [("past", now - timedelta(hours=1)), ("later", now + timedelta(hours=1)), ("never", None)]
    for name, ends in rows:
        ApiToken.objects.create(
            user=people[0], name=name, scopes=["a", "b"], token_hash=name, prefix=name, created_at=now, expires_at=ends
        )

    @prepared
    def alive(moment: datetime) -> QuerySet[ApiToken]:
        return ApiToken.objects.filter(Q(expires_at=None) | Q(expires_at__gt=moment)).order_by("name")

    assert [(one.name, one.scopes, one.expires_at) for one in alive(now)] == [
        ("later", ["a", "b"], rows[1][1]),
        ("never", ["a", "b"], None),
    ]
    assert [one.name for one in alive(now + timedelta(hours=2))] == ["never"]
    assert alive(now)[0].user == people[0]


def test_a_tuple_is_a_kind_for_each_length(people):
    @prepared
    def among(organization_pk: int, emails: tuple[str, ...]) -> QuerySet[User]:
        return User.objects.filter(organization_id=organization_pk, email__in=emails).order_by("email")

    house = people[0].organization_id
    assert among(house, ("a@example.org", "c@example.org")) == [people[0], people[2]]
    assert among(house, ("b@example.org",)) == [people[1]]
    assert among(house, ()) == []
    assert among(house + 1, ("b@example.org",)) == []


def test_a_value_that_does_not_stand_in_the_statement_as_it_is_is_refused(people):
    @prepared
    def containing(text: str) -> QuerySet[User]:
        return User.objects.filter(email__contains=text)

    with pytest.raises(ValueError, match="does not pass on each of its values"):
        containing("a")


def test_nothing_but_plain_rows_can_be_prepared(people):
    @prepared
    def named(email: str) -> QuerySet[User]:
        return User.objects.filter(email=email).prefetch_related("memberships")

    with pytest.raises(ValueError, match="something else than plain rows"):
        named("a@example.org")


@pytest.mark.django_db(transaction=True)
def test_a_statement_of_one_thread_serves_another(people):
    from concurrent.futures import ThreadPoolExecutor

    from django.db import connection

    by_email("a@example.org")

    def elsewhere() -> list[User]:
        try:
            return by_email("b@example.org")
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(elsewhere).result() == [people[1]]
