"""The wizard: address, provider or servers, password, connected (spec E1). Needs no mail server of the organization.

Every step is a form that carries what was typed before in hidden fields, so that a failure or a way back loses
nothing. The last step, which talks to the servers, lives in `wizard_connect`.
"""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.connecting import guessed_servers, obstacle
from accounts.forms import AddressForm, PasswordForm, ProviderChoiceForm, ServersForm
from organizations.requests import SignedInRequest
from providers import lookup
from providers.models import LoginRule, Provider


@require_http_methods(["GET", "POST"])
def address(request: SignedInRequest) -> HttpResponse:
    """Ask for the address, then recognise its provider."""
    if request.method == "GET":
        initial = {"address": request.GET.get("address", "")}
        return show_step(request, "address", {"form": AddressForm(initial=initial, user=request.user)})
    form = AddressForm(request.POST, user=request.user)
    if not form.is_valid():
        return show_step(request, "address", {"form": form}, status=422)
    typed = form.cleaned_data["address"]
    provider = lookup.recognise(typed, request.user.organization)
    if provider is None:
        return show_step(request, "provider", {"address": typed, "form": ProviderChoiceForm(user=request.user)})
    return _ask_password(request, typed, provider)


@require_http_methods(["GET", "POST"])
def provider(request: SignedInRequest) -> HttpResponse:
    """The provider that the person chose by hand."""
    known = AddressForm(request.POST or None, user=request.user)
    if not known.is_valid():
        return redirect("accounts:wizard")
    form = ProviderChoiceForm(request.POST, user=request.user)
    if not form.is_valid():
        return show_step(request, "provider", {"address": known.cleaned_data["address"], "form": form}, status=422)
    return _ask_password(request, known.cleaned_data["address"], form.cleaned_data["provider"])


@require_http_methods(["GET", "POST"])
def servers(request: SignedInRequest) -> HttpResponse:
    """Servers by hand, prefilled with the provider's or with the best guess from the domain."""
    known = AddressForm(request.POST or None, user=request.user)
    if not known.is_valid():
        return redirect("accounts:wizard")
    typed = known.cleaned_data["address"]
    chosen = ProviderChoiceForm(request.POST, user=request.user)
    guess = guessed_servers(typed, chosen.cleaned_data["provider"] if chosen.is_valid() else None)
    context = {
        "address": typed,
        "servers_form": ServersForm(initial=guess),
        "form": PasswordForm(initial={"display_name": display_name_for(request, typed)}),
    }
    return show_step(request, "servers", context)


def _ask_password(request: SignedInRequest, typed: str, provider: Provider) -> HttpResponse:
    if reason := obstacle(provider):
        return show_step(request, "obstacle", {"address": typed, "provider": provider, "reason": reason})
    form = PasswordForm(initial={"display_name": display_name_for(request, typed), "username": typed})
    asks_username = LoginRule.TYPED in (provider.imap_login, provider.smtp_login)
    context = {"address": typed, "provider": provider, "form": form, "asks_username": asks_username}
    return show_step(request, "password", context)


def display_name_for(request: SignedInRequest, address: str) -> str:
    """The person's own name; for an address like sales@ what stands before the @ serves better."""
    local_part = address.partition("@")[0]
    own = request.user.name.split()[:1]
    if own and own[0].lower() in local_part.lower():
        return request.user.name
    return local_part.replace(".", " ").replace("_", " ").title()


def show_step(request: SignedInRequest, name: str, context: dict[str, object], status: int = 200) -> HttpResponse:
    """One step as a fragment, or within the whole page."""
    template = f"accounts/_{name}.html"
    if not request.htmx:
        context, template = {**context, "step_template": template}, "accounts/wizard.html"
    return render(request, template, context, status=status)
