"""What the API takes and gives about the catalog and its look-up."""

from __future__ import annotations

from typing import cast

from pydantic import BaseModel, Field

from protocols.endpoint import Endpoint
from providers.models import Provider, ProviderDomain


class ServerDocument(BaseModel):
    """Where to connect, and as whom."""

    host: str
    port: int
    security: str = Field(description="tls, starttls or none.")
    username: str = Field(description="For the address that was asked about; else the rule by which it is made.")


class ProviderDocument(BaseModel):
    """An entry of the catalog, shared by all or the organization's own."""

    id: int
    key: str = Field(examples=["example-mail"])
    name: str
    is_own: bool = Field(description="Of your organization, not of the shared catalog.")
    incoming: ServerDocument | None
    outgoing: ServerDocument | None
    authentication: str = Field(description="password, app_password or oauth.")
    status: str = Field(description="works, needs_preparation or not_possible.")
    hint: str
    instructions_url: str
    files_sent_mail: bool = Field(description="It files sent mail by itself.")
    limits: dict[str, int]
    often_used: bool


class ProviderList(BaseModel):
    items: list[ProviderDocument]
    next: str | None = Field(description="The `cursor` of the next page; null on the last.")


class ProviderDomainDocument(BaseModel):
    """Which provider serves a domain."""

    id: int
    domain: str = Field(examples=["example.com"], description="In A-label form (RFC 5890).")
    provider: int
    covers_subdomains: bool
    is_own: bool
    is_learned: bool = Field(description="A colleague's choice taught it.")


class ProviderDomainList(BaseModel):
    items: list[ProviderDomainDocument]
    next: str | None = Field(description="The `cursor` of the next page; null on the last.")


class Discovery(BaseModel):
    """What is known about an address before anybody types a password."""

    address: str
    source: str = Field(description="organization, catalog, or unknown.")
    provider: ProviderDocument | None
    incoming: ServerDocument | None
    outgoing: ServerDocument | None
    obstacle: str = Field(description="Why it cannot be connected, as a sentence; else empty.")


def provider_document(provider: Provider) -> ProviderDocument:
    return ProviderDocument(
        id=provider.pk,
        key=provider.key,
        name=provider.name,
        is_own=provider.organization_id is not None,
        incoming=server_document(provider.incoming(), provider.imap_login),
        outgoing=server_document(provider.outgoing(), provider.smtp_login),
        authentication=provider.authentication,
        status=provider.status,
        hint=provider.hint,
        instructions_url=provider.instructions_url,
        files_sent_mail=provider.files_sent_mail,
        limits=cast("dict[str, int]", provider.limits),
        often_used=provider.often_used,
    )


def domain_document(row: ProviderDomain) -> ProviderDomainDocument:
    return ProviderDomainDocument(
        id=row.pk,
        domain=row.domain,
        provider=row.provider_id,
        covers_subdomains=row.covers_subdomains,
        is_own=row.organization_id is not None,
        is_learned=row.learned_at is not None,
    )


def server_document(endpoint: Endpoint | None, username: str) -> ServerDocument | None:
    if endpoint is None:
        return None
    return ServerDocument(host=endpoint.host, port=endpoint.port, security=endpoint.security.value, username=username)
