"""What is known about email providers and the domains they serve (spec C1, C3)."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.urls import reverse

from organizations.models import Organization, User
from protocols.endpoint import Endpoint, Security

SANDBOX_KEY = "sandbox"  # comes and goes with the sandbox, not with the catalog's files (see providers/sandbox.py)


class Kind(models.TextChoices):
    """The interface by which mail is reached (spec C8)."""

    IMAP_SMTP = "imap_smtp", "IMAP/SMTP"


class SecurityChoice(models.TextChoices):
    TLS = Security.TLS.value, "TLS"
    STARTTLS = Security.STARTTLS.value, "STARTTLS"
    NONE = Security.NONE.value, "None"


class LoginRule(models.TextChoices):
    """How the user name at login is made from the address; asked apart for IMAP and SMTP."""

    ADDRESS = "address", "Whole address"
    LOCAL_PART = "local_part", "Part before @"
    TYPED = "typed", "Typed by the user"


class Authentication(models.TextChoices):
    PASSWORD = "password", "Password"
    APP_PASSWORD = "app_password", "App password"
    OAUTH = "oauth", "Sign-in at the provider (OAuth)"


class Status(models.TextChoices):
    WORKS = "works", "Works"
    NEEDS_PREPARATION = "needs_preparation", "Needs preparation"
    NOT_POSSIBLE = "not_possible", "Not possible"


class ProviderQuerySet(models.QuerySet["Provider"]):
    def in_catalog_of(self, organization: Organization) -> Self:
        """What counts there: its own entries, and the built-in ones that it has not overridden; hidden ones too."""
        own = Provider.objects.filter(organization=organization, key=OuterRef("key"))
        return self.filter(Q(organization=organization) | Q(~Exists(own), organization=None), is_hidden=False)

    def visible_to(self, organization: Organization) -> Self:
        """What people of the organization are offered: its catalog without what it hides."""
        return self.in_catalog_of(organization).filter(~Exists(HiddenProvider.hiding(organization, "key")))


class Provider(models.Model):
    """A provider's servers and habits. Without an organization it is built in and shared by all.

    An organization's own entry with the key of a built-in one overrides it there.
    """

    organization = models.ForeignKey(Organization, models.CASCADE, null=True, blank=True, related_name="providers")
    key = models.SlugField(max_length=80, help_text="Stable name in the catalog files.")
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.IMAP_SMTP)
    logo_digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the logo; empty: initials.")
    imap_host = models.CharField(max_length=253, blank=True, help_text="Empty: offers no IMAP.")
    imap_port = models.PositiveIntegerField(default=993)
    imap_security = models.CharField(max_length=8, choices=SecurityChoice, default=SecurityChoice.TLS)
    imap_login = models.CharField(max_length=10, choices=LoginRule, default=LoginRule.ADDRESS)
    smtp_host = models.CharField(max_length=253, blank=True, help_text="Empty: offers no SMTP.")
    smtp_port = models.PositiveIntegerField(default=465)
    smtp_security = models.CharField(max_length=8, choices=SecurityChoice, default=SecurityChoice.TLS)
    smtp_login = models.CharField(max_length=10, choices=LoginRule, default=LoginRule.ADDRESS)
    smtp_timeout = models.PositiveSmallIntegerField(default=40, help_text="Seconds.")
    authentication = models.CharField(max_length=12, choices=Authentication, default=Authentication.PASSWORD)
    status = models.CharField(max_length=20, choices=Status, default=Status.WORKS)
    hint = models.TextField(blank=True, help_text="Shown before the password.")
    instructions_url = models.URLField(max_length=500, blank=True)
    files_sent_mail = models.BooleanField(default=False, help_text="The provider itself files a copy in Sent.")
    limits = models.JSONField(default=dict, blank=True, help_text="connections, per_minute, per_day, message_size")
    often_used = models.BooleanField(default=False, help_text="Comes first where a service is chosen.")
    is_hidden = models.BooleanField(default=False, help_text="Left the catalog files; mailboxes may still name it.")

    objects = ProviderQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["key"], condition=Q(organization=None), name="one_built_in_provider_per_key"
            ),
            models.UniqueConstraint(fields=["organization", "key"], name="one_own_provider_per_key"),
        ]

    def __str__(self) -> str:
        return self.name

    def incoming(self) -> Endpoint | None:
        return Endpoint(self.imap_host, self.imap_port, Security(self.imap_security)) if self.imap_host else None

    def outgoing(self) -> Endpoint | None:
        if not self.smtp_host:
            return None
        return Endpoint(self.smtp_host, self.smtp_port, Security(self.smtp_security), timeout=self.smtp_timeout)

    @property
    def asks_for_app_password(self) -> bool:
        return self.authentication == Authentication.APP_PASSWORD

    @property
    def is_built_in(self) -> bool:
        return self.organization_id is None

    @property
    def logo_url(self) -> str:
        """The address of the logo, another one for every image; "" where initials stand for it."""
        return f"{reverse('providers:logo', args=[self.pk])}?v={self.logo_digest[:16]}" if self.logo_digest else ""

    def obstacle(self) -> str:
        """Why no mailbox of this provider can be connected; said before a password is asked (spec C6). Else ""."""
        if self.status == Status.NOT_POSSIBLE or self.authentication == Authentication.OAUTH:
            return self.hint or f"{self.name} does not let other programs into its mailboxes."
        if not self.imap_host:
            return f"{self.name} offers no IMAP, so its mail cannot be read from here. It can only be used to send."
        in_the_clear = SecurityChoice.NONE in (self.imap_security, self.smtp_security if self.smtp_host else "")
        if in_the_clear and self.key != SANDBOX_KEY:
            return f"{self.name} offers only unprotected connections: anybody on the way could read the password."
        return ""

    def sending_obstacle(self) -> str:
        """Why no mail server can send through this provider here; else ""."""
        if self.status == Status.NOT_POSSIBLE or self.authentication == Authentication.OAUTH:
            return self.hint or f"{self.name} does not let other programs send."
        return "" if self.smtp_host else f"{self.name} offers no SMTP, so nothing can be sent through it."

    def username_for(self, address: str, rule: str) -> str:
        """The user name at login; for TYPED the whole address is the first guess."""
        return address.rpartition("@")[0] if rule == LoginRule.LOCAL_PART else address


class ProviderLogo(models.Model):
    """The image of an own entry, as this program encoded it; in the database, so that its backup has it."""

    provider = models.OneToOneField(Provider, models.CASCADE, related_name="logo")
    image = models.BinaryField()

    def __str__(self) -> str:
        return f"Logo of {self.provider}"


class HiddenProvider(models.Model):
    """An entry that an organization does not offer to its people, by key: whether it overrides it or not (spec B3)."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="hidden_providers")
    key = models.SlugField(max_length=80)
    hidden_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    hidden_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "key"], name="one_hiding_per_provider_key")]

    def __str__(self) -> str:
        return self.key

    @classmethod
    def hiding(cls, organization: Organization, key: str) -> models.QuerySet[HiddenProvider]:
        """For a subquery: what hides the entry whose key stands in the column `key`."""
        return cls.objects.filter(organization=organization, key=OuterRef(key))


