"""Mailboxes, their owners and what each user may reach."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from django.db import models, transaction
from django.db.models import Exists, OuterRef, Q

from accounts.models.grants import MailboxGrant, MailboxGrantQuerySet
from accounts.models.tokens import TokenMailbox
from accounts.rights import Right
from accounts.signals import mailbox_leaving
from mailservers.models import PORT_RANGE, MailServer
from organizations.models import Organization, User
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
    sender_address = models.EmailField(
        "Default sender address", max_length=254, blank=True, help_text="Stands in From; empty: the mailbox's own."
    )
    appends_sent = models.BooleanField("Append sent copy", default=True)
    retries_uncertain = models.BooleanField("Send again when it is not known whether it was sent", default=False)
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
    def identities(self) -> tuple[str, ...]:
        """The addresses that may stand in From of its mail (spec E8), the usual one first."""
        return tuple(dict.fromkeys((self.sender_address or self.address, self.address)))

    @property
    def can_send(self) -> bool:
        return self.sends and (self.mail_server_id is not None or bool(self.smtp_host))
