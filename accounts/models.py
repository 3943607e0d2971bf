"""Mailboxes, who owns them and who may use them."""

from __future__ import annotations

from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any, Self

from django.db import models, transaction
from django.db.models import Exists, OuterRef, Q

from accounts.rights import Right
from accounts.signals import mailbox_leaving
from mailservers.models import PORT_RANGE, MailServer
from organizations.models import ApiToken, Organization, Role, User
from organizations.operations import Operation
from organizations.sealing import SealedField, SealedModel
from protocols.credentials import Credentials
from protocols.diagnosis import Diagnosis
from protocols.endpoint import Endpoint, Protocol, Security
from protocols.message import languages
from protocols.message.languages import Language
from providers.models import Provider, SecurityChoice


class State(models.TextChoices):
    """What the card says first (spec E11)."""

    CONNECTED = "connected", "Connected"
    SYNCING = "syncing", "Syncing"
    WAITING = "waiting", "Waiting"
    NEEDS_ATTENTION = "needs_attention", "Needs attention"
    PAUSED = "paused", "Paused"


class DownloadPeriod(models.TextChoices):
    DAY = "day", "The last day"
    WEEK = "week", "The last week"
    MONTH = "month", "The last month"
    QUARTER = "quarter", "The last 3 months"
    YEAR = "year", "The last year"
    EVERYTHING = "everything", "Everything"


class MailboxQuerySet(models.QuerySet["Mailbox"]):
    def in_organization_of(self, user: User) -> Self:
        """All that `user` could reach by any rule; with a token for certain mailboxes only those."""
        if not user.is_active:
            return self.none()
        mine = self.filter(organization_id=user.organization_id)
        if user.token is None or not user.token.only_mailboxes:
            return mine
        return mine.filter(Exists(TokenMailbox.objects.filter(token=user.token, mailbox=OuterRef("pk"))))

    def allowing(self, right: Right, user: User, now: datetime) -> Self:
        """Mailboxes on which `user` holds `right` at `now`, by ownership, grant or role. No superuser exception."""
        return self._held_by(user, MailboxGrant.objects.giving(right).live_at(now))

    def readable_by(self, user: User, now: datetime) -> Self:
        """Mailboxes whose mail `user` may read (spec F2): *access* finds it, *send* shows it in the panel."""
        return self._held_by(user, MailboxGrant.objects.giving(Right.ACCESS, Right.SEND).live_at(now))

    def in_panel_of(self, user: User, now: datetime) -> Self:
        """Mailboxes that stand in the mail panel of `user`; *access* alone does not put one there (spec F2)."""
        return self.allowing(Right.SEND, user, now)

    def _held_by(self, user: User, grants: MailboxGrantQuerySet) -> Self:
        """Of `user`, or shared and reached by one of `grants`: while sharing is off, grants are kept but count not."""
        granted = Q(Exists(grants.reaching(user).filter(mailbox=OuterRef("pk"))), is_shared=True)
        return self.in_organization_of(user).filter(Q(owner=user) | granted)

    def visible_to(self, user: User, now: datetime) -> Self:
        """Mailboxes that `user` may know of: by any right, or because the user manages email accounts."""
        if user.may(Operation.MANAGE_EMAIL_ACCOUNTS):
            return self.in_organization_of(user)
        return self._held_by(user, MailboxGrant.objects.giving(*Right).live_at(now))

    def manageable_by(self, user: User, now: datetime) -> Self:
        """Mailboxes whose settings `user` may change: setup right, or *manage email accounts* (never its mail)."""
        if user.may(Operation.MANAGE_EMAIL_ACCOUNTS):
            return self.in_organization_of(user)
        return self.allowing(Right.SETUP, user, now)

    def receiving(self) -> Self:
        return self.exclude(imap_host="").filter(downloads=True, paused_at=None)


