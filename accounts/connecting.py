"""Connect a mailbox: from an address and a password to a row that works (spec E1, C5, C6)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from accounts.models import Mailbox
from organizations import audit
from organizations.models import User
from protocols.credentials import Credentials, Secret
from protocols.endpoint import Endpoint
from providers import lookup
from providers.models import Authentication, LoginRule, Provider, Status


@dataclass(frozen=True, slots=True)
class Servers:
    """Where a mailbox reads and sends, and under which names. Either side may be missing."""

    incoming: Endpoint | None
    outgoing: Endpoint | None
    imap_username: str
    smtp_username: str
    provider: Provider | None = None

    @property
    def provider_key(self) -> str:
        return self.provider.key if self.provider else ""

    def incoming_login(self, password: Secret) -> Credentials:
        return Credentials(self.imap_username, password)

    def outgoing_login(self, password: Secret) -> Credentials:
        return Credentials(self.smtp_username, password)


def servers_of(provider: Provider, address: str, username: str = "") -> Servers:
    """The provider's servers for `address`; `username` counts where the provider's rule is "typed by the user"."""

    def name_by(rule: str) -> str:
        return username if username and rule == LoginRule.TYPED else provider.username_for(address, rule)

    return Servers(
        incoming=provider.incoming(),
        outgoing=provider.outgoing(),
        imap_username=name_by(provider.imap_login),
        smtp_username=name_by(provider.smtp_login),
        provider=provider,
    )


def obstacle(provider: Provider) -> str:
    """Why this provider cannot be connected with a password, in one sentence; empty: it can (spec C6)."""
    if provider.status == Status.NOT_POSSIBLE or not (provider.imap_host or provider.smtp_host):
        return provider.hint or f"{provider.name} does not let other programs read or send mail."
    if provider.authentication == Authentication.OAUTH:
        return provider.hint or (
            f"{provider.name} accepts only its own sign-in page, never a password typed elsewhere. "
            "That kind of sign-in is not set up here."
        )
    return ""


def typed_password(text: str, provider: Provider | None) -> Secret:
    """App passwords are shown in groups; the spaces between them are not part of it."""
    if provider is not None and provider.authentication == Authentication.APP_PASSWORD:
        text = "".join(text.split())
    return Secret(text)


def connect(
    user: User, address: str, display_name: str, servers: Servers, password: Secret, *, sends: bool, now: datetime
) -> Mailbox:
    """Make the mailbox with default parameters, after its check has passed, and learn the domain."""
    mailbox = Mailbox(
        organization_id=user.organization_id,
        owner=user,
        address=address,
        display_name=display_name,
        provider=servers.provider,
        imap_username=servers.imap_username,
        smtp_username=servers.smtp_username,
        sends=sends,
        appends_sent=not (servers.provider and servers.provider.files_sent_mail),
        connected_at=now,
    )
    if servers.incoming:
        mailbox.imap_host, mailbox.imap_port = servers.incoming.host, servers.incoming.port
        mailbox.imap_security = servers.incoming.security
    if servers.outgoing:
        mailbox.smtp_host, mailbox.smtp_port = servers.outgoing.host, servers.outgoing.port
        mailbox.smtp_security = servers.outgoing.security
    mailbox.password = password
    with transaction.atomic():
        mailbox.save()
        if servers.provider is not None:
            lookup.learn(address, servers.provider, user.organization, now)
        audit.record("mailbox.connected", organization=user.organization, actor=user, target=mailbox)
    return mailbox


def guessed_servers(address: str, provider: Provider | None) -> dict[str, object]:
    """First values for servers typed by hand: the provider's, else the names that most domains use."""
    domain = address.rpartition("@")[2]
    if provider is None:
        return {"imap_host": f"imap.{domain}", "smtp_host": f"smtp.{domain}", "username": address}
    return {
        "imap_host": provider.imap_host,
        "imap_port": provider.imap_port,
        "imap_security": provider.imap_security,
        "smtp_host": provider.smtp_host,
        "smtp_port": provider.smtp_port,
        "smtp_security": provider.smtp_security,
        "username": provider.username_for(address, provider.imap_login),
    }
