"""Who is in a role; and the rule that somebody always administers (spec A3).

The rule is checked after the rows are gone and before the transaction ends, with the role's row locked, so that two
administrators who remove each other at the same moment do not both succeed.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.signals import post_delete, pre_delete, pre_save
from django.dispatch import receiver

from organizations.models import Organization, Role, RoleMembership, User

ADMINISTRATORS = "Administrators"


class LastAdministrator(ValidationError):
    """The change would leave an organization without an active administrator."""

    def __init__(self) -> None:
        super().__init__(
            "Somebody has to administer the organization. Make another person an administrator first.",
            code="last_administrator",
        )


def administrators_of(organization: Organization) -> Role:
    """The built-in role; made on first use."""
    role, _ = Role.objects.get_or_create(
        organization=organization, is_administrators=True, defaults={"name": ADMINISTRATORS}
    )
    return role


def deactivate(user: User) -> None:
    """Let `user` no longer sign in. Raises LastAdministrator."""
    with transaction.atomic():
        user.is_active = False
        user.save(update_fields=["is_active"])


def _require_somebody_else(role_pk: int, leaving_pk: int) -> None:
    Role.objects.select_for_update().get(pk=role_pk)
    remaining = RoleMembership.objects.filter(role_id=role_pk, user__is_active=True)
    if not remaining.exclude(user_id=leaving_pk).exists():
        raise LastAdministrator


def _whole_organization_goes(origin: object) -> bool:
    """Whether a deletion began at the organization itself, which may take its administrators along."""
    return isinstance(origin, Organization) or getattr(origin, "model", None) is Organization


@receiver(post_delete, sender=RoleMembership)
def keep_an_administrator(instance: RoleMembership, origin: object, **_kwargs: Any) -> None:
    """Covers the membership itself, the deletion of the person, and every queryset of either."""
    if _whole_organization_goes(origin):
        return
    if Role.objects.filter(pk=instance.role_id, is_administrators=True).exists():
        _require_somebody_else(instance.role_id, instance.user_id)


@receiver(pre_delete, sender=Role)
def keep_the_administrators_role(instance: Role, origin: object, **_kwargs: Any) -> None:
    if instance.is_administrators and not _whole_organization_goes(origin):
        raise ValidationError("The role Administrators is built in and cannot be deleted.", code="built_in_role")


@receiver(pre_save, sender=User)
def keep_an_active_administrator(instance: User, update_fields: frozenset[str] | None, **_kwargs: Any) -> None:
    if instance.is_active or instance.pk is None or (update_fields is not None and "is_active" not in update_fields):
        return
    membership = RoleMembership.objects.filter(user=instance, user__is_active=True, role__is_administrators=True)
    for role_pk in membership.values_list("role_id", flat=True):
        with transaction.atomic():
            _require_somebody_else(role_pk, instance.pk)


def add_member(role: Role, user: User, *, added_by: User | None) -> None:
    """Put `user` into `role`; harmless when already in it. Both belong to one organization (spec A1)."""
    if role.organization_id != user.organization_id:
        raise ValueError("A role takes people of its own organization only.")
    RoleMembership.objects.get_or_create(role=role, user=user, defaults={"added_by": added_by})


def remove_member(role: Role, user: User) -> None:
    """Take `user` out of `role`. Raises LastAdministrator."""
    with transaction.atomic():
        RoleMembership.objects.filter(role=role, user=user).delete()
