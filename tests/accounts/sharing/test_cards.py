"""The cards of the settings page say with how many people an account is shared, to those who may know (spec F1)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts import sharing_people
from accounts.models import Mailbox
from accounts.rights import Right
from organizations.models import Role, RoleMembership
from tests.accounts.sharing.conftest import grant
from tests.conftest import person

ACCESS, SEND, SETUP = Right


@pytest.fixture
def shared(mailbox, organization, alice, bob, charlie, sales) -> Mailbox:
    """Alice's, shared with Bob, with a role that has Charlie, Bob and Alice in it, and with others in vain."""
    for member in (bob, alice):
        RoleMembership.objects.create(role=sales, user=member)
    gone = person(organization, "Gone")
    gone.is_active = False
    gone.save()
    RoleMembership.objects.create(role=sales, user=gone)
    grant(mailbox, bob, ACCESS)
    grant(mailbox, sales, SEND)
    grant(mailbox, gone, ACCESS)
    grant(mailbox, person(organization, "Nothing"))
    grant(mailbox, person(organization, "Ended"), ACCESS, ends_at=timezone.now() - timedelta(seconds=1))
    grant(mailbox, Role.objects.create(organization=organization, name="Empty"), ACCESS)
    mailbox.refresh_from_db()
    return mailbox


def test_each_person_counts_once_and_neither_the_owner_nor_who_can_do_nothing(shared, make_mailbox, alice):
    assert sharing_people.counts([shared, make_mailbox("own@example.org", alice)], timezone.now()) == {shared.pk: 2}


def test_nobody_counts_while_shared_access_is_off(shared):
    shared.is_shared = False
    assert sharing_people.counts([shared], timezone.now()) == {}


@pytest.mark.proves("F1", "F3")
def test_the_card_says_so_to_those_who_may_change_the_account(shared, client_of, alice, bob, administrator):
    told = {
        viewer.name: "Shared with 2 people" in client_of(viewer).get(reverse("email-settings")).content.decode()
        for viewer in (alice, bob, administrator)
    }
    assert told == {"Alice": True, "Bob": False, "Ada": True}
