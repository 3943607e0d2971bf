"""The table of operations: who may do what, why, and what the reader may tick (spec A4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import QuerySet, prefetch_related_objects

from organizations import authority
from organizations.models import Role, User
from organizations.operations import OFFERED, Operation


@dataclass(frozen=True, slots=True)
class Cell:
    """through: names of the roles that give it besides. refusal: why the reader cannot change it; "" when he can."""

    operation: Operation
    is_given: bool
    through: str
    refusal: str


@dataclass(frozen=True, slots=True)
class Row:
    """holds_all: an administrator, or the role of administrators; then there are no cells."""

    holder: User | Role
    cells: list[Cell]
    holds_all: bool

    @property
    def kind(self) -> str:
        return "role" if isinstance(self.holder, Role) else "person"


def role_rows(roles: QuerySet[Role], reader: User) -> list[Row]:
    prefetch_related_objects([reader], "roles")
    return [_role_row(role, reader) for role in roles.prefetch_related("operation_grants")]


def person_rows(people: Iterable[User], reader: User) -> list[Row]:
    """One row per person, in their order; a constant number of queries."""
    listed = list(people)
    prefetch_related_objects([reader], "roles")
    prefetch_related_objects(listed, "operation_grants", "roles__operation_grants")
    return [_person_row(person, reader) for person in listed]


def _role_row(role: Role, reader: User) -> Row:
    given = {grant.operation for grant in role.operation_grants.all()}
    cells = [
        Cell(operation, operation in given, "", authority.refusal_to_grant(reader, operation, role))
        for operation in OFFERED
    ]
    return Row(role, [] if role.is_administrators else cells, role.is_administrators)


def _person_row(person: User, reader: User) -> Row:
    if person.is_administrator:
        return Row(person, [], holds_all=True)
    given = {grant.operation for grant in person.operation_grants.all()}
    through: dict[str, list[str]] = {}
    for role in person.roles.all():
        for grant in role.operation_grants.all():
            through.setdefault(grant.operation, []).append(role.name)
    cells = [
        Cell(
            operation,
            operation in given,
            ", ".join(through.get(operation, [])),
            authority.refusal_to_grant(reader, operation, person),
        )
        for operation in OFFERED
    ]
    return Row(person, cells, holds_all=False)
