"""Organizations, their people and roles, and what each may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from organizations.operations import Operation

if TYPE_CHECKING:
    from organizations.models.tokens import ApiToken


class Organization(models.Model):
    """The tenant. Everything configured belongs to one, and no other ever sees it (spec A1)."""

    name = models.CharField(max_length=200)
    sync_interval = models.PositiveSmallIntegerField(default=5, help_text="Minutes between two syncs of a mailbox.")
    allows_typed_servers = models.BooleanField(default=True, help_text="People may type mail servers by hand (B3).")
    automatic_per_recipient = models.PositiveSmallIntegerField(
        default=20, help_text="Mails a day that programs may send to one address by themselves (T24)."
    )
    automatic_per_thread = models.PositiveSmallIntegerField(default=5, help_text="The same in one conversation.")
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


class UndoPeriod(models.IntegerChoices):
    """Seconds for which a mail can be taken back after Send was pressed (spec I5)."""

    NONE = 0, "Not at all: it leaves at once"
    SHORT = 5, "5 seconds"
    USUAL = 10, "10 seconds"
    LONG = 20, "20 seconds"
    LONGEST = 30, "30 seconds"


class User(AbstractBaseUser):
    """A person. Signs in by email address; belongs to one organization."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="users")
    email = models.EmailField("Email address", max_length=254, unique=True)
    name = models.CharField(max_length=150)
    language = models.CharField(max_length=10, default="en")  # of the mail; the pages are in English
    time_zone = models.CharField(max_length=63, default="UTC")
    undo_seconds = models.PositiveSmallIntegerField(choices=UndoPeriod, default=UndoPeriod.USUAL)
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
