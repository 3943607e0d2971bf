"""`/providers`, `/provider-domains` and `/discovery` of the API (spec C1 to C6, L1)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Status
from pydantic import BaseModel, Field

from organizations.calls import (
    ApiRequest,
    Asked,
    Listing,
    Problem,
    Text,
    form_values,
    invalid,
    invalid_form,
    needs,
)
from organizations.operations import Operation
from organizations.paging import in_key_order
from organizations.scopes import Scope
from providers import domains, entries, lookup
from providers.forms import DomainForm, ProviderForm
from providers.models import HiddenProvider, LoginRule, Provider, ProviderDomain
from providers.resources import (
    Discovery,
    NewProvider,
    NewProviderDomain,
    ProviderChanges,
    ProviderDocument,
    ProviderDomainChanges,
    ProviderDomainDocument,
    ProviderDomainList,
    ProviderList,
    by_members,
    domain_document,
    provider_document,
    server_document,
)
from providers.typed_servers import may_type_servers

router = Router(tags=["Providers"])
reads = needs(Scope.PROVIDERS_READ)
writes = needs(Scope.PROVIDERS_WRITE, Operation.MANAGE_EMAIL_PROVIDERS)


class ProviderListing(Listing):
    q: Text = Field("", max_length=120, description="A part of the name.")
    with_hidden: bool = Field(False, description="Also those that are hidden, for who manages email providers.")


class DomainListing(Listing):
    domain: Text = Field("", max_length=253, description="Exactly this domain.")
    provider: int | None = Field(None, ge=1, le=2**63 - 1, description="Only domains of this provider.")


class Question(BaseModel):
    address: Text = Field(max_length=320, description="An email address.", examples=["anna@example.com"])


@router.get("/providers", auth=reads, operation_id="providers_list", response=ProviderList)
def providers_list(request: ApiRequest, listing: Query[ProviderListing]) -> ProviderList:
    """Services that are known here: the shared catalog and the organization's own."""
    organization = request.user.organization
    if not listing.with_hidden:
        found = Provider.objects.visible_to(organization)
    elif request.user.may(Operation.MANAGE_EMAIL_PROVIDERS):
        found = Provider.objects.in_catalog_of(organization)
    else:
        raise PermissionDenied("Only who manages email providers sees those that are hidden.")
    if listing.q:
        found = found.filter(name__icontains=listing.q)
    page = in_key_order(found, listing.checked_cursor, size=listing.limit)
    hidden = set(HiddenProvider.objects.filter(organization=organization).values_list("key", flat=True))
    items = [provider_document(row, is_hidden=row.key in hidden) for row in page.rows]
    return ProviderList(items=items, next=page.next or None)


@router.post("/providers", auth=writes, operation_id="providers_create", response={201: ProviderDocument})
def providers_create(request: ApiRequest, body: NewProvider) -> Status[ProviderDocument]:
    """Add a service of the organization's own. Its logo is uploaded by `/providers/{id}/logo`."""
    entry = Provider(organization=request.user.organization, key=entries.new_key())
    return Status(201, _keep(request, entry, body))


@router.get("/providers/{int:pk}", auth=reads, operation_id="providers_get", response=ProviderDocument)
def providers_get(request: ApiRequest, pk: int) -> ProviderDocument:
    """One service; a hidden one only for who manages email providers."""
    organization = request.user.organization
    manages = request.user.may(Operation.MANAGE_EMAIL_PROVIDERS)
    offered = Provider.objects.in_catalog_of(organization) if manages else Provider.objects.visible_to(organization)
    return document_of(request, get_object_or_404(offered, pk=pk))


@router.patch("/providers/{int:pk}", auth=writes, operation_id="providers_update", response=ProviderDocument)
def providers_update(request: ApiRequest, pk: int, body: ProviderChanges) -> ProviderDocument:
    """Change an own service. A built-in one stays: an own one takes its place in your organization, with its own id."""
    entry, organization = entry_or_404(request, pk), request.user.organization
    if not body.sent:
        return document_of(request, entry)
    return _keep(request, entries.own_entry(entry, organization), body)


@router.delete("/providers/{int:pk}", auth=writes, operation_id="providers_delete", response={204: None})
def providers_delete(request: ApiRequest, pk: int) -> Status[None]:
    """Delete an own service with its domains. Where it took the place of a built-in one, that one counts again."""
    entry = entry_or_404(request, pk)
    if entry.is_built_in:
        raise PermissionDenied(f"{entry} is built in, so it cannot be deleted. It can be hidden.")
    built_in = entries.built_in_of(entry)
    if built_in is None:
        entries.delete(entry, request.user, request)
    else:
        entries.restore(entry, built_in, request.user, request)
    return Status(204, None)


@router.post("/providers/{int:pk}/hide", auth=writes, operation_id="providers_hide", response=ProviderDocument)
def providers_hide(request: ApiRequest, pk: int) -> ProviderDocument:
    """Stop offering a service to your people. Mailboxes that use it go on."""
    entry = entry_or_404(request, pk)
    entries.hide(entry, request.user, request)
    return document_of(request, entry)


@router.post("/providers/{int:pk}/show", auth=writes, operation_id="providers_show", response=ProviderDocument)
def providers_show(request: ApiRequest, pk: int) -> ProviderDocument:
    """Offer a hidden service again."""
    entry = entry_or_404(request, pk)
    entries.show(entry, request.user, request)
    return document_of(request, entry)


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