class Mailbox(SealedModel):
    """An address with its store. Pages call it an email account.

    Incoming part: empty `imap_host` = send-only. Outgoing part: `mail_server`, or own `smtp_*` values with the
    mailbox's credentials; with neither the mailbox cannot send and says so. Without an owner it is the organization's.
    """

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="mailboxes")
    owner = models.ForeignKey(User, models.CASCADE, null=True, blank=True, related_name="mailboxes")
    address = models.EmailField("Email address", max_length=254)
    display_name = models.CharField(max_length=150)
    provider = models.ForeignKey(Provider, models.SET_NULL, null=True, blank=True, related_name="mailboxes")
    is_default = models.BooleanField("Default account", default=False)
    is_shared = models.BooleanField(
        "Allow shared access", default=False, help_text="Off: grants are kept, none counts."
    )

    imap_host = models.CharField("IMAP host", max_length=253, blank=True)
    imap_port = models.PositiveIntegerField("IMAP port", default=993, validators=PORT_RANGE)
    imap_security = models.CharField(max_length=8, choices=SecurityChoice, default=SecurityChoice.TLS)
    imap_username = models.CharField(max_length=320, blank=True)
    password = SealedField()

    mail_server = models.ForeignKey(MailServer, models.SET_NULL, null=True, blank=True, related_name="mailboxes")
    smtp_host = models.CharField("SMTP host", max_length=253, blank=True)
    smtp_port = models.PositiveIntegerField("SMTP port", default=465, validators=PORT_RANGE)
    smtp_security = models.CharField(max_length=8, choices=SecurityChoice, default=SecurityChoice.TLS)
    smtp_username = models.CharField(max_length=320, blank=True)

    downloads = models.BooleanField("Automatically download new emails", default=True)
    download_period = models.CharField(max_length=12, choices=DownloadPeriod, default=DownloadPeriod.WEEK)
    all_folders = models.BooleanField(default=True)
    sync_interval = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Minutes; empty: as set for all.")
    sends = models.BooleanField("Send emails using this mailbox", default=True)
    appends_sent = models.BooleanField("Append sent copy", default=True)
    language = models.CharField("Message language", max_length=10, blank=True, help_text="Empty: as its owner's.")

    created_at = models.DateTimeField(auto_now_add=True)
    connected_at = models.DateTimeField(null=True, blank=True, help_text="Last successful login.")
    paused_at = models.DateTimeField(null=True, blank=True)
    login_refusals = models.PositiveSmallIntegerField(default=0, help_text="With the present credentials.")
    attention = models.JSONField(null=True, blank=True, help_text="Diagnosis of what needs attention; null: nothing.")
    attention_since = models.DateTimeField(null=True, blank=True)
    disconnected_at = models.DateTimeField(
        null=True, blank=True, help_text="When its people were told that it is; null: they know it as connected."
    )

    objects = MailboxQuerySet.as_manager()

    class Meta:
        ordering = ["-is_default", "display_name", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization"], condition=Q(is_default=True), name="one_default_account_per_organization"
            ),
            models.UniqueConstraint(
                fields=["organization", "owner", "address"], name="one_mailbox_per_owner_and_address"
            ),
            models.UniqueConstraint(
                fields=["organization", "address"],
                condition=Q(owner=None),
                name="one_organization_mailbox_per_address",
            ),
        ]

    def __str__(self) -> str:
        return self.address

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Marking this one default clears the old one in the same transaction (spec E5).

        A new one of the organization is shared from the start: nobody owns it, so nobody else would ever see its mail.
        """
        if self._state.adding and self.owner_id is None:
            self.is_shared = True
        with transaction.atomic():
            if self.is_default:
                others = Mailbox.objects.filter(organization_id=self.organization_id, is_default=True)
                others.exclude(pk=self.pk).update(is_default=False)
            super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """With all that is stored of it. A large store goes in bulk, before the cascade would read it row by row."""
        with transaction.atomic():
            mailbox_leaving.send(Mailbox, mailbox=self)
            return super().delete(*args, **kwargs)

    def may_be_deleted_by(self, user: User) -> bool:
        """Its owner, or who manages email accounts. Setting it up is not enough: the mail of others goes with it."""
        if user.organization_id != self.organization_id or not user.is_active:
            return False
        return self.owner_id == user.pk or user.may(Operation.MANAGE_EMAIL_ACCOUNTS)

    @property
    def has_password(self) -> bool:
        """Whether one is stored, without opening it."""
        return bool(self.__dict__.get("password"))

    def incoming(self) -> Endpoint | None:
        return Endpoint(self.imap_host, self.imap_port, Security(self.imap_security)) if self.imap_host else None

    def incoming_credentials(self) -> Credentials:
        return Credentials(self.imap_username or self.address, self.password)

    def outgoing(self) -> Endpoint | None:
        """The chosen mail server's endpoint, or the mailbox's own; None: it cannot send."""
        if self.mail_server is not None:
            return self.mail_server.endpoint()
        return Endpoint(self.smtp_host, self.smtp_port, Security(self.smtp_security)) if self.smtp_host else None

    def outgoing_credentials(self) -> Credentials | None:
        if self.mail_server is not None:
            return self.mail_server.credentials()
        return Credentials(self.smtp_username or self.address, self.password)

    def note_trouble(self, diagnosis: Diagnosis, protocol: Protocol, now: datetime) -> None:
        """Keep on the card what one side of the connection ran into; the other side goes on."""
        self.attention, self.attention_since = diagnosis.as_json() | {"protocol": protocol.value}, now
        self.save(update_fields=["attention", "attention_since"])

    @property
    def writes_in(self) -> Language:
        """The language of its mail: the chosen one, else that of its owner's profile; English for the organization."""
        return languages.language(self.language or (self.owner.language if self.owner is not None else ""))

    @property
    def can_send(self) -> bool:
        return self.sends and (self.mail_server_id is not None or bool(self.smtp_host))


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

    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="grants")
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


class Signature(models.Model):
    """What stands below the mail that people write from a mailbox (spec E9).

    html: cleaned; its images are rows of their own, named by `cid:` and their SHA-256.
    """

    mailbox = models.OneToOneField(Mailbox, models.CASCADE, primary_key=True, related_name="signature")
    is_on = models.BooleanField("Add signatures to outbound emails", default=False)
    html = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"Signature of {self.mailbox}"


class SignatureImage(models.Model):
    """An image of a signature, stored once per mailbox and content."""

    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="signature_images")
    sha256 = models.CharField(max_length=64)
    content_type = models.CharField(max_length=20)
    size = models.PositiveIntegerField(help_text="Octets.")
    content = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mailbox", "sha256"], name="one_signature_image_per_content")]

    def __str__(self) -> str:
        return f"{self.content_type}, {self.size} octets"


class DefaultSender(models.Model):
    """The mailbox that stands in From when a person begins to write (spec E5): one for each user."""

    user = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="default_sender")
    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="default_senders")

    def __str__(self) -> str:
        return f"{self.mailbox} for {self.user}"


class TokenMailbox(models.Model):
    """One of the mailboxes that an API token is bound to (spec L1); counts where its `only_mailboxes` is set."""

    token = models.ForeignKey(ApiToken, models.CASCADE, related_name="bindings")
    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["token", "mailbox"], name="one_binding_per_token_and_mailbox")]

    def __str__(self) -> str:
        return f"{self.token} for {self.mailbox}"
