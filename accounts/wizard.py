"""The wizard: address, provider or servers, password, connected (spec E1). Needs no mail server of the organization.

Every step is a form that carries what was typed before in hidden fields, so that a failure or a way back loses
nothing. The last step, which talks to the servers, lives in `wizard_connect`.
"""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from accounts.connecting import guessed_servers, usual_display_name
from accounts.forms import AddressForm, PasswordForm, ProviderChoiceForm, ServersForm
from organizations.operations import Operation
from organizations.requests import SignedInRequest
from providers import lookup
from providers.models import LoginRule, Provider
from providers.typed_servers import may_type_servers, refuse_typed_servers


@require_http_methods(["GET", "POST"])
def address(request: SignedInRequest) -> HttpResponse:
    """Ask for the address, then recognise its provider."""
    if request.method == "GET":
        initial = {"address": request.GET.get("address", "")[:320]}
        return show_step(request, "address", {"form": AddressForm(initial=initial, user=request.user)})
    typed = known_address(request)
    if isinstance(typed, HttpResponse):
        return typed
    found = lookup.look_up(typed, request.user.organization)
    if found is None:
        return show_step(request, "provider", {"address": typed, "form": ProviderChoiceForm(user=request.user)})
    if found.is_hidden:
        may_show = request.user.may(Operation.MANAGE_EMAIL_PROVIDERS)
        context = {"address": typed, "provider": found.provider, "manages_providers": may_show}
        return show_step(request, "withheld", context)
    return ask_password(request, typed, found.provider)


@require_http_methods(["GET", "POST"])
def provider(request: SignedInRequest) -> HttpResponse:
    """The provider that the person chose by hand; without a choice the question."""
    typed = known_address(request)
    if isinstance(typed, HttpResponse):
        return typed
    form = ProviderChoiceForm(request.POST if "provider" in request.POST else None, user=request.user)
    if not form.is_valid():
        context = {"address": typed, "form": form, "is_recognised": "recognised" in request.POST}
        return show_step(request, "provider", context, status=422 if form.is_bound else 200)
    return ask_password(request, typed, form.cleaned_data["provider"])


@require_http_methods(["GET", "POST"])
def servers(request: SignedInRequest) -> HttpResponse:
    """Servers by hand, prefilled with the provider's or with the best guess from the domain."""
    typed = known_address(request)
    if isinstance(typed, HttpResponse):
        return typed
    refuse_typed_servers(request.user)
    chosen = ProviderChoiceForm(request.POST, user=request.user)
    guess = guessed_servers(typed, chosen.cleaned_data["provider"] if chosen.is_valid() else None)
    form = PasswordForm(initial={"display_name": usual_display_name(request.user, typed)})
    return ask_servers(request, typed, ServersForm(initial=guess), form)


def known_address(request: SignedInRequest) -> str | HttpResponse:
    """The address that earlier steps settled; else the first question again, with what is wrong."""
    if request.method == "GET":
        return redirect("accounts:wizard")
    form = AddressForm(request.POST, user=request.user)
    if not form.is_valid():
        return show_step(request, "address", {"form": form}, status=422)
    return str(form.cleaned_data["address"])


def ask_password(
    request: SignedInRequest, typed: str, provider: Provider, form: PasswordForm | None = None
) -> HttpResponse:
    """The second question; where the provider cannot work, the reason instead of it (spec C6)."""
    status = 422 if form is not None else 200
    if reason := provider.obstacle():
        return show_step(request, "obstacle", {"address": typed, "provider": provider, "reason": reason}, status)
    if form is None:
        form = PasswordForm(initial={"display_name": usual_display_name(request.user, typed), "username": typed})
    asks_username = LoginRule.TYPED in (provider.imap_login, provider.smtp_login)
    context = {
        "address": typed,
        "provider": provider,
        "form": form,
        "asks_username": asks_username,
        "goes_to": lookup.password_hosts(typed, provider, request.user.organization),
    }
    return show_step(request, "password", context, status)


def ask_servers(request: SignedInRequest, typed: str, servers_form: ServersForm, form: PasswordForm) -> HttpResponse:
    """Servers by hand. Where nobody knows the domain yet, they are remembered for colleagues, and that is said."""
    is_new = lookup.recognise(typed, request.user.organization) is None
    context: dict[str, object] = {"address": typed, "servers_form": servers_form, "form": form, "is_new": is_new}
    return show_step(request, "servers", context, 422 if form.is_bound else 200)


def show_step(request: SignedInRequest, name: str, context: dict[str, object], status: int = 200) -> HttpResponse:
    """One step as a fragment, or within the whole page. A reload asks for the address again, already filled in."""
    template = f"accounts/_{name}.html"
    context = {**context, "may_type_servers": may_type_servers(request.user)}
    context["domain"] = str(context.get("address", "")).rpartition("@")[2]
    if not request.htmx:
        return render(request, "accounts/wizard.html", {**context, "step_template": template}, status=status)
    response = render(request, template, context, status=status)
    if "address" in context:
        typed = urlencode({"address": context["address"]})
        response["HX-Replace-Url"] = f"{reverse('accounts:wizard')}?{typed}"
    return response
