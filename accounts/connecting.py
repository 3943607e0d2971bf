"""Connect a mailbox: from an address and a password to a row that works (spec E1, C5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.http import HttpRequest

from accounts.models import Mailbox
from organizations import audit
from organizations.models import User
from protocols.credentials import Credentials, Secret
from protocols.endpoint import Endpoint
from providers import lookup
from providers.models import LoginRule, Provider


@dataclass(frozen=True, slots=True)
class Servers:
    """Where a mailbox reads and sends, and under which names. Either side may be missing.

    provider: None where a person typed the servers.
    """

    incoming: Endpoint | None
    outgoing: Endpoint | None
    imap_username: str
    smtp_username: str
    provider: Provider | None = None

    def incoming_login(self, password: Secret) -> Credentials:
        return Credentials(self.imap_username, password)

    def outgoing_login(self, password: Secret) -> Credentials:
        return Credentials(self.smtp_username, password)


@dataclass(frozen=True, slots=True)
class Wish:
    """A mailbox as it was typed, complete and valid, but not tried yet."""

    address: str
    display_name: str
    servers: Servers
    password: Secret


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


def connect(user: User, wish: Wish, *, sends: bool, now: datetime, request: HttpRequest | None = None) -> Mailbox:
    """Make the mailbox with default parameters, after its check has passed, and learn the domain.

    sends: whether sending worked; without it the mailbox only reads, and says so.
    Raises IntegrityError when the person has connected this address already.
    """
    servers = wish.servers
    mailbox = Mailbox(
        organization_id=user.organization_id,
        owner=user,
        address=wish.address,
        display_name=wish.display_name,
        imap_username=servers.imap_username,
        smtp_username=servers.smtp_username,
        sends=sends,
        connected_at=now,
    )
    if servers.incoming:
        mailbox.imap_host, mailbox.imap_port = servers.incoming.host, servers.incoming.port
        mailbox.imap_security = servers.incoming.security
    if servers.outgoing:
        mailbox.smtp_host, mailbox.smtp_port = servers.outgoing.host, servers.outgoing.port
        mailbox.smtp_security = servers.outgoing.security
    mailbox.password = wish.password
    with transaction.atomic():
        mailbox.provider = _learned(user, wish, request, sends=sends, now=now)
        mailbox.appends_sent = not (mailbox.provider and mailbox.provider.files_sent_mail)
        mailbox.save()
        audit.record("mailbox.connected", organization=user.organization, actor=user, target=mailbox, request=request)
    return mailbox


def _learned(user: User, wish: Wish, request: HttpRequest | None, *, sends: bool, now: datetime) -> Provider | None:
    """The provider, after the domain was taught to the organization (spec C5). Only what wholly worked is taught."""
    servers = wish.servers
    if servers.provider is not None:
        lookup.learn(wish.address, servers.provider, user, now, request)
        return servers.provider
    if servers.incoming is None or not sends:
        return None
    return lookup.learn_servers(
        wish.address,
        user,
        now,
        incoming=servers.incoming,
        outgoing=servers.outgoing,
        imap_username=servers.imap_username,
        smtp_username=servers.smtp_username,
        request=request,
    )


def guessed_servers(address: str, provider: Provider | None) -> dict[str, object]:
    """First values for servers typed by hand: the provider's, else the names that most domains use."""
    domain = lookup.domain_of(address)
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


def usual_display_name(user: User, address: str) -> str:
    """The person's own name; for an address like sales@ what stands before the @ serves better."""
    local_part = address.rpartition("@")[0]
    own = user.name.split()[:1]
    if own and own[0].lower() in local_part.lower():
        return user.name
    return local_part.replace(".", " ").replace("_", " ").title()
