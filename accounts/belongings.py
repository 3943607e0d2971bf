"""What people and roles hold in email accounts: what stops or is lost when they go, and what roles open (spec A3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import Exists, OuterRef
from django.dispatch import receiver
from django.utils import timezone

from accounts.models import Mailbox, MailboxGrant
from accounts.rights import Right
from organizations import authority, departures
from organizations.models import Role, User

NAMED = 5  # addresses named in a sentence; the others are counted


@departures.tells_when_deactivated
def what_stops(person: User) -> Iterator[str]:
    mailboxes = list(Mailbox.objects.filter(owner=person).order_by("address"))
    if mailboxes:
        yield f"{_number(mailboxes)} of {person} {_verb(mailboxes, 'stops', 'stop')} syncing: {_names(mailboxes)}."
    if any(mailbox.is_shared for mailbox in mailboxes):
        yield "Colleagues with whom they are shared find no new mail there."


@departures.tells_when_removed
def what_is_lost(person: User) -> Iterator[str]:
    mailboxes = list(Mailbox.objects.filter(owner=person).order_by("address"))
    if mailboxes:
        yield (
            f"{_number(mailboxes)} of {person} {_verb(mailboxes, 'is', 'are')} deleted here, with all mail that is "
            f"stored of {_verb(mailboxes, 'it', 'them')}: {_names(mailboxes)}. "
            f"At the provider {_verb(mailboxes, 'it stays as it is', 'they stay as they are')}."
        )
    if any(mailbox.is_shared for mailbox in mailboxes):
        yield "Colleagues with whom they are shared lose them too."


@receiver(departures.person_leaving, sender=User)
def let_go_of_mailboxes(user: User, **_kwargs: Any) -> None:
    """Each with its store, in bulk; a cascade from the person would read the store row by row."""
    for mailbox in Mailbox.objects.filter(owner=user):
        mailbox.delete()


@authority.counts_openings
def email_accounts_opened(actor: User, roles: Sequence[Role]) -> dict[int, str]:
    """Roles that open email accounts which `actor` cannot open to the same extent."""
    now = timezone.now()
    refusals: dict[int, str] = {}
    for right in Right:
        own = Mailbox.objects.allowing(right, actor, now).filter(pk=OuterRef("mailbox"))
        beyond = MailboxGrant.objects.giving(right).live_at(now).filter(~Exists(own), role__in=roles)
        for grant in beyond.select_related("mailbox", "role"):
            assert grant.role is not None  # the filter asked for roles
            refusals.setdefault(
                grant.role.pk,
                f"“{grant.role}” opens {grant.mailbox} in a way that is not open to you. "
                "An administrator can decide about it.",
            )
    return refusals


def _number(mailboxes: list[Mailbox]) -> str:
    return "1 email account" if len(mailboxes) == 1 else f"{len(mailboxes)} email accounts"


def _verb(mailboxes: list[Mailbox], one: str, several: str) -> str:
    return one if len(mailboxes) == 1 else several


def _names(mailboxes: list[Mailbox]) -> str:
    names = ", ".join(mailbox.address for mailbox in mailboxes[:NAMED])
    return f"{names} and {len(mailboxes) - NAMED} more" if len(mailboxes) > NAMED else names
