"""The wizard's last step: try both servers, telling each step as it happens, and keep the mailbox when one works."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import IntegrityError
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from accounts.checks import reading, sending
from accounts.connecting import Servers, connect, obstacle, servers_of, typed_password
from accounts.forms import AddressForm, PasswordForm, ProviderChoiceForm, ServersForm
from accounts.models import Mailbox
from accounts.rights import Right, mailbox_or_404
from accounts.wizard import show_step
from mailservers.checking import CheckReport
from mailservers.streaming import Line, Part, stream_check
from organizations.models import Organization, User
from organizations.requests import SignedInRequest
from protocols.credentials import Secret
from providers.models import LoginRule


@dataclass(frozen=True, slots=True)
class Wish:
    """A mailbox as it was typed, complete and valid, but not tried yet."""

    address: str
    display_name: str
    servers: Servers
    password: Secret


@require_http_methods(["GET", "POST"])
def attempt(request: SignedInRequest) -> HttpResponse | StreamingHttpResponse:
    known = AddressForm(request.POST or None, user=request.user)
    if not known.is_valid():
        return (
            redirect("accounts:wizard") if not known.is_bound else show_step(request, "address", {"form": known}, 422)
        )
    address = known.cleaned_data["address"]
    manual = "manual" in request.POST
    wish = _typed_servers(request, address) if manual else _chosen_provider(request, address)
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
    if reason := obstacle(provider):
        return show_step(request, "obstacle", {"address": address, "provider": provider, "reason": reason}, 422)
    if not form.is_valid():
        asks_username = LoginRule.TYPED in (provider.imap_login, provider.smtp_login)
        context = {"address": address, "provider": provider, "form": form, "asks_username": asks_username}
        return show_step(request, "password", context, 422)
    data = form.cleaned_data
    servers = servers_of(provider, address, data["username"])
    return Wish(address, data["display_name"], servers, typed_password(data["password"], provider))


def _typed_servers(request: SignedInRequest, address: str) -> Wish | HttpResponse:
    servers_form, form = ServersForm(request.POST), PasswordForm(request.POST)
    if not (servers_form.is_valid() & form.is_valid()):
        context = {"address": address, "servers_form": servers_form, "form": form}
        return show_step(request, "servers", context, 422)
    data = form.cleaned_data
    return Wish(address, data["display_name"], servers_form.servers(), Secret(data["password"]))


def _try_and_keep(request: SignedInRequest, wish: Wish) -> StreamingHttpResponse:
    """Check reading and sending apart: a mailbox that can only read is kept, and says so (spec D1)."""
    sides = _sides(request.user.organization, wish)

    def keep(reports: list[CheckReport]) -> Sequence[Line]:
        works = {side: report.ok for side, report in zip(sides, reports, strict=True)}
        if not works.get("reads", works.get("sends", False)):
            return ()
        mailbox = _keep(request.user, wish, sends=works.get("sends", False))
        return ({"go": reverse("accounts:connected", args=[mailbox.pk])},)

    return stream_check(request, list(sides.values()), keep)


def _sides(organization: Organization, wish: Wish) -> dict[str, Part]:
    """What is to be checked, reading first."""
    servers, sides = wish.servers, {}
    if servers.incoming is not None:
        login = servers.incoming_login(wish.password)
        sides["reads"] = reading(servers.incoming, login, organization, servers.provider)
    if servers.outgoing is not None:
        login = servers.outgoing_login(wish.password)
        sides["sends"] = sending(servers.outgoing, login, organization, servers.provider, wish.address)
    return sides


def _keep(user: User, wish: Wish, *, sends: bool) -> Mailbox:
    """Store the mailbox; a second press of the button finds the first one's."""
    try:
        return connect(
            user, wish.address, wish.display_name, wish.servers, wish.password, sends=sends, now=timezone.now()
        )
    except IntegrityError:
        return Mailbox.objects.get(organization_id=user.organization_id, owner=user, address=wish.address)
