"""The list of email providers, the card of one, and what may be done with it (spec C1, C2, B3)."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from organizations.operations import Operation
from organizations.permissions import operation_required
from organizations.requests import SignedInRequest
from providers import domains, entries, listing
from providers.facts import facts_of
from providers.forms import FilterForm, ProviderForm
from providers.models import HiddenProvider, Provider, ProviderDomain, Status

managed = operation_required(Operation.MANAGE_EMAIL_PROVIDERS)
DOMAINS_ON_THE_CARD = 24


@require_GET
@managed
def list_(request: SignedInRequest) -> HttpResponse:
    form = FilterForm(request.GET)
    wanted = form.wanted()
    page = listing.page(request.user.organization, wanted, form.after_key)
    kept = {name: value for name, value in request.GET.items() if name in form.fields and name != "after" and value}
    older = f"{request.path}?{urlencode({**kept, 'after': page.next})}"
    context = {"form": form, "page": page, "older": older, "is_filtered": bool(kept)}
    fragment = request.htmx and form.after_key
    return render(request, "providers/_rows.html" if fragment else "providers/list.html", context)


@require_GET
@managed
def card(request: SignedInRequest, pk: int) -> HttpResponse:
    """Everything about one entry; a built-in one that is overridden leads to the own one."""
    entry, organization = _entry(request, pk), request.user.organization
    if entry.is_built_in and (own := Provider.objects.filter(organization=organization, key=entry.key).first()):
        return redirect("providers:card", own.pk)
    built_in = None if entry.is_built_in else entries.built_in_of(entry)
    rows = domains.counting(ProviderDomain.objects.filter(provider__key=entry.key), organization)
    names = list(rows.order_by("domain").values_list("domain", flat=True))
    groups = facts_of(entry, built_in)
    context = {
        "entry": entry,
        "built_in": built_in,
        "groups": groups,
        "differences": sum(fact.differs for group in groups for fact in group.facts),
        "domains": names[:DOMAINS_ON_THE_CARD],
        "domain_count": len(names),
        "mailboxes": listing.mailbox_counts_of([entry], organization)[entry.pk],
        "is_hidden": HiddenProvider.objects.filter(organization=organization, key=entry.key).exists(),
    }
    return render(request, "providers/card.html", context)


@require_http_methods(["GET", "POST"])
@managed
def add(request: SignedInRequest) -> HttpResponse:
    """A new own entry, reached by IMAP and SMTP."""
    key = request.POST.get("key", "")
    if not entries.is_new_key(key):
        key = entries.new_key()
    entry = Provider.objects.filter(organization=request.user.organization, key=key).first()
    if entry is not None:  # the button was pressed twice
        return redirect("providers:card", entry.pk)
    return _edit(request, Provider(organization=request.user.organization, key=key), None)


@require_http_methods(["GET", "POST"])
@managed
def edit(request: SignedInRequest, pk: int) -> HttpResponse:
    """Change an own entry; for a built-in one, make an own entry that says something else."""
    entry, organization = _entry(request, pk), request.user.organization
    if not entry.is_built_in:
        return _edit(request, entry, entries.built_in_of(entry))
    own = Provider.objects.filter(organization=organization, key=entry.key).first()
    if own is not None:
        return redirect("providers:edit", own.pk)
    return _edit(request, entries.own_copy(entry, organization), entry)


@require_http_methods(["GET", "POST"])
@managed
def restore(request: SignedInRequest, pk: int) -> HttpResponse:
    """Ask, then go back to the built-in entry."""
    entry = _own(request, pk)
    built_in = entries.built_in_of(entry)
    if built_in is None:
        return redirect("providers:card", entry.pk)
    if request.method == "GET":
        return _asked(request, "providers/_restore.html", "Back to the built-in entry", entry)
    entries.restore(entry, built_in, request.user, request)
    messages.success(request, f"{built_in.name} is as it was built in again.")
    return _went(request, reverse("providers:card", args=[built_in.pk]))


@require_http_methods(["GET", "POST"])
@managed
def delete(request: SignedInRequest, pk: int) -> HttpResponse:
    """Ask, with what goes; then delete an own entry. One that overrides goes back to the built-in one instead."""
    entry = _own(request, pk)
    if entries.built_in_of(entry) is not None:
        return redirect("providers:restore", entry.pk)
    if request.method == "GET":
        return _asked(request, "providers/_delete.html", "Delete provider", entry)
    entries.delete(entry, request.user, request)
    messages.success(request, f"{entry.name} was deleted.")
    return _went(request, reverse("providers:list"))


@require_POST
@managed
def hide(request: SignedInRequest, pk: int) -> HttpResponse:
    entry = _entry(request, pk)
    entries.hide(entry, request.user, request)
    messages.success(request, f"{entry.name} is hidden: it is not offered to your people any more.")
    return _went(request, reverse("providers:card", args=[entry.pk]))


@require_POST
@managed
def show(request: SignedInRequest, pk: int) -> HttpResponse:
    entry = _entry(request, pk)
    entries.show(entry, request.user, request)
    messages.success(request, f"{entry.name} is offered again.")
    return _went(request, reverse("providers:card", args=[entry.pk]))


@require_POST
@managed
def preview(request: SignedInRequest) -> HttpResponse:
    """What the wizard would say before the password, with the values as they are being typed."""
    posted = request.POST.get("key", "")
    key = posted if entries.is_key(posted) else entries.new_key()
    form = ProviderForm(request.POST, instance=Provider(key=key), organization=request.user.organization)
    form.is_valid()
    data = form.cleaned_data
    entry = Provider(
        key=key,
        name=data.get("name") or "This provider",
        hint=data.get("hint") or "",
        instructions_url=data.get("instructions_url") or "",
        authentication=data.get("authentication") or "",
        status=data.get("status") or Status.WORKS,
        imap_host="imap.example.com" if data.get("receives") else "",
        smtp_host="smtp.example.com" if data.get("delivers") else "",
        imap_security=data.get("imap_security") or "",
        smtp_security=data.get("smtp_security") or "",
        imap_login=data.get("imap_login") or "",
        smtp_login=data.get("smtp_login") or "",
    )
    return render(request, "providers/_preview.html", {"entry": entry})


def _edit(request: SignedInRequest, entry: Provider, built_in: Provider | None) -> HttpResponse:
    is_new = entry.pk is None
    if request.method == "GET":
        return _form(request, ProviderForm(instance=entry, organization=request.user.organization), entry, built_in)
    shown_as = entry.name  # the instance carries the typed values once the form was asked
    form = ProviderForm(request.POST, request.FILES, instance=entry, organization=request.user.organization)
    if not form.is_valid():
        return _form(request, form, entry, built_in, shown_as=shown_as)
    try:
        entries.keep(
            entry, request.user, logo=form.new_logo, drops_logo=form.cleaned_data["drops_logo"], request=request
        )
    except entries.TakenMeanwhile:
        entry = Provider.objects.get(organization=request.user.organization, key=entry.key)
        messages.info(request, f"{entry.name} was stored at the same moment by somebody else. Look at it first.")
        return redirect("providers:card", entry.pk)
    messages.success(request, f"{entry.name} was {'added' if is_new and built_in is None else 'saved'}.")
    return redirect("providers:card", entry.pk)


def _form(
    request: SignedInRequest, form: ProviderForm, entry: Provider, built_in: Provider | None, *, shown_as: str = ""
) -> HttpResponse:
    context = {
        "form": form,
        "entry": entry,
        "built_in": built_in,
        "shown_as": shown_as or entry.name,
        "back": built_in.pk if entry.pk is None and built_in else entry.pk,
    }
    return render(request, "providers/form.html", context, status=422 if form.is_bound else 200)


def _entry(request: SignedInRequest, pk: int) -> Provider:
    """An entry that the organization may know of: built in and not withdrawn, or its own."""
    own = Provider.objects.filter(organization=request.user.organization)
    return get_object_or_404(own | Provider.objects.filter(organization=None, is_hidden=False), pk=pk)


def _own(request: SignedInRequest, pk: int) -> Provider:
    return get_object_or_404(Provider.objects.filter(organization=request.user.organization), pk=pk)


def _asked(request: SignedInRequest, fragment: str, title: str, entry: Provider) -> HttpResponse:
    """The question for the dialog, or a page around it where its address was opened plainly."""
    organization = request.user.organization
    context = {
        "entry": entry,
        "title": title,
        "fragment": fragment,
        "mailboxes": listing.mailbox_counts_of([entry], organization)[entry.pk],
        "domain_count": entry.domains.count(),
        "back_to": reverse("providers:card", args=[entry.pk]),
        "back_label": entry.name,
    }
    return render(request, fragment if request.htmx else "providers/dialog_page.html", context)


def _went(request: SignedInRequest, url: str) -> HttpResponse:
    return HttpResponse(headers={"HX-Redirect": url}) if request.htmx else redirect(url)
