"""Who may give what to whom, and what the one sentence says about it (spec F1, F3, F4)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from accounts.models import Mailbox, MailboxGrant
from accounts.rights import Right, may_switch_downloads_on
from accounts.sharing import CannotShare, Giver, MayNotShare
from organizations.models import AuditEntry, OperationGrant, RoleMembership
from organizations.operations import Operation
from tests.accounts.sharing.conftest import grant, may_share, rights_of

ACCESS, SEND, SETUP = Right


@pytest.fixture
def tomorrow():
    return timezone.now() + timedelta(days=1)


# --- Who may share ----------------------------------------------------------------------------------------------


@pytest.mark.proves("F1", "A4")
def test_the_owner_needs_the_operation(mailbox, alice, bob, sharing_by):
    with pytest.raises(MayNotShare):
        sharing_by(alice, mailbox).switch(on=True)
    may_share(alice)
    sharing_by(alice, mailbox).switch(on=True)
    sharing_by(alice, mailbox).give([bob], [ACCESS], None)
    assert rights_of(bob, mailbox) == {ACCESS}


@pytest.mark.proves("F1", "A4")
@pytest.mark.parametrize("rights", [(), (ACCESS,), (SEND,), (ACCESS, SEND)], ids=str)
def test_the_operation_alone_shares_nothing(mailbox, bob, charlie, sharing_by, rights):
    grant(mailbox, may_share(bob), *rights)
    with pytest.raises(MayNotShare):
        sharing_by(bob, mailbox).give([charlie], [ACCESS], None)
    assert not mailbox.grants.filter(user=charlie).exists()


@pytest.mark.proves("F1", "A4")
def test_an_organization_mailbox_is_shared_by_who_manages_accounts_and_holds_the_operation(
    shared_mailbox, charlie, bob, sharing_by
):
    OperationGrant.objects.create(operation=Operation.MANAGE_EMAIL_ACCOUNTS, user=charlie)
    with pytest.raises(MayNotShare):
        sharing_by(charlie, shared_mailbox).switch(on=False)
    may_share(charlie)
    assert sharing_by(charlie, shared_mailbox).switch(on=False)
    assert rights_of(bob, shared_mailbox) == set()


@pytest.mark.proves("A1")
def test_the_administrator_of_another_organization_shares_nothing(mailbox, dana, sharing_by):
    with pytest.raises(MayNotShare):
        sharing_by(dana, mailbox).give([dana], [ACCESS], None)


@pytest.mark.proves("F3", "A8")
def test_an_administrator_who_gives_herself_access_leaves_an_entry(mailbox, administrator, sharing_by):
    assert rights_of(administrator, mailbox) == set()
    sharing_by(administrator, mailbox).switch(on=True)
    told = sharing_by(administrator, mailbox).give([administrator], [ACCESS], None)
    assert told == "Ada gains: Access emails."
    assert rights_of(administrator, mailbox) == {ACCESS}
    entry = AuditEntry.objects.get(action="mailbox.access_given")
    assert (entry.actor, entry.object_id) == (administrator, str(mailbox.pk))
    assert entry.detail == {"to": "Ada", "before": [], "after": ["Access emails"]}


# --- Who shares by a given right ----------------------------------------------------------------------------------


@pytest.mark.proves("F1", "F3", "T18")
def test_whoever_holds_setup_gives_no_more_than_she_has(mailbox, bob, charlie, sharing_by):
    grant(mailbox, may_share(bob), ACCESS, SETUP)
    with pytest.raises(CannotShare, match="Send emails"):
        sharing_by(bob, mailbox).give([charlie], [ACCESS, SEND], None)
    assert rights_of(charlie, mailbox) == set()
    sharing_by(bob, mailbox).give([charlie], [ACCESS], None)
    given = mailbox.grants.get(user=charlie)
    with pytest.raises(CannotShare, match="Send emails"):
        sharing_by(bob, mailbox).set_right(given.pk, SEND, on=True)
    assert rights_of(charlie, mailbox) == {ACCESS}


@pytest.mark.proves("F3", "T18")
def test_nobody_gives_herself_more_than_somebody_else_gave(mailbox, bob, sales, sharing_by):
    """What came through a role must end with the role."""
    mine = grant(mailbox, may_share(bob), SETUP)
    RoleMembership.objects.create(role=sales, user=bob)
    through = grant(mailbox, sales, ACCESS)
    for change in (
        lambda: sharing_by(bob, mailbox).set_right(mine.pk, ACCESS, on=True),
        lambda: sharing_by(bob, mailbox).set_right(through.pk, SETUP, on=True),
    ):
        with pytest.raises(CannotShare, match="yourself"):
            change()
    RoleMembership.objects.filter(user=bob).delete()
    assert rights_of(bob, mailbox) == {SETUP}


@pytest.mark.proves("F3", "F4", "T18")
def test_nobody_gives_for_longer_than_she_has(mailbox, bob, charlie, sharing_by, tomorrow):
    grant(mailbox, may_share(bob), ACCESS, SETUP, ends_at=tomorrow)
    for end in (None, tomorrow + timedelta(seconds=1)):
        with pytest.raises(CannotShare) as refused:
            sharing_by(bob, mailbox).give([charlie], [ACCESS], end)
        assert refused.value.field == "ends_on"
    sharing_by(bob, mailbox).give([charlie], [ACCESS], tomorrow)
    with pytest.raises(CannotShare):
        sharing_by(bob, mailbox).set_end(mailbox.grants.get(user=charlie).pk, None)
    with pytest.raises(CannotShare, match="yourself"):
        sharing_by(bob, mailbox).set_end(mailbox.grants.get(user=bob).pk, None)


@pytest.mark.proves("F3")
def test_whoever_holds_setup_takes_away_and_does_not_switch(mailbox, bob, charlie, sharing_by):
    grant(mailbox, may_share(bob), SETUP)
    other = grant(mailbox, charlie, ACCESS, SEND)
    with pytest.raises(MayNotShare):
        sharing_by(bob, mailbox).switch(on=False)
    sharing_by(bob, mailbox).set_right(other.pk, SEND, on=False)
    assert rights_of(charlie, mailbox) == {ACCESS}
    assert sharing_by(bob, mailbox).take_away(other.pk) == "Charlie loses: Access emails."
    assert rights_of(charlie, mailbox) == set()


def test_whoever_shares_is_asked_anew_at_every_change(mailbox, owner, bob, sharing_by):
    sharing = sharing_by(owner, mailbox)
    sharing.switch(on=True)
    OperationGrant.objects.filter(user=owner).delete()
    owner.__dict__.pop("_operations", None)
    with pytest.raises(PermissionDenied):
        sharing.give([bob], [ACCESS], None)


# --- What cannot be given -----------------------------------------------------------------------------------------


@pytest.mark.proves("F1")
def test_what_cannot_be_given_gets_a_sentence_and_changes_nothing(mailbox, owner, bob, charlie, dana, sharing_by):
    sharing = sharing_by(owner, mailbox)
    sharing.give([bob], [ACCESS], None)
    charlie.is_active = False
    charlie.save()
    wrong = {
        "to": [([bob], [SEND], None), ([owner], [ACCESS], None), ([charlie], [ACCESS], None),
               ([dana], [ACCESS], None), ([], [ACCESS], None)],
        "rights": [([dana], [], None)],
        "ends_on": [([dana], [ACCESS], timezone.now() - timedelta(seconds=1))],
    }  # fmt: skip
    for field, attempts in wrong.items():
        for receivers, rights, end in attempts:
            with pytest.raises(CannotShare) as refused:
                sharing.give(receivers, rights, end)
            assert refused.value.field == field
            assert str(refused.value).endswith(".")
    assert mailbox.grants.get().user == bob


def test_all_are_added_or_none(mailbox, owner, bob, charlie, sharing_by):
    sharing_by(owner, mailbox).give([bob], [ACCESS], None)
    with pytest.raises(CannotShare):
        sharing_by(owner, mailbox).give([charlie, bob], [ACCESS], None)
    assert not mailbox.grants.filter(user=charlie).exists()


def test_a_grant_of_another_mailbox_is_not_found(mailbox, shared_mailbox, owner, sharing_by):
    foreign = shared_mailbox.grants.first()
    for change in (
        lambda sharing: sharing.take_away(foreign.pk),
        lambda sharing: sharing.set_right(foreign.pk, SEND, on=True),
        lambda sharing: sharing.set_end(foreign.pk, None),
    ):
        with pytest.raises(MailboxGrant.DoesNotExist):
            change(sharing_by(owner, mailbox))


# --- The switch ---------------------------------------------------------------------------------------------------


@pytest.mark.proves("F1", "F3")
def test_switching_off_ends_every_right_and_switching_on_gives_them_back(
    mailbox, owner, bob, charlie, sales, sharing_by
):
    sharing = sharing_by(owner, mailbox)
    assert sharing.switch(on=True) == "Shared access is on. Add the people or roles who may use this mailbox."
    sharing.give([bob, sales], [ACCESS, SEND], None)
    assert sharing.switch(on=False).endswith("2 people can no longer use this mailbox; the list is kept.")
    assert rights_of(bob, mailbox) == rights_of(charlie, mailbox) == set()
    assert not Mailbox.objects.visible_to(bob, timezone.now())
    assert rights_of(owner, mailbox) == set(Right)
    assert sharing.switch(on=True) == "Shared access is on: 2 people can use this mailbox now."
    assert rights_of(bob, mailbox) == rights_of(charlie, mailbox) == {ACCESS, SEND}


def test_what_is_given_while_it_is_off_says_so(mailbox, owner, bob, sharing_by):
    told = sharing_by(owner, mailbox).give([bob], [ACCESS], None)
    assert told == "Bob gains: Access emails. It counts once shared access is switched on."
    assert rights_of(bob, mailbox) == set()


def test_switching_twice_is_written_down_once(mailbox, owner, sharing_by):
    for _ in range(2):
        sharing_by(owner, mailbox).switch(on=True)
    assert AuditEntry.objects.filter(action="mailbox.shared").count() == 1


@pytest.mark.proves("F1")
def test_a_new_mailbox_of_the_organization_is_shared_and_a_person_s_is_not(make_mailbox, alice):
    assert make_mailbox("info@example.org").is_shared
    assert not make_mailbox("alice2@example.org", alice).is_shared


@pytest.mark.proves("F1", "A4")
def test_downloads_of_a_shared_mailbox_need_an_operation_of_their_own(mailbox, alice):
    assert may_switch_downloads_on(alice, mailbox)
    mailbox.is_shared = True
    assert not may_switch_downloads_on(alice, mailbox)
    OperationGrant.objects.create(operation=Operation.SYNCHRONISE_SHARED_MAILBOXES, user=alice)
    del alice._operations
    assert may_switch_downloads_on(alice, mailbox)


# --- What is said -------------------------------------------------------------------------------------------------


@pytest.mark.proves("F4")
def test_the_sentence_names_who_gains_and_who_loses(mailbox, owner, bob, charlie, sales, sharing_by, tomorrow):
    sharing = sharing_by(owner, mailbox)
    sharing.switch(on=True)
    assert sharing.give([sales], [ACCESS], None) == "Sales (1 person) gains: Access emails."
    told = sharing.give([charlie], [ACCESS, SEND], None)
    assert told == "Charlie gains: Send emails. Charlie had “Access emails” already, through a role."
    mine = mailbox.grants.get(user=charlie)
    told = sharing.set_right(mine.pk, ACCESS, on=False)
    assert told == "Charlie keeps “Access emails” through a role."
    assert sharing.set_right(mine.pk, ACCESS, on=False) == "Saved. Nobody gains or loses anything by it."
    assert sharing.set_rights(mine.pk, [SETUP]) == "Charlie gains: Setup mailbox; loses: Send emails."
    assert sharing.set_end(mine.pk, tomorrow).startswith("The last day is ")
    assert sharing.set_end(mine.pk, None) == "Charlie has no end date now."
    assert sharing.take_away(mailbox.grants.get(role=sales).pk) == "Sales (1 person) loses: Access emails."


@pytest.mark.proves("F4")
def test_an_ended_grant_that_is_lengthened_gives_again(mailbox, owner, bob, sharing_by, tomorrow):
    ended = grant(mailbox, bob, ACCESS, ends_at=timezone.now() - timedelta(days=1))
    assert rights_of(bob, mailbox) == set()
    assert sharing_by(owner, mailbox).set_end(ended.pk, tomorrow).startswith("Bob gains: Access emails.")
    ended.refresh_from_db()
    assert (rights_of(bob, mailbox), ended.granted_by) == ({ACCESS}, owner)


def test_who_widened_a_grant_last_stands_at_it_and_who_narrowed_it_does_not(
    mailbox, owner, administrator, bob, sharing_by
):
    sharing_by(owner, mailbox).give([bob], [ACCESS], None)
    given = mailbox.grants.get()
    sharing_by(administrator, mailbox).set_right(given.pk, SEND, on=True)
    given.refresh_from_db()
    assert given.granted_by == administrator
    sharing_by(owner, mailbox).set_right(given.pk, SEND, on=False)
    given.refresh_from_db()
    assert given.granted_by == administrator


def test_a_giver_without_the_operation_may_give_nothing(mailbox, alice):
    giver = Giver.of(mailbox, alice, timezone.now())
    assert not giver.may_share
    assert not giver.may_switch