class ProviderDomain(models.Model):
    """Which provider serves a domain. `domain` is lower case, in A-label form (RFC 5890).

    Without an organization it is built in. An own row that was learned may be taught anew; one set by hand stays.
    """

    organization = models.ForeignKey(
        Organization, models.CASCADE, null=True, blank=True, related_name="provider_domains"
    )
    domain = models.CharField(max_length=253)
    provider = models.ForeignKey(Provider, models.CASCADE, related_name="domains")
    covers_subdomains = models.BooleanField(default=False, help_text="Also every name below the domain.")
    learned_at = models.DateTimeField(null=True, blank=True, help_text="Set where a user's choice taught it (spec C5).")
    taught_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["domain"]
        constraints = [
            models.UniqueConstraint(
                fields=["domain"], condition=Q(organization=None), name="one_built_in_provider_per_domain"
            ),
            models.UniqueConstraint(fields=["organization", "domain"], name="one_own_provider_per_domain"),
        ]

    def __str__(self) -> str:
        return self.domain


class CatalogVersion(models.Model):
    """Which state of a catalog folder the built-in rows were last made from, so that loading twice costs nothing."""

    name = models.CharField(max_length=40, unique=True)
    digest = models.CharField(max_length=64, help_text="SHA-256 over the folder's files.")

    def __str__(self) -> str:
        return f"{self.name} {self.digest[:12]}"
