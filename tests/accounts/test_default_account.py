"""At most one default account per organization, whatever happens at the same time."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from accounts.models import Mailbox


def defaults() -> list[str]:
    return list(Mailbox.objects.filter(is_default=True).order_by("address").values_list("address", flat=True))


@pytest.mark.proves("E5")
def test_a_new_default_takes_the_place_of_the_old_one(make_mailbox):
    make_mailbox("first@example.org", is_default=True)
    make_mailbox("second@example.org", is_default=True)
    assert defaults() == ["second@example.org"]


@pytest.mark.proves("E5")
def test_the_database_refuses_a_second_default(make_mailbox):
    make_mailbox("first@example.org", is_default=True)
    second = make_mailbox("second@example.org")
    with pytest.raises(IntegrityError), transaction.atomic():
        Mailbox.objects.filter(pk=second.pk).update(is_default=True)


def test_each_organization_has_its_own_default(make_mailbox, other_organization):
    make_mailbox("first@example.org", is_default=True)
    make_mailbox("second@elsewhere.example", organization=other_organization, is_default=True)
    assert len(defaults()) == 2


def test_a_failed_save_leaves_the_old_default(make_mailbox):
    make_mailbox("first@example.org", is_default=True)
    twin = Mailbox(
        organization=Mailbox.objects.get().organization, address="first@example.org", display_name="x", is_default=True
    )
    with pytest.raises(IntegrityError), transaction.atomic():
        twin.save()
    assert defaults() == ["first@example.org"]
