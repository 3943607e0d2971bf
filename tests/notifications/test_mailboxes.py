"""Mailboxes that are disconnected and work again: told once per change, to those in charge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.disconnections import people_in_charge, tell_connected, tell_disconnected
from accounts.models import Mailbox, MailboxGrant
from mailstore import runs, schedule, trouble
from mailstore.models import SyncSchedule
from mailstore.writing import Claim
from notifications.kinds import Kind
from notifications.models import Notification
from organizations.granting import give
from organizations.models import Role, RoleMembership
from organizations.operations import Operation
from protocols.diagnosis import Retry
from protocols.errors import LoginRefused, Unreachable
from tests.conftest import person

pytestmark = pytest.mark.django_db

TROUBLE = runs.UNSTEADY_EPOCH


@pytest.fixture
def claim() -> Callable[[Mailbox], Claim]:
    """`claim(mailbox)`: as a worker that has begun to sync it."""

    def take(mailbox: Mailbox) -> Claim:
        schedule.ensure(mailbox)
        SyncSchedule.objects.filter(mailbox=mailbox).update(due_at=timezone.now(), leased_until=None)
        fence = SyncSchedule.objects.claim(mailbox.pk, timezone.now())
        assert fence is not None
        mailbox.refresh_from_db()
        return Claim(mailbox.pk, fence)

    return take


def told(user) -> list[tuple[str, str]]:
    rows = Notification.objects.of(user).order_by("pk")
    return list(rows.values_list("kind", "title"))


DISCONNECTED, CONNECTED = Kind.MAILBOX_DISCONNECTED.value, Kind.MAILBOX_CONNECTED.value


@pytest.mark.proves("A7")
def test_a_refused_password_is_told_once_and_its_cure_once(mailbox, alice, claim):
    refused = LoginRefused("no", reply="NO [AUTHENTICATIONFAILED] Invalid credentials")
    runs.fail(mailbox, claim(mailbox), refused, timezone.now())
    assert told(alice) == []  # one more try
    runs.fail(mailbox, claim(mailbox), refused, timezone.now())
    assert told(alice) == [(DISCONNECTED, "alice@example.org needs attention")]
    Mailbox.objects.filter(pk=mailbox.pk).update(paused_at=None, attention=None, attention_since=None)  # typed anew
    for _ in range(2):
        runs.finish(mailbox, claim(mailbox), timezone.now(), arrived=0)
    assert told(alice)[1:] == [(CONNECTED, "alice@example.org works again")]
    first = Notification.objects.of(alice).earliest("pk")
    assert first.url == f"/mailboxes/{mailbox.pk}/settings"
    assert first.text


@pytest.mark.proves("A7")
def test_retries_of_what_is_broken_tell_nothing_new(mailbox, alice, claim):
    for _ in range(5):
        runs.pause(mailbox, claim(mailbox), TROUBLE, timezone.now())
        Mailbox.objects.filter(pk=mailbox.pk).update(paused_at=None)
    assert told(alice) == [(DISCONNECTED, "alice@example.org needs attention")]


def test_each_new_break_is_told_anew(mailbox, alice, claim):
    for _ in range(2):
        runs.pause(mailbox, claim(mailbox), TROUBLE, timezone.now())
        Mailbox.objects.filter(pk=mailbox.pk).update(paused_at=None)
        runs.finish(mailbox, claim(mailbox), timezone.now(), arrived=1)
    assert [kind for kind, _ in told(alice)] == [DISCONNECTED, CONNECTED] * 2


def test_a_server_that_is_away_for_a_while_is_no_news(mailbox, alice, claim, monkeypatch):
    monkeypatch.setattr(trouble, "diagnose", lambda *_args, **_options: replace(TROUBLE, retry=Retry.BACK_OFF))
    for _ in range(3):
        runs.fail(mailbox, claim(mailbox), Unreachable("timed out"), timezone.now())
    runs.finish(mailbox, claim(mailbox), timezone.now(), arrived=0)
    assert told(alice) == []


def test_the_row_and_what_is_told_about_it_are_one(mailbox, alice, claim, monkeypatch):
    def fails(*_args: object, **_options: object) -> None:
        raise RuntimeError("the worker dies here")

    taken = claim(mailbox)
    monkeypatch.setattr("accounts.disconnections.tell", fails)
    with pytest.raises(RuntimeError, match="dies"):
        runs.pause(mailbox, taken, TROUBLE, timezone.now())
    mailbox.refresh_from_db()
    assert (mailbox.attention, mailbox.disconnected_at) == (None, None)
    assert told(alice) == []


def test_what_still_needs_attention_does_not_work_again(mailbox, alice):
    now = timezone.now()
    tell_disconnected(mailbox, TROUBLE, now)
    Mailbox.objects.filter(pk=mailbox.pk).update(attention={"title": "Sending fails"}, attention_since=now)
    tell_connected(mailbox, now)
    Mailbox.objects.filter(pk=mailbox.pk).update(attention=None, paused_at=now)
    tell_connected(mailbox, now)
    assert [kind for kind, _ in told(alice)] == [DISCONNECTED]


def test_a_diagnosis_without_causes_is_told_by_its_title(mailbox, alice):
    tell_disconnected(mailbox, replace(TROUBLE, causes=()), timezone.now())
    assert Notification.objects.of(alice).get().text == "The server keeps renumbering a folder."


# --- Whom -------------------------------------------------------------------------------------------------------


@pytest.mark.proves("A7", "F1")
def test_the_owner_alone_is_told_about_an_own_mailbox(mailbox, alice, administrator, bob):
    MailboxGrant.objects.create(mailbox=mailbox, user=bob, may_access=True, may_setup=True)
    Mailbox.objects.filter(pk=mailbox.pk).update(is_shared=True)
    mailbox.refresh_from_db()
    assert list(people_in_charge(mailbox, timezone.now())) == [alice]
    alice.is_active = False
    alice.save()
    assert not people_in_charge(mailbox, timezone.now())


@pytest.mark.proves("A7", "F1")
def test_an_organizations_mailbox_is_told_to_who_sets_it_up_or_manages_accounts(
    shared_mailbox, organization, alice, bob, charlie, administrator, dana
):
    now = timezone.now()
    desk = Role.objects.create(organization=organization, name="Front desk")
    erin, frank, grace = (person(organization, name) for name in ("Erin", "Frank", "Grace"))
    for user in (erin, alice):
        RoleMembership.objects.create(role=desk, user=user)
    MailboxGrant.objects.create(mailbox=shared_mailbox, role=desk, may_setup=True)
    MailboxGrant.objects.create(mailbox=shared_mailbox, user=grace, may_setup=True, ends_at=now - timedelta(days=1))
    give(Operation.MANAGE_EMAIL_ACCOUNTS, frank, by=administrator)
    give(Operation.VIEW_EMAIL_LOGS, charlie, by=administrator)
    assert sorted(map(str, people_in_charge(shared_mailbox, now))) == ["Ada", "Alice", "Erin", "Frank"]
    Mailbox.objects.filter(pk=shared_mailbox.pk).update(is_shared=False)
    shared_mailbox.refresh_from_db()
    assert sorted(map(str, people_in_charge(shared_mailbox, now))) == ["Ada", "Frank"]


@pytest.mark.proves("A7")
def test_five_hundred_mailboxes_that_break_at_once_cost_the_same_each(
    make_mailbox, administrator, alice, assert_queries
):
    now = timezone.now()
    rows = [make_mailbox(f"m{number}@example.org") for number in range(500)]
    tell_disconnected(rows[0], TROUBLE, now)
    for mailbox in rows[1:499]:
        tell_disconnected(mailbox, TROUBLE, now)
    with assert_queries(6):  # two of the savepoint, the mark, the people, their choices, the rows
        tell_disconnected(rows[499], TROUBLE, now)
    with assert_queries(3):  # they know
        tell_disconnected(rows[499], TROUBLE, now)
    assert Notification.objects.of(administrator).count() == 500
    assert Notification.objects.of(administrator).unread_count() == 100
    assert not Notification.objects.of(alice).exists()
