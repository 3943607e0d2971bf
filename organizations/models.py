"""Organizations, people, roles and what they may do; the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from organizations.operations import Operation


class Organization(models.Model):
    """The tenant. Everything configured belongs to one, and no other ever sees it (spec A1)."""

    name = models.CharField(max_length=200)
    sync_interval = models.PositiveSmallIntegerField(default=5, help_text="Minutes between two syncs of a mailbox.")
    allows_typed_servers = models.BooleanField(default=True, help_text="People may type mail servers by hand (B3).")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=email.strip(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> User:
        """Addresses are compared without case, as people type them."""
        return self.get(email__iexact=username)


class User(AbstractBaseUser):
    """A person. Signs in by email address; belongs to one organization."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="users")
    email = models.EmailField("Email address", max_length=254, unique=True)
    name = models.CharField(max_length=150)
    language = models.CharField(max_length=10, default="en")  # of the mail; the pages are in English
    time_zone = models.CharField(max_length=63, default="UTC")
    is_active = models.BooleanField(default=True)
    session_epoch = models.PositiveIntegerField(default=0, help_text="Sessions from before the last increase are void.")
    date_joined = models.DateTimeField(auto_now_add=True)

    token: ApiToken | None = None  # set while an API call acts for the user: rights are never wider than its token's

    objects: ClassVar[UserManager] = UserManager()

    EMAIL_FIELD = USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="one_user_per_email_address")]
        indexes = [models.Index("organization", Lower("name"), "id", name="people_by_name")]

    def __str__(self) -> str:
        return self.name or self.email

    def _get_session_auth_hash(self, secret: str | bytes | None = None) -> str:
        """Sessions end with a new password, as Django has it, and when the person is deactivated, for good."""
        given = super()._get_session_auth_hash(secret=secret)  # type: ignore[misc]
        return f"{self.session_epoch}-{given}"

    @property
    def is_administrator(self) -> bool:
        """Whether the user is in the built-in role, whose members alone may change its members (spec A3)."""
        return any(role.is_administrators for role in self.roles.all())

    def may(self, operation: Operation) -> bool:
        """Whether the user, or a role of the user's, holds `operation`. Administrators hold all (spec A4)."""
        return operation in self.operations

    @property
    def operations(self) -> frozenset[Operation]:
        """Every operation the user holds; asked once per request, since the object lives as long."""
        if not hasattr(self, "_operations"):
            self._operations = OperationGrant.objects.held_by(self)
        return self._operations


