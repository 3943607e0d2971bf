"""`/providers`, `/provider-domains` and `/discovery` of the API (spec C1 to C6, L1)."""

from __future__ import annotations

from django.db.models import Q
from django.shortcuts import get_object_or_404
from ninja import Query, Router
from pydantic import BaseModel, Field

from organizations.calls import ApiRequest, Listing, Text, invalid, needs
from organizations.paging import in_key_order
from organizations.scopes import Scope
from providers import lookup
from providers.models import Provider, ProviderDomain
from providers.resources import (
    Discovery,
    ProviderDocument,
    ProviderDomainList,
    ProviderList,
    domain_document,
    provider_document,
    server_document,
)

router = Router(tags=["Providers"])
reads = needs(Scope.PROVIDERS_READ)


class ProviderListing(Listing):
    q: Text = Field("", max_length=120, description="A part of the name.")


class DomainListing(Listing):
    domain: Text = Field("", max_length=253, description="Exactly this domain.")
    provider: int | None = Field(None, ge=1, le=2**63 - 1, description="Only domains of this provider.")


class Question(BaseModel):
    address: Text = Field(max_length=320, description="An email address.", examples=["anna@example.com"])


@router.get("/providers", auth=reads, operation_id="providers_list", response=ProviderList)
def providers_list(request: ApiRequest, listing: Query[ProviderListing]) -> ProviderList:
    """Services that are known here: the shared catalog and the organization's own."""
    found = Provider.objects.visible_to(request.user.organization)
    if listing.q:
        found = found.filter(name__icontains=listing.q)
    page = in_key_order(found, listing.checked_cursor, size=listing.limit)
    return ProviderList(items=[provider_document(row) for row in page.rows], next=page.next or None)


@router.get("/providers/{int:pk}", auth=reads, operation_id="providers_get", response=ProviderDocument)
def providers_get(request: ApiRequest, pk: int) -> ProviderDocument:
    """One service."""
    return provider_document(get_object_or_404(Provider.objects.visible_to(request.user.organization), pk=pk))


@router.get("/provider-domains", auth=reads, operation_id="provider_domains_list", response=ProviderDomainList)
def provider_domains_list(request: ApiRequest, listing: Query[DomainListing]) -> ProviderDomainList:
    """Which domain belongs to which service."""
    organization = request.user.organization
    found = ProviderDomain.objects.filter(
        Q(organization=None) | Q(organization=organization),
        provider__in=Provider.objects.visible_to(organization),
    )
    if listing.domain:
        found = found.filter(domain=lookup.domain_of(f"@{listing.domain}"))
    if listing.provider is not None:
        found = found.filter(provider_id=listing.provider)
    page = in_key_order(found, listing.checked_cursor, size=listing.limit)
    return ProviderDomainList(items=[domain_document(row) for row in page.rows], next=page.next or None)


@router.get("/discovery", auth=reads, operation_id="discovery", response=Discovery)
def discovery(request: ApiRequest, asked: Query[Question]) -> Discovery:
    """Recognise the provider of an address, as the wizard does. Nothing is dialled."""
    try:
        clean = lookup.clean_address(asked.address)
    except lookup.AddressError as exc:
        raise invalid("address", str(exc)) from exc
    provider = lookup.recognise(clean, request.user.organization)
    if provider is None:
        return Discovery(address=clean, source="unknown", provider=None, incoming=None, outgoing=None, obstacle="")
    return Discovery(
        address=clean,
        source="organization" if lookup.password_hosts(clean, provider, request.user.organization) else "catalog",
        provider=provider_document(provider),
        incoming=server_document(provider.incoming(), provider.username_for(clean, provider.imap_login)),
        outgoing=server_document(provider.outgoing(), provider.username_for(clean, provider.smtp_login)),
        obstacle=provider.obstacle(),
    )
