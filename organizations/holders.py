"""Who holds an operation: the reverse of `User.may`, for telling people."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q, QuerySet

from organizations.models import OperationGrant, RoleMembership, User
from organizations.operations import Operation


def holders_of(operation: Operation, organization_pk: int) -> QuerySet[User]:
    """The active people of the organization whom `may(operation)` is true of, each once."""
    grants = OperationGrant.objects.filter(operation=operation)
    directly = Exists(grants.filter(user=OuterRef("pk")))
    by_role = Exists(grants.filter(role__memberships__user=OuterRef("pk")))
    administers = Exists(RoleMembership.objects.filter(user=OuterRef("pk"), role__is_administrators=True))
    people = User.objects.filter(organization_id=organization_pk, is_active=True)
    return people.filter(Q(directly) | Q(by_role) | Q(administers))
