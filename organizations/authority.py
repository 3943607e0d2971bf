"""What one person who manages people may decide about others: never more than the person holds (spec A3, A4).

Whoever holds *manage people* without being an administrator gives and takes only what is hers: the operations she
holds, and the roles whose operations and email accounts are open to her too. Administrators, their role and their
addresses are changed by administrators alone, or an address and a new password would make her one.

Each function returns why not, as a sentence, or "" where nothing stands in the way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from django.core.exceptions import PermissionDenied

from organizations.models import OperationGrant, Role, RoleMembership, User
from organizations.operations import Operation

#: Apps above tell what their rows give to a role beyond what `actor` has: {role's key: sentence}.
Opening = Callable[[User, Sequence[Role]], Mapping[int, str]]
_openings: list[Opening] = []


class BeyondAuthority(PermissionDenied):
    """The person may not decide this; the text says who can."""


def counts_openings(opening: Opening) -> Opening:
    """Decorator for apps above: what roles open besides operations."""
    _openings.append(opening)
    return opening


def require(refusal: str) -> None:
    """Raises BeyondAuthority unless `refusal` is empty."""
    if refusal:
        raise BeyondAuthority(refusal)


def refusal_to_change(actor: User, person: User) -> str:
    """About the name, deactivating, reactivating and removing."""
    if person.is_administrator and not actor.is_administrator:
        return f"{person} is an administrator. Only administrators can change administrators."
    return ""


def refusal_to_end(actor: User, person: User) -> str:
    """About deactivating and removing."""
    if actor.pk == person.pk:
        return "You cannot deactivate or remove yourself. Somebody else who manages people can."
    return refusal_to_change(actor, person)


def refusal_to_readdress(actor: User) -> str:
    """About the address one signs in with: whoever reads mail there can set a new password."""
    if actor.is_administrator:
        return ""
    return "Only administrators can change the address: a new password can be asked for there."


def refusal_over_role(actor: User, role: Role) -> str:
    """About its members, its name and its end."""
    return refusals_over_roles(actor, [role]).get(role.pk, "")


def refusals_over_roles(actor: User, roles: Iterable[Role]) -> dict[int, str]:
    """{role's key: sentence} for those of `roles` that are not the actor's to give; a constant number of queries."""
    refusals: dict[int, str] = {}
    asked: list[Role] = []
    administers = actor.is_administrator
    own = set(RoleMembership.objects.filter(user=actor).values_list("role_id", flat=True))
    for role in roles:
        if role.is_administrators and not administers:
            refusals[role.pk] = "Only administrators can make or unmake administrators."
        else:
            asked.append(role)
    operations = _operations_of(asked)
    for role in asked:
        if beyond := operations[role.pk] - actor.operations:
            names = ", ".join(f"“{each.label}”" for each in Operation if each in beyond)
            refusals[role.pk] = f"“{role}” gives {names}, which you do not hold. An administrator can decide about it."
    if not administers:
        rest = [role for role in asked if role.pk not in refusals and role.pk not in own]
        for opening in _openings:
            refusals |= opening(actor, rest)
    return refusals


def refusal_to_grant(actor: User, operation: Operation, holder: User | Role) -> str:
    """About giving and taking one operation."""
    if operation not in actor.operations:
        return f"You do not hold “{operation.label}” yourself, so you can neither give nor take it."
    if isinstance(holder, Role):
        return "Administrators hold every operation, always." if holder.is_administrators else ""
    if actor.is_administrator:
        return ""
    if holder.pk == actor.pk:
        return "Somebody else has to decide what you may do."
    return refusal_to_change(actor, holder)


def _operations_of(roles: Sequence[Role]) -> defaultdict[int, frozenset[Operation]]:
    held: defaultdict[int, frozenset[Operation]] = defaultdict(frozenset)
    rows = OperationGrant.objects.filter(role__in=[role.pk for role in roles if not role.is_administrators])
    for role_pk, operation in rows.values_list("role_id", "operation"):
        held[role_pk] |= {Operation(operation)}
    return held