@router.post(
    "/provider-domains", auth=writes, operation_id="provider_domains_create", response={201: ProviderDomainDocument}
)
def provider_domains_create(request: ApiRequest, body: NewProviderDomain) -> Status[ProviderDomainDocument]:
    """Say by hand who serves a domain."""
    return Status(201, _keep_domain(request, ProviderDomain(organization=request.user.organization), body))


@router.patch(
    "/provider-domains/{int:pk}", auth=writes, operation_id="provider_domains_update", response=ProviderDomainDocument
)
def provider_domains_update(request: ApiRequest, pk: int, body: ProviderDomainChanges) -> ProviderDomainDocument:
    """Change an own or learned row. A built-in one is overruled by an own row for its domain."""
    row = _own_domain_or_404(request, pk)
    return _keep_domain(request, row, body) if body.sent else domain_document(row)


@router.delete("/provider-domains/{int:pk}", auth=writes, operation_id="provider_domains_delete", response={204: None})
def provider_domains_delete(request: ApiRequest, pk: int) -> Status[None]:
    """Forget an own or learned row; what the shared catalog says counts again."""
    domains.remove(_own_domain_or_404(request, pk), request.user, request)
    return Status(204, None)


@router.get("/discovery", auth=reads, operation_id="discovery", response=Discovery)
def discovery(request: ApiRequest, asked: Query[Question]) -> Discovery:
    """Recognise the provider of an address, as the wizard does before it asks for the password. Nothing is dialled."""
    try:
        clean = lookup.clean_address(asked.address)
    except lookup.AddressError as exc:
        raise invalid("address", str(exc)) from exc
    found, by_hand = lookup.look_up(clean, request.user.organization), may_type_servers(request.user)
    if found is None:
        return Discovery(address=clean, source="unknown", may_type_servers=by_hand)
    if found.is_hidden:
        return Discovery(address=clean, source="hidden", obstacle=found.obstacle(), may_type_servers=by_hand)
    provider, taught = found.provider, lookup.password_hosts(clean, found.provider, request.user.organization)
    return Discovery(
        address=clean,
        source="organization" if taught else "catalog",
        provider=provider_document(provider),
        incoming=server_document(provider.incoming(), provider.username_for(clean, provider.imap_login)),
        outgoing=server_document(provider.outgoing(), provider.username_for(clean, provider.smtp_login)),
        obstacle=found.obstacle(),
        asks_username=LoginRule.TYPED in (provider.imap_login, provider.smtp_login),
        password_goes_to=taught,
        may_type_servers=by_hand,
    )


def entry_or_404(request: ApiRequest, pk: int) -> Provider:
    """An own entry, or a built-in one, be it hidden or overridden."""
    known: QuerySet[Provider] = Provider.objects.filter(
        Q(organization=request.user.organization) | Q(organization=None, is_hidden=False)
    )
    return get_object_or_404(known, pk=pk)


def document_of(request: ApiRequest, entry: Provider) -> ProviderDocument:
    hidings = HiddenProvider.objects.filter(organization=request.user.organization, key=entry.key)
    return provider_document(entry, is_hidden=hidings.exists())


def _keep(request: ApiRequest, entry: Provider, body: ProviderChanges) -> ProviderDocument:
    """Store what the page's form makes of `body`. Raises Invalid, or Problem 409."""
    organization = request.user.organization
    before = ProviderForm(instance=entry, organization=organization)
    form = ProviderForm(form_values(before, body.form_values), instance=entry, organization=organization)
    if not form.is_valid():
        raise by_members(invalid_form(form))
    if body.limits.message_size:
        entry.limits["message_size"] = body.limits.message_size  # the form counts in megabytes
    with storing_entries():
        entries.keep(entry, request.user, request=request)
    return document_of(request, entry)


@contextmanager
def storing_entries() -> Iterator[None]:
    """Two calls that override the same service at the same moment: one of them is told."""
    try:
        yield
    except entries.TakenMeanwhile as exc:
        raise Problem(
            409,
            "changed-meanwhile",
            "Somebody else stored this service at the same moment.",
            "Read the list of services, and change what stands there now.",
        ) from exc


def _own_domain_or_404(request: ApiRequest, pk: int) -> ProviderDomain:
    known = ProviderDomain.objects.filter(Q(organization=request.user.organization) | Q(organization=None))
    row = get_object_or_404(known.select_related("provider"), pk=pk)
    if row.organization_id is None:
        raise PermissionDenied(f"{row} is built in. Add a row of your own for it, which counts before this one.")
    return row


def _keep_domain(request: ApiRequest, row: ProviderDomain, body: Asked) -> ProviderDomainDocument:
    organization = request.user.organization
    before = DomainForm(instance=row, organization=organization)
    form = DomainForm(form_values(before, body.sent), instance=row, organization=organization)
    if not form.is_valid():
        raise invalid_form(form)
    try:
        domains.keep(row, request.user, request)
    except domains.DomainTaken as taken:
        sentence = f"{taken.row.domain} is served by {taken.row.provider} already. Change that row, or delete it."
        raise invalid("domain", sentence) from taken
    return domain_document(row)
