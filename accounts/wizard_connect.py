"""The wizard's last step: try both servers, telling each step as it happens, and keep the mailbox when one works."""

from __future__ import annotations

from collections.abc import Sequence

from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from accounts.attempting import conclude, parts_of, wish_at, wish_by_hand
from accounts.connecting import Wish
from accounts.forms import PasswordForm, ProviderChoiceForm, ServersForm
from accounts.rights import Right, mailbox_or_404
from accounts.wizard import ask_password, ask_servers, known_address, show_step
from mailservers.checking import CheckReport
from mailservers.streaming import Line, stream_check
from organizations.requests import SignedInRequest
from providers.typed_servers import refuse_typed_servers


@require_http_methods(["GET", "POST"])
def attempt(request: SignedInRequest) -> HttpResponse | StreamingHttpResponse:
    address = known_address(request)
    if isinstance(address, HttpResponse):
        return address
    wish = (_typed_servers if "manual" in request.POST else _chosen_provider)(request, address)
    return wish if isinstance(wish, HttpResponse) else _try_and_keep(request, wish)


@require_GET
def connected(request: SignedInRequest, pk: int) -> HttpResponse:
    """What was connected, with its default parameters, and what to do next (spec E2)."""
    mailbox = mailbox_or_404(request.user, pk, Right.SETUP)
    return render(request, "accounts/connected.html", {"mailbox": mailbox})


def _chosen_provider(request: SignedInRequest, address: str) -> Wish | HttpResponse:
    choice = ProviderChoiceForm(request.POST, user=request.user)
    form = PasswordForm(request.POST)
    if not choice.is_valid():
        return show_step(request, "provider", {"address": address, "form": choice}, 422)
    provider = choice.cleaned_data["provider"]
    if provider.obstacle() or not form.is_valid():
        return ask_password(request, address, provider, form)
    return wish_at(provider, address, form, request.user.organization)


def _typed_servers(request: SignedInRequest, address: str) -> Wish | HttpResponse:
    refuse_typed_servers(request.user)
    servers_form, form = ServersForm(request.POST), PasswordForm(request.POST)
    if not (servers_form.is_valid() & form.is_valid()):
        return ask_servers(request, address, servers_form, form)
    return wish_by_hand(servers_form, address, form, request.user.organization)


def _try_and_keep(request: SignedInRequest, wish: Wish) -> StreamingHttpResponse:
    parts = parts_of(wish, request.user.organization)

    def keep(reports: list[CheckReport]) -> Sequence[Line]:
        mailbox = conclude(request.user, wish, dict(zip(parts, reports, strict=True)), request)
        return ({"go": reverse("accounts:connected", args=[mailbox.pk])},) if mailbox is not None else ()

    return stream_check(request, list(parts.values()), keep)