class Role(models.Model):
    """A named group of users, such as "Client service department" (spec A3)."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="roles")
    name = models.CharField(max_length=100)
    is_administrators = models.BooleanField(default=False, editable=False)
    members = models.ManyToManyField(
        User, through="RoleMembership", through_fields=("role", "user"), related_name="roles"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint("organization", Lower("name"), name="one_role_per_name"),
            models.UniqueConstraint(
                fields=["organization"], condition=Q(is_administrators=True), name="one_administrators_role"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class RoleMembership(models.Model):
    role = models.ForeignKey(Role, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    added_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    added_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["role", "user"], name="one_membership_per_role_and_user")]

    def __str__(self) -> str:
        return f"{self.user} in {self.role}"


class OperationGrantQuerySet(models.QuerySet["OperationGrant"]):
    def reaching(self, user: User) -> Self:
        return self.filter(Q(user=user) | Q(role__memberships__user=user))

    def held_by(self, user: User) -> frozenset[Operation]:
        if not user.is_active:
            return frozenset()
        if RoleMembership.objects.filter(user=user, role__is_administrators=True).exists():
            return frozenset(Operation)
        return frozenset(Operation(value) for value in self.reaching(user).values_list("operation", flat=True))


class OperationGrant(models.Model):
    """One operation given to a user or to a role."""

    operation = models.CharField(max_length=40, choices=Operation)
    user = models.ForeignKey(User, models.CASCADE, null=True, blank=True, related_name="operation_grants")
    role = models.ForeignKey(Role, models.CASCADE, null=True, blank=True, related_name="operation_grants")
    granted_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    granted_at = models.DateTimeField(auto_now_add=True)

    objects = OperationGrantQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, role__isnull=True) | Q(user__isnull=True, role__isnull=False),
                name="operation_goes_to_a_user_or_a_role",
            ),
            models.UniqueConstraint(fields=["operation", "user"], name="one_operation_grant_per_user"),
            models.UniqueConstraint(fields=["operation", "role"], name="one_operation_grant_per_role"),
        ]

    def __str__(self) -> str:
        return f"{self.operation} for {self.user or self.role}"


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self) -> Self:
        """Neither accepted nor withdrawn. Those that ran out are among them: they can be sent again."""
        return self.filter(accepted_at=None, withdrawn_at=None)


class Invitation(models.Model):
    """Asks somebody to become a user. Only the hash of its link is stored; sending it again makes a new link.

    token_hash:  of the link that is shown to who invites, to be passed on.
    mailed_hash: of the link in the last mail, "" before one was tried. Who has that one reads the mailbox.
    failure:     why the last mail did not leave, in words; "" when it did or when none was wanted.
    """

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="invitations")
    email = models.EmailField("Email address", max_length=254)
    name = models.CharField(max_length=150)
    roles = models.ManyToManyField(Role, related_name="invitations")
    token_hash = models.CharField(max_length=64, unique=True)
    mailed_hash = models.CharField(max_length=64, blank=True)
    invited_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="invitations_made")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    mailed_at = models.DateTimeField(null=True)
    failure = models.CharField(max_length=500, blank=True)
    accepted_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "organization",
                Lower("email"),
                condition=Q(accepted_at=None, withdrawn_at=None),
                name="one_open_invitation_per_address",
            ),
            models.UniqueConstraint(
                fields=["mailed_hash"], condition=~Q(mailed_hash=""), name="one_invitation_per_mailed_link"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


class AddressChange(models.Model):
    """The address that a person is to have, once the link that was mailed there is opened. Gone when it was.

    failure: why the mail did not leave, in words.
    """

    user = models.OneToOneField(User, models.CASCADE, related_name="address_change")
    email = models.EmailField("Email address", max_length=254)
    token_hash = models.CharField(max_length=64, unique=True)
    asked_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    asked_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    failure = models.CharField(max_length=500, blank=True)

    def __str__(self) -> str:
        return f"{self.email} for {self.user}"


class PasswordRequest(models.Model):
    """Somebody forgot a password; a worker mails the link, so that the page takes as long for unknown addresses.

    user:   None where nobody has the address.
    origin: scheme and host of the page that was used, for the link.
    """

    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="password_requests")
    origin = models.CharField(max_length=300)
    requested_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"New password for {self.user}"


class SetupLink(models.Model):
    """The one-time link that makes the first administrator. Only its hash is stored."""

    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"Setup link of {self.created_at:%Y-%m-%d}"


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def of(self, user: User) -> Self:
        return self.filter(user=user)

    def usable_at(self, now: datetime) -> Self:
        """Neither revoked nor expired, of somebody who may still sign in."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None, user__is_active=True)


class ApiToken(models.Model):
    """Lets a program act for a person over the API, within its scopes (spec L1). Only its hash is stored.

    prefix:         the beginning of the token, so that people recognise it.
    only_mailboxes: it sees the mailboxes it is bound to and nothing beside them, also once all of those are deleted.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    scopes = models.JSONField(default=list)
    token_hash = models.CharField(max_length=64, unique=True)
    prefix = models.CharField(max_length=12)
    only_mailboxes = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return self.name


class AuditEntry(models.Model):
    """Who did what to which object, when, from where, and how it ended. Append-only; never a secret (spec A8)."""

    class Outcome(models.TextChoices):
        DONE = "done", "Done"
        REFUSED = "refused", "Refused"
        FAILED = "failed", "Failed"

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="audit_entries")
    at = models.DateTimeField(auto_now_add=True)
    actor = models.ForeignKey(User, models.SET_NULL, null=True, related_name="audit_entries")
    actor_label = models.CharField(max_length=254)
    action = models.CharField(max_length=60)
    object_type = models.CharField(max_length=60, blank=True)
    object_id = models.CharField(max_length=40, blank=True)
    object_label = models.CharField(max_length=320, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.DONE)
    detail = models.JSONField(default=dict)
    address = models.GenericIPAddressField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["organization", "-at", "-id"], name="audit_newest_first"),
            models.Index(fields=["organization", "actor", "-at", "-id"], name="audit_by_person"),
            models.Index(fields=["organization", "action", "-at", "-id"], name="audit_by_action"),
            models.Index(fields=["organization", "outcome", "-at", "-id"], name="audit_by_outcome"),
            models.Index(fields=["organization", "object_type", "object_id", "-at", "-id"], name="audit_by_object"),
            models.Index(
                "organization", Lower("object_label"), F("at").desc(), F("id").desc(), name="audit_by_its_name"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.actor_label} {self.action} {self.object_label}".strip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None and not self._state.adding:
            raise TypeError("The audit log is append-only.")
        super().save(*args, **kwargs)
