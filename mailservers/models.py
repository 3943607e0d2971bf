"""Outgoing mail servers of an organization, and the doctor's rules."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.functions import Lower

from mailservers.circuits import Circuit as Circuit
from mailservers.limits import Limits, limits_of
from organizations.models import Organization, User
from organizations.operations import Operation
from organizations.sealing import SealedField, SealedModel
from protocols.credentials import Credentials
from protocols.diagnosis import Retry
from protocols.endpoint import Endpoint, Security
from providers.models import Provider, SecurityChoice

AT_LEAST_ONE = [MinValueValidator(1)]
PORT_RANGE = [MinValueValidator(1), MaxValueValidator(65535)]


class MailServerQuerySet(models.QuerySet["MailServer"]):
    def of(self, organization: Organization) -> Self:
        return self.filter(organization=organization)

    def with_mailbox_count(self) -> Self:
        """Each server with `mailbox_count`, how many mailboxes send through it, for its card."""
        return self.annotate(mailbox_count=models.Count("mailboxes"))

    def for_cards(self) -> Self:
        """With all that a card or the API shows of a server."""
        return self.with_mailbox_count().with_circuit().select_related("provider", "fallback")

    def with_circuit(self) -> Self:
        """Each server with `unreachable_since`, None while it answers, and what happened instead of an answer."""
        broken = Circuit.objects.open().filter(
            organization=OuterRef("organization"), host=Lower(OuterRef("host")), port=OuterRef("port")
        )
        return self.annotate(
            unreachable_since=Subquery(broken.values("opened_at")),
            unreachable_words=Subquery(broken.values("words")),
            next_probe_at=Subquery(broken.values("probe_at")),
        )

    def manageable_by(self, user: User) -> Self:
        """The servers whose settings `user` may see and change (spec A4)."""
        if not user.may(Operation.MANAGE_MAIL_SERVERS):
            return self.none()
        return self.filter(organization_id=user.organization_id)


class MailServer(SealedModel):
    """A submission server (RFC 6409) with the organization's own login (spec B2).

    connections, messages_per_connection, per_minute, per_day: limits of this login (spec B9); None: the catalog's.
    fallback: another server that an administrator lets send while this one cannot be reached.
    """

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="mail_servers")
    name = models.CharField("Server name", max_length=120)
    provider = models.ForeignKey(Provider, models.SET_NULL, null=True, blank=True, related_name="+")
    host = models.CharField("SMTP host", max_length=253)
    port = models.PositiveIntegerField("SMTP port", default=587, validators=PORT_RANGE)
    security = models.CharField(max_length=8, choices=SecurityChoice, default=SecurityChoice.STARTTLS)
    username = models.CharField(max_length=320, blank=True)
    password = SealedField()
    timeout = models.PositiveSmallIntegerField(
        "Response timeout", default=40, validators=[MinValueValidator(1), MaxValueValidator(300)]
    )
    is_default = models.BooleanField("Default server", default=False)
    connections = models.PositiveIntegerField("Connections at once", null=True, blank=True, validators=AT_LEAST_ONE)
    messages_per_connection = models.PositiveIntegerField(null=True, blank=True, validators=AT_LEAST_ONE)
    per_minute = models.PositiveIntegerField("Messages per minute", null=True, blank=True, validators=AT_LEAST_ONE)
    per_day = models.PositiveIntegerField("Messages per day", null=True, blank=True, validators=AT_LEAST_ONE)
    fallback = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="stands_in_for",
        help_text="Sends while this cannot.",
    )
    sends_from_reply_to = models.BooleanField(
        "Send from Reply-to", default=False, help_text="Mail of automation and the API: From is the reply address."
    )
    default_reply_address = models.EmailField("Default reply address", max_length=254, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(null=True, blank=True, help_text="Last edit of what a check depends on.")
    checked_at = models.DateTimeField(null=True, blank=True)
    check_result = models.JSONField(null=True, blank=True, help_text="The last check, as the API answers it.")

    mailbox_count: int  # where `with_mailbox_count` asked for it
    unreachable_since: datetime | None  # these where `with_circuit` asked for them
    unreachable_words: str | None
    next_probe_at: datetime | None

    objects = MailServerQuerySet.as_manager()

    class Meta:
        ordering = ["-is_default", "name", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization"], condition=Q(is_default=True), name="one_default_server_per_organization"
            ),
            models.UniqueConstraint("organization", Lower("name"), name="one_mail_server_per_name"),
            models.CheckConstraint(condition=Q(timeout__gte=1, timeout__lte=300), name="server_timeout_1_to_300_s"),
            models.CheckConstraint(condition=Q(port__gte=1, port__lte=65535), name="server_port_in_range"),
            models.CheckConstraint(condition=~Q(fallback=F("pk")), name="no_server_stands_in_for_itself"),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Marking this one default clears the old one in the same transaction (spec B5)."""
        with transaction.atomic():
            if self.is_default:
                others = MailServer.objects.filter(organization_id=self.organization_id, is_default=True)
                others.exclude(pk=self.pk).update(is_default=False)
            super().save(*args, **kwargs)

    def endpoint(self) -> Endpoint:
        return Endpoint(self.host, self.port, Security(self.security), timeout=self.timeout)

    def credentials(self) -> Credentials | None:
        """None where the server wants no login."""
        return Credentials(self.username, self.password) if self.username else None

    @property
    def limits(self) -> Limits:
        """What is typed, else what the catalog says of its provider."""
        return limits_of(self, self.provider)

    @property
    def has_password(self) -> bool:
        """Whether one is stored, without opening it."""
        return bool(self.__dict__.get("password"))

    @property
    def changed_since_check(self) -> bool:
        return bool(self.checked_at and self.changed_at and self.changed_at > self.checked_at)

    @property
    def trouble(self) -> dict[str, Any] | None:
        """The diagnosis of the last check, if it failed and nothing was changed since."""
        if self.check_result is None or self.check_result["ok"] or self.changed_since_check:
            return None
        return self.check_result["diagnosis"] or {"title": "The last check failed.", "causes": []}

    def sender_address(self) -> str:
        """The address this login sends as: the user name where it is one, else ""."""
        return self.username if "@" in self.username else ""

    def note_check(self, result: dict[str, Any], now: datetime) -> None:
        self.checked_at, self.check_result = now, result
        self.save(update_fields=["checked_at", "check_result"])


