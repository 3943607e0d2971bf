"""Who may use a shared mailbox, for what and until when."""

from __future__ import annotations

from datetime import datetime
from functools import reduce
from operator import or_
from typing import Self

from django.db import models
from django.db.models import Q

from accounts.rights import Right
from organizations.models import Role, User


class MailboxGrantQuerySet(models.QuerySet["MailboxGrant"]):
    def giving(self, *rights: Right) -> Self:
        """Grants of any of `rights`."""
        return self.filter(reduce(or_, (Q(**{f"may_{right}": True}) for right in rights)))

    def live_at(self, now: datetime) -> Self:
        return self.filter(Q(ends_at=None) | Q(ends_at__gt=now))

    def reaching(self, user: User) -> Self:
        return self.filter(Q(user=user) | Q(role__memberships__user=user))

    def people(self) -> models.QuerySet[User]:
        """The active people whom these grants reach, each once; the owner of a mailbox too, if a role has her in it."""
        directly, by_role = Q(mailbox_grants__in=self), Q(roles__mailbox_grants__in=self)
        return User.objects.filter(directly | by_role, is_active=True).distinct()

    def latest_ends(self) -> dict[Right, datetime | None]:
        """Every right that these grants give, with the moment when the last of them ends; None: never."""
        ends: dict[Right, datetime | None] = {}
        for grant in self:
            for right in grant.rights:
                known = ends.get(right, grant.ends_at)
                ends[right] = max(known, grant.ends_at) if known and grant.ends_at else None
        return ends


class MailboxGrant(models.Model):
    """The three ticks of a shared mailbox for one user or role (spec F1)."""

    mailbox = models.ForeignKey("accounts.Mailbox", models.CASCADE, related_name="grants")
    user = models.ForeignKey(User, models.CASCADE, null=True, blank=True, related_name="mailbox_grants")
    role = models.ForeignKey(Role, models.CASCADE, null=True, blank=True, related_name="mailbox_grants")
    may_access = models.BooleanField("Access emails", default=False)
    may_send = models.BooleanField("Send emails", default=False)
    may_setup = models.BooleanField("Setup mailbox", default=False)
    granted_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    granted_at = models.DateTimeField(auto_now_add=True)
    ends_at = models.DateTimeField(null=True, blank=True)

    objects = MailboxGrantQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, role__isnull=True) | Q(user__isnull=True, role__isnull=False),
                name="grant_goes_to_a_user_or_a_role",
            ),
            models.UniqueConstraint(fields=["mailbox", "user"], name="one_grant_per_user"),
            models.UniqueConstraint(fields=["mailbox", "role"], name="one_grant_per_role"),
        ]

    def __str__(self) -> str:
        return f"{self.mailbox} for {self.receiver}"

    @property
    def receiver(self) -> User | Role:
        """Whom it goes to."""
        receiver = self.user or self.role
        assert receiver is not None
        return receiver

    @property
    def rights(self) -> frozenset[Right]:
        """The ticks. They count while the grant has not ended and its mailbox is shared."""
        return frozenset(right for right in Right if getattr(self, f"may_{right}"))

    @rights.setter
    def rights(self, rights: frozenset[Right]) -> None:
        for right in Right:
            setattr(self, f"may_{right}", right in rights)

    def has_ended(self, now: datetime) -> bool:
        return self.ends_at is not None and self.ends_at <= now

    def reaches(self, user: User) -> bool:
        """Whether `user` is the person it goes to, or in the role."""
        if self.role_id is not None:
            return user.roles.filter(pk=self.role_id).exists()
        return self.user_id == user.pk
