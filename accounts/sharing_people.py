"""Who can use a mailbox, and why: the grants, the people they reach, and how it came about (spec F4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Count, F, Q
from django.db.models.functions import Coalesce

from accounts import sharing
from accounts.models import Mailbox, MailboxGrant
from accounts.rights import Right
from accounts.sharing_words import can_do, labels, last_day, number_of_people
from organizations.models import AuditEntry, RoleMembership, User

LONGEST_LIST = 200
CHANGES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Tick:
    """One box of the grid, and whether whoever looks at it may change it."""

    right: Right
    is_on: bool
    may_change: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One grant as the grid shows it. members: active people in the role; 1 for a person."""

    grant: MailboxGrant
    ticks: list[Tick]
    members: int
    has_ended: bool
    is_mine: bool

    @property
    def name(self) -> str:
        return str(self.grant.receiver)

    @property
    def is_deactivated(self) -> bool:
        return self.grant.user is not None and not self.grant.user.is_active

    @property
    def counts(self) -> bool:
        """Whether it would count if the mailbox is shared."""
        return not self.has_ended and not self.is_deactivated

    @property
    def about(self) -> str:
        """What stands below the name."""
        return self.grant.user.email if self.grant.user else f"Role, {number_of_people(self.members)}"

    @property
    def last_day(self) -> date | None:
        return last_day(self.grant.ends_at) if self.grant.ends_at else None

    @property
    def can_do(self) -> str:
        return can_do(self.grant.rights)

    @property
    def gave_it_to_oneself(self) -> bool:
        return self.grant.user_id is not None and self.grant.user_id == self.grant.granted_by_id


@dataclass(frozen=True, slots=True)
class Way:
    """How a person comes to rights: as the owner (no grant), or by one grant."""

    rights: frozenset[Right]
    grant: MailboxGrant | None = None

    @property
    def labels(self) -> str:
        return ", ".join(labels(self.rights))

    @property
    def last_day(self) -> date | None:
        return last_day(self.grant.ends_at) if self.grant and self.grant.ends_at else None


@dataclass(slots=True)
class Person:
    """Somebody who can use the mailbox now, and every way in which."""

    user: User
    ways: list[Way]

    @property
    def can_do(self) -> str:
        return can_do(right for way in self.ways for right in way.rights)


@dataclass(frozen=True, slots=True)
class Reach:
    """The people who can use a mailbox, by name; `more` are not listed."""

    people: list[Person]
    more: int = 0


def rows(mailbox: Mailbox, giver: sharing.Giver, now: datetime) -> list[Row]:
    """Every grant on `mailbox`, roles first, as `giver` may change it; three queries."""
    grants = list(mailbox.grants.select_related("user", "role", "granted_by"))
    in_roles = RoleMembership.objects.filter(role__mailbox_grants__mailbox=mailbox, user__is_active=True)
    members = dict(in_roles.values_list("role_id").annotate(Count("pk")).order_by())
    mine = set(mailbox.grants.reaching(giver.user).values_list("pk", flat=True))

    def row(grant: MailboxGrant) -> Row:
        givable = set(giver.until) if giver.may_switch or grant.pk not in mine else set()
        changeable = givable | grant.rights if giver.may_share else set()
        ticks = [Tick(right, right in grant.rights, right in changeable) for right in Right]
        people = members.get(grant.role_id, 0) if grant.role_id else 1
        return Row(grant, ticks, people, grant.has_ended(now), grant.pk in mine)

    return sorted(map(row, grants), key=lambda one: (one.grant.role_id is None, one.name.casefold()))


def reach(mailbox: Mailbox, rows: Iterable[Row]) -> Reach:
    """Everybody who can use `mailbox` at the moment for which `rows` were made; at most two queries."""
    people: dict[int, Person] = {}

    def add(user: User, way: Way) -> None:
        people.setdefault(user.pk, Person(user, [])).ways.append(way)

    if mailbox.owner is not None and mailbox.owner.is_active:
        add(mailbox.owner, Way(frozenset(Right)))
    counting = [row.grant for row in rows if mailbox.is_shared and row.counts and row.grant.rights]
    by_role = {grant.role_id: grant for grant in counting if grant.role_id}
    for grant in counting:
        if grant.user is not None:
            add(grant.user, Way(grant.rights, grant))
    memberships = RoleMembership.objects.filter(role__in=by_role, user__is_active=True).select_related("user")
    total = memberships.count() if by_role else 0
    for membership in memberships.order_by("user__name", "pk")[:LONGEST_LIST] if by_role else ():
        grant = by_role[membership.role_id]
        add(membership.user, Way(grant.rights, grant))
    listed = sorted(people.values(), key=lambda one: (one.user.pk != mailbox.owner_id, str(one.user).casefold()))
    return Reach(listed, max(0, total - LONGEST_LIST))


def counts(mailboxes: Iterable[Mailbox], now: datetime) -> dict[int, int]:
    """How many people besides its owner can use each of `mailboxes`; what nobody else can use is missing. One query."""
    shared = [mailbox.pk for mailbox in mailboxes if mailbox.is_shared]
    if not shared:
        return {}
    reached = (
        MailboxGrant.objects.filter(mailbox__in=shared)
        .giving(*Right)
        .live_at(now)
        .filter(Q(user__is_active=True) | Q(role__memberships__user__is_active=True))
        .annotate(person=Coalesce("user_id", "role__memberships__user_id"))
        .filter(Q(mailbox__owner=None) | ~Q(mailbox__owner_id=F("person")))
    )
    return dict(reached.values_list("mailbox_id").annotate(Count("person", distinct=True)).order_by())


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the audit log about who may use a mailbox."""

    entry: AuditEntry

    @property
    def words(self) -> str:
        """What was done, going on after the name of who did it."""
        detail = self.entry.detail
        to, before, after = detail.get("to", ""), detail.get("before", []), detail.get("after", [])
        if self.entry.action == sharing.GIVEN:
            return f"gave {to}: {', '.join(after)}"
        if self.entry.action == sharing.TAKEN:
            return f"took {to} off the list"
        if self.entry.action != sharing.CHANGED:
            return f"switched shared access {'on' if self.entry.action == sharing.SWITCHED_ON else 'off'}"
        if before == after:
            return f"changed the last day of {to}"
        return f"changed {to} from {', '.join(before) or 'nothing'} to {', '.join(after) or 'nothing'}"


def changes(mailbox: Mailbox) -> list[Change]:
    """The last changes to who may use `mailbox`, newest first: also those whose grants are gone again."""
    about = AuditEntry.objects.filter(
        organization=mailbox.organization_id,
        object_type="mailbox",
        object_id=str(mailbox.pk),
        action__in=[sharing.SWITCHED_ON, sharing.SWITCHED_OFF, sharing.GIVEN, sharing.CHANGED, sharing.TAKEN],
    )
    return [Change(entry) for entry in about.order_by("-at", "-pk")[:CHANGES_SHOWN]]