class SizeLimit(models.Model):
    """The largest message that a submission server takes, as it said at the last login there (RFC 1870, 4)."""

    host = models.CharField(max_length=253)
    port = models.PositiveIntegerField()
    octets = models.PositiveBigIntegerField()
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["host", "port"], name="one_size_limit_per_server")]

    def __str__(self) -> str:
        return f"{self.host}:{self.port}: {self.octets} octets"


class DiagnosisRuleQuerySet(models.QuerySet["DiagnosisRule"]):
    def for_organization(self, organization: Organization | None) -> Self:
        """The built-in rules and the organization's own."""
        shared = Q(organization=None)
        return self.filter(shared | Q(organization=organization)) if organization else self.filter(shared)


class DiagnosisRule(models.Model):
    """What a failure means: all conditions that are given must hold; then the causes, most likely first (spec D2).

    Rules without an organization are built in, loaded from `mailservers/rules/`. Lower `rank` is tried first.
    `causes` is a list of {cause, cure, who, field, link}.
    """

    organization = models.ForeignKey(
        Organization, models.CASCADE, null=True, blank=True, related_name="diagnosis_rules"
    )
    code = models.SlugField(max_length=80)
    rank = models.PositiveIntegerField(default=100)
    providers = models.JSONField(default=list, blank=True, help_text="Keys of the catalog; empty: any provider.")
    protocol = models.CharField(max_length=5, blank=True, help_text="imap, smtp, or empty for both.")
    step = models.CharField(max_length=20, blank=True, help_text="Empty: any step.")
    kind = models.CharField(max_length=40, blank=True, help_text="Kind of failure; empty: any.")
    ports = models.JSONField(default=list, blank=True, help_text="Empty: any port.")
    security = models.CharField(max_length=8, blank=True, choices=SecurityChoice, help_text="Empty: any.")
    pattern = models.CharField(max_length=500, blank=True, help_text="Case-blind regular expression on the reply.")
    title = models.CharField(max_length=200)
    causes = models.JSONField(default=list)
    retry = models.CharField(max_length=12, choices=[(retry.value, retry.value) for retry in Retry], default=Retry.STOP)

    objects = DiagnosisRuleQuerySet.as_manager()

    class Meta:
        ordering = ["rank", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["code"], condition=Q(organization=None), name="one_built_in_rule_per_code"),
            models.UniqueConstraint(fields=["organization", "code"], name="one_own_rule_per_code"),
        ]

    def __str__(self) -> str:
        return self.code
