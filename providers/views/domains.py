"""Email providers domains: which provider serves which domain (spec C3, C5)."""

from __future__ import annotations

import json
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from organizations.requests import SignedInRequest
from providers import domains, lookup
from providers.catalog import a_label
from providers.forms import AddressForm, DomainFilterForm, DomainForm
from providers.models import ProviderDomain
from providers.views.entries import managed


@require_GET
@managed
def list_(request: SignedInRequest) -> HttpResponse:
    form = DomainFilterForm(request.GET)
    form.is_valid()
    data = {name: form.cleaned_data.get(name, "") for name in ("q", "origin", "after")}
    page = domains.page(
        request.user.organization, text=_searched(data["q"]), origin=data["origin"], after=data["after"]
    )
    kept = {name: value for name, value in data.items() if value and name != "after"}
    context = {
        "form": form,
        "page": page,
        "older": f"{request.path}?{urlencode({**kept, 'after': page.next})}",
        "is_filtered": bool(kept),
        **_looked_up(request),
    }
    fragment = request.htmx and data["after"]
    return render(request, "providers/_domain_rows.html" if fragment else "providers/domains.html", context)


@require_GET
@managed
def look_up(request: SignedInRequest) -> HttpResponse:
    """Which provider serves this address? The answer alone; without scripts the whole page shows it."""
    if not request.htmx:
        return redirect(
            f"{reverse('providers:domains')}?{urlencode({'address': request.GET.get('address', '')[:321]})}"
        )
    return render(request, "providers/_look_up.html", _looked_up(request))


@require_http_methods(["GET", "POST"])
@managed
def add(request: SignedInRequest) -> HttpResponse:
    """`?domain=` and `?provider=` fill the form in, for a built-in domain that is to be served by somebody else."""
    row = ProviderDomain(organization=request.user.organization)
    initial = {name: request.GET.get(name, "")[:320].replace("\0", "") for name in ("domain", "provider")}
    return _edit(request, row, initial)


@require_http_methods(["GET", "POST"])
@managed
def edit(request: SignedInRequest, pk: int) -> HttpResponse:
    return _edit(request, _own(request, pk), {})


@require_http_methods(["GET", "POST"])
@managed
def delete(request: SignedInRequest, pk: int) -> HttpResponse:
    row = _own(request, pk)
    if request.method == "GET":
        built_in = (
            ProviderDomain.objects.filter(organization=None, domain=row.domain).select_related("provider").first()
        )
        return _shown(request, "providers/_domain_delete.html", "Remove domain", {"row": row, "built_in": built_in})
    domains.remove(row, request.user, request)
    return _done(request, f"{row.domain} was removed.")


def _edit(request: SignedInRequest, row: ProviderDomain, initial: dict[str, str]) -> HttpResponse:
    title = "Edit domain" if row.pk else "Add domain"
    organization = request.user.organization
    if request.method == "GET":
        form = DomainForm(instance=row, organization=organization, initial=initial)
        return _shown(request, "providers/_domain_form.html", title, {"form": form, "row": row})
    form = DomainForm(request.POST, instance=row, organization=organization)
    if form.is_valid():
        try:
            domains.keep(row, request.user, request)
        except domains.DomainTaken as taken:
            if row.pk is None and _same(taken.row, row):  # the button was pressed twice
                return _done(request, f"{row.domain} is served by {row.provider}.")
            form.add_error(
                "domain", f"{taken.row.domain} is served by {taken.row.provider} already. Edit that row, or remove it."
            )
        else:
            return _done(request, f"{row.domain} is served by {row.provider}.")
    return _shown(request, "providers/_domain_form.html", title, {"form": form, "row": row}, status=422)


def _same(stored: ProviderDomain, typed: ProviderDomain) -> bool:
    return (stored.provider_id, stored.covers_subdomains) == (typed.provider_id, typed.covers_subdomains)


def _searched(text: str) -> str:
    """Domains are stored as A-labels; of an address only the domain counts."""
    domain = text.strip().rpartition("@")[2]
    try:
        return a_label(domain) if domain and not domain.isascii() else domain
    except ValueError:
        return domain


def _looked_up(request: SignedInRequest) -> dict[str, object]:
    """The look-up box: asked for `?address=`, an address or a bare domain."""
    if "address" not in request.GET:
        return {"address_form": AddressForm(), "asked": ""}
    form = AddressForm(request.GET)
    if not form.is_valid():
        return {"address_form": form, "asked": ""}
    typed = form.cleaned_data["address"].strip()
    address = typed if "@" in typed else f"somebody@{typed}"
    if not lookup.domain_of(address) or "." not in lookup.domain_of(address):
        form.add_error("address", "This is no address; it looks like name@company.com.")
        return {"address_form": form, "asked": ""}
    found = lookup.look_up(address, request.user.organization)
    return {"address_form": form, "asked": lookup.domain_of(address), "found": found}


def _own(request: SignedInRequest, pk: int) -> ProviderDomain:
    rows = ProviderDomain.objects.filter(organization=request.user.organization).select_related("provider")
    return get_object_or_404(rows, pk=pk)


def _shown(
    request: SignedInRequest, fragment: str, title: str, context: dict[str, object], *, status: int = 200
) -> HttpResponse:
    """The fragment for the dialog, or a page around it where its address was opened plainly."""
    context = {
        **context,
        "title": title,
        "fragment": fragment,
        "back_to": reverse("providers:domains"),
        "back_label": "Email providers domains",
    }
    return render(request, fragment if request.htmx else "providers/dialog_page.html", context, status=status)


def _done(request: SignedInRequest, sentence: str) -> HttpResponse:
    if not request.htmx:
        return redirect("providers:domains")
    if request.htmx.current_url_abs_path and request.htmx.current_url_abs_path.split("?")[0] != reverse(
        "providers:domains"
    ):
        return HttpResponse(headers={"HX-Redirect": reverse("providers:domains")})
    news = {"dialog:close": {}, "toast": {"text": sentence, "kind": "good"}, "domains:changed": {}}
    return HttpResponse(status=204, headers={"HX-Trigger": json.dumps(news)})
