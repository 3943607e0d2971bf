"""The watch over the tests watches, and the cast can do what it is said to do."""

from __future__ import annotations

import logging

import pytest
from django.utils import timezone

from accounts.models import Mailbox
from accounts.rights import Right
from organizations.models import Role
from tests.errors import ErrorWatch


def test_alice_manages_the_shared_mailbox_and_bob_may_only_read_it(shared_mailbox, alice, bob, charlie, dana):
    def rights_of(user):
        now = timezone.now()
        return {right for right in Right if Mailbox.objects.allowing(right, user, now).filter(pk=shared_mailbox.pk)}

    assert rights_of(alice) == set(Right)
    assert rights_of(bob) == {Right.ACCESS}
    assert rights_of(charlie) == rights_of(dana) == set()


def test_the_administrator_manages_everything_and_reads_nothing(mailbox, administrator):
    now = timezone.now()
    assert mailbox in Mailbox.objects.manageable_by(administrator, now)
    assert not Mailbox.objects.allowing(Right.ACCESS, administrator, now)


def test_the_client_of_a_user_is_signed_in(client_of, alice):
    assert client_of(alice).session["_auth_user_id"] == str(alice.pk)


@pytest.mark.proves("V7")
def test_an_error_line_nobody_announced_is_named():
    watch = ErrorWatch()
    watch.handle(logging.makeLogRecord({"name": "mailstore.syncing", "levelno": logging.ERROR, "msg": "no space"}))
    assert watch.verdict() == "Unexpected ERROR log line: mailstore.syncing: no space"


def test_an_announced_error_line_passes(expected_errors):
    expected_errors("^delivery.outbox: .*full$")
    logging.getLogger("delivery.outbox").error("the disk is full")


def test_an_announced_error_line_that_never_comes_is_named():
    watch = ErrorWatch()
    watch("disk is full")
    assert "none came" in watch.verdict()


def test_a_wrong_query_count_lists_the_queries(assert_queries, organization):
    complaint = pytest.raises(pytest.fail.Exception, match=r"1 queries instead of 0:\n +1 x SELECT")
    with complaint as failure, assert_queries(0):
        Role.objects.filter(organization=organization).count()
    assert "?" in str(failure.value)


def test_queries_that_grow_with_the_rows_are_listed(assert_queries, organization):
    def one_query_per_role():
        return [role.organization.name for role in Role.objects.all()]

    with pytest.raises(pytest.fail.Exception, match="grows"):
        assert_queries.constant(
            one_query_per_role, lambda: Role.objects.create(organization=organization, name="Sales")
        )
    assert_queries.constant(
        lambda: list(Role.objects.all()), lambda: Role.objects.create(organization=organization, name="Support")
    )
