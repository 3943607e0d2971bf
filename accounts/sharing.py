"""Who may share a mailbox, and how a share is made, changed and ended (spec F1, F3).

Pages and the API come through `Sharing`. Each change is one short transaction under the lock of the mailbox's row, asks
anew who makes it, and leaves an audit entry that the owner reads on the access page. Each returns a sentence that says
who gains and who loses what.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest

from accounts import sharing_words as words
from accounts.models import Mailbox, MailboxGrant
from accounts.rights import Right
from organizations import audit, live
from organizations.models import Role, User
from organizations.operations import Operation

SWITCHED_ON: Final = "mailbox.shared"
SWITCHED_OFF: Final = "mailbox.unshared"
GIVEN: Final = "mailbox.access_given"
CHANGED: Final = "mailbox.access_changed"
TAKEN: Final = "mailbox.access_taken"
LATEST_END: Final = datetime(2200, 1, 3, tzinfo=UTC)  # pages take the first of January as last day, in any time zone

WHO_SHARES: Final = (
    f"Its owner and people with “{Right.SETUP.label}” can share a mailbox if they also hold the operation "
    f"“{Operation.SET_UP_SHARED_MAILBOXES.label}”. An administrator can grant it to you."
)


class MayNotShare(PermissionDenied):
    """The person may not change who uses this mailbox, or not in this way."""


class CannotShare(ValueError):
    """What was asked for cannot be given.

    field: which part of it, "to", "rights" or "ends_on"; the text is a sentence for the one who asked.
    """

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True, slots=True)
class Giver:
    """What `user` may give to others on one mailbox.

    until:      right -> the moment from which the giver has it no more, None without end. What is missing cannot be
                given; what others hold can always be taken away.
    may_switch: may switch shared access itself on and off, and give to everybody.
    """

    user: User
    until: dict[Right, datetime | None] = field(default_factory=dict)
    may_switch: bool = False

    @classmethod
    def of(cls, mailbox: Mailbox, user: User, now: datetime) -> Giver:
        """With the operation: its owner and who manages email accounts give everything, *setup* gives what it has."""
        may_share = user.may(Operation.SET_UP_SHARED_MAILBOXES)
        if not may_share or not Mailbox.objects.manageable_by(user, now).filter(pk=mailbox.pk).exists():
            return cls(user)
        if mailbox.owner_id == user.pk or user.may(Operation.MANAGE_EMAIL_ACCOUNTS):
            return cls(user, dict.fromkeys(Right), may_switch=True)
        return cls(user, mailbox.grants.live_at(now).reaching(user).latest_ends())

    @property
    def may_share(self) -> bool:
        return bool(self.until)

    def check(self, grant: MailboxGrant, rights: Iterable[Right]) -> None:
        """Raise CannotShare unless `rights` may be given by `grant`, as it is about to be written.

        Whoever shares by a right that somebody else gave gives no more than that, for no longer, and not to herself:
        a right of her own would outlive the role or the grant that it came from.
        """
        for right in rights:
            if right not in self.until:
                raise CannotShare("rights", f"You cannot give “{right.label}”, since you do not have it yourself.")
            if not self.may_switch and grant.reaches(self.user):
                raise CannotShare("to", "You cannot give yourself more. The owner or an administrator can.")
            end = self.until[right]
            if end is not None and (grant.ends_at is None or grant.ends_at > end):
                day = words.last_day_in_words(end)
                raise CannotShare(
                    "ends_on", f"You have “{right.label}” until {day} yourself; nobody gets it for longer."
                )


@dataclass(frozen=True, slots=True)
class Sharing:
    """Changes to who may use `mailbox`, made by `actor` at `now`. `request` tells the audit log from where.

    Every method raises MayNotShare; those that give raise CannotShare, those that name a grant
    MailboxGrant.DoesNotExist.
    """

    mailbox: Mailbox
    actor: User
    now: datetime
    request: HttpRequest | None = None

    def switch(self, *, on: bool) -> str:
        """Switch shared access. Grants stay as they are, and count only while it is on."""
        with self._held() as (mailbox, giver):
            if not giver.may_switch:
                raise MayNotShare("Only the owner, or who manages email accounts, switches shared access on or off.")
            people = mailbox.grants.giving(*Right).live_at(self.now).people().count()
            if mailbox.is_shared != on:
                mailbox.is_shared = on
                mailbox.save(update_fields=["is_shared"])
                self._record(SWITCHED_ON if on else SWITCHED_OFF, {"people": people})
        return words.effect_of_switch(on=on, people=people)

    def give(self, receivers: Iterable[User | Role], rights: Iterable[Right], ends_at: datetime | None) -> str:
        """Add people and roles, all of them or none."""
        chosen = frozenset(rights)
        if not chosen:
            raise CannotShare("rights", "Tick at least one thing that they may do.")
        self._check_end(ends_at)
        with self._held() as (mailbox, giver):
            told = [self._add(mailbox, giver, receiver, chosen, ends_at) for receiver in receivers]
        if not told:
            raise CannotShare("to", "Choose at least one person or role.")
        return " ".join(told)

    def set_rights(self, grant_pk: int, rights: Iterable[Right]) -> str:
        """Give and take, so that the grant holds exactly `rights`."""
        with self._held() as (mailbox, giver):
            grant = self._grant(mailbox, grant_pk)
            told = self._write(mailbox, giver, grant, frozenset(rights), grant.ends_at)
        return told or words.NOTHING_GAINED

    def set_right(self, grant_pk: int, right: Right, *, on: bool) -> str:
        """Set one tick, whatever became of the others meanwhile."""
        with self._held() as (mailbox, giver):
            grant = self._grant(mailbox, grant_pk)
            rights = grant.rights | {right} if on else grant.rights - {right}
            told = self._write(mailbox, giver, grant, rights, grant.ends_at)
        return told or words.NOTHING_GAINED

    def set_end(self, grant_pk: int, ends_at: datetime | None) -> str:
        """Let a grant end at a moment to come; None: never."""
        self._check_end(ends_at)
        with self._held() as (mailbox, giver):
            grant = self._grant(mailbox, grant_pk)
            told = self._write(mailbox, giver, grant, grant.rights, ends_at)
        end = (
            f"The last day is {words.last_day_in_words(ends_at)}."
            if ends_at
            else f"{grant.receiver} has no end date now."
        )
        return f"{told} {end}".strip()

    def take_away(self, grant_pk: int) -> str:
        """End a grant at once and take it off the list."""
        with self._held() as (mailbox, giver):
            grant = self._grant(mailbox, grant_pk)
            told = self._write(mailbox, giver, grant, frozenset(), grant.ends_at, TAKEN)
            grant.delete()
        return told or f"{grant.receiver} was taken off the list."

    @contextmanager
    def _held(self) -> Iterator[tuple[Mailbox, Giver]]:
        """The mailbox as it is now, held until the change is written, and what the actor may give on it."""
        with transaction.atomic():
            mailbox = Mailbox.objects.select_for_update().get(pk=self.mailbox.pk)
            giver = Giver.of(mailbox, self.actor, self.now)
            if not giver.may_share:
                raise MayNotShare(WHO_SHARES)
            yield mailbox, giver
            live.announce(mailbox.organization_id, "mailbox", mailbox.pk)

    def _add(
        self, mailbox: Mailbox, giver: Giver, receiver: User | Role, rights: frozenset[Right], ends_at: datetime | None
    ) -> str:
        if receiver.organization_id != mailbox.organization_id:
            raise CannotShare("to", "Choose people and roles from the list.")
        if isinstance(receiver, User):
            if receiver.pk == mailbox.owner_id:
                raise CannotShare("to", f"{receiver} owns this mailbox and may do everything already.")
            if not receiver.is_active:
                raise CannotShare("to", f"{receiver} is deactivated. Reactivate the person first.")
            grant = MailboxGrant(mailbox=mailbox, user=receiver)
            known = mailbox.grants.filter(user=receiver)
        else:
            grant = MailboxGrant(mailbox=mailbox, role=receiver)
            known = mailbox.grants.filter(role=receiver)
        if known.exists():
            raise CannotShare("to", f"{receiver} is in the list already. Change the ticks there.")
        told = self._write(mailbox, giver, grant, rights, ends_at, GIVEN)
        return told or f"{receiver} was added."

    def _write(
        self,
        mailbox: Mailbox,
        giver: Giver,
        grant: MailboxGrant,
        rights: frozenset[Right],
        ends_at: datetime | None,
        action: str = CHANGED,
    ) -> str:
        """Let `grant` hold `rights` until `ends_at`; return who gains and who loses by it, "" where nobody does."""
        had, ended = grant.rights, grant.ends_at
        if action == CHANGED and (had, ended) == (rights, ends_at):
            return ""
        counted = frozenset() if grant.has_ended(self.now) else had
        lengthened = grant.pk is not None and ended is not None and (ends_at is None or ends_at > ended)
        given = rights if lengthened else rights - counted
        grant.ends_at = ends_at
        giver.check(grant, given)
        before = self._reached(mailbox, grant)
        grant.rights = rights
        if given:
            grant.granted_by, grant.granted_at = self.actor, self.now
        grant.save()
        after = self._reached(mailbox, grant)
        self._record(action, {"to": str(grant.receiver), **_before_and_after((had, ended), (rights, ends_at))})
        told = self._effect(grant, before, after, rights - had, had - rights)
        return f"{told} {words.WHEN_SHARED}" if told and given and not mailbox.is_shared else told

    def _effect(
        self,
        grant: MailboxGrant,
        before: frozenset[Right],
        after: frozenset[Right],
        ticked: frozenset[Right],
        unticked: frozenset[Right],
    ) -> str:
        if grant.user is not None:
            return words.effect_on_person(str(grant.user), before, after, ticked=ticked, unticked=unticked)
        assert grant.role is not None
        members = grant.role.members.filter(is_active=True).count()
        return words.effect_on_role(str(grant.role), members, before, after)

    def _reached(self, mailbox: Mailbox, grant: MailboxGrant) -> frozenset[Right]:
        """All that the person of `grant` holds by the rows, by whatever way; of a role, what this grant gives."""
        live_grants = mailbox.grants.live_at(self.now)
        mine = live_grants.reaching(grant.user) if grant.user is not None else live_grants.filter(pk=grant.pk)
        return frozenset(mine.latest_ends())

    def _check_end(self, ends_at: datetime | None) -> None:
        if ends_at is not None and ends_at <= self.now:
            raise CannotShare("ends_on", "This day is over already. Choose a later one, or leave it empty for no end.")
        if ends_at is not None and ends_at > LATEST_END:
            raise CannotShare("ends_on", "Choose a day up to the year 2200, or leave it empty for no end.")

    def _grant(self, mailbox: Mailbox, pk: int) -> MailboxGrant:
        return mailbox.grants.select_related("user", "role").get(pk=pk)

    def _record(self, action: str, detail: dict[str, object]) -> None:
        audit.record(
            action,
            organization=self.mailbox.organization,
            actor=self.actor,
            target=self.mailbox,
            detail=detail,
            request=self.request,
        )


Held = tuple[frozenset[Right], datetime | None]


def _before_and_after(before: Held, after: Held) -> dict[str, object]:
    """For the audit log: the words of the ticks, and where it differs the end."""
    detail: dict[str, object] = {"before": words.labels(before[0]), "after": words.labels(after[0])}
    if before[1] != after[1]:
        ends = [moment.isoformat(timespec="seconds") if moment else "" for moment in (before[1], after[1])]
        detail |= {"ended": ends[0], "ends": ends[1]}
    return detail
