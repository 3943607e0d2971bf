"""What is known about email providers and the domains they serve (spec C1, C3)."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import Q

from organizations.models import Organization
from protocols.endpoint import Endpoint, Security


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
    def visible_to(self, organization: Organization) -> Self:
        """The shared catalog and the organization's own entries, without what is hidden."""
        return self.filter(Q(organization=None) | Q(organization=organization), is_hidden=False)


class Provider(models.Model):
    """A provider's servers and habits. Without an organization it is built in and shared by all."""

    organization = models.ForeignKey(Organization, models.CASCADE, null=True, blank=True, related_name="providers")
    key = models.SlugField(max_length=80, help_text="Stable name in the catalog files.")
    name = models.CharField(max_length=120)
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
    is_hidden = models.BooleanField(default=False)

    objects = ProviderQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
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

    def username_for(self, address: str, rule: str) -> str:
        """The user name at login; for TYPED the whole address is the first guess."""
        return address.rpartition("@")[0] if rule == LoginRule.LOCAL_PART else address


class ProviderDomain(models.Model):
    """Which provider serves a domain. `domain` is lower case, in A-label form (RFC 5890)."""

    organization = models.ForeignKey(
        Organization, models.CASCADE, null=True, blank=True, related_name="provider_domains"
    )
    domain = models.CharField(max_length=253)
    provider = models.ForeignKey(Provider, models.CASCADE, related_name="domains")
    learned_at = models.DateTimeField(null=True, blank=True, help_text="Set where a user's choice taught it (spec C5).")

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
