"""The wizard's last step: try both servers, telling each step as it happens, and keep the mailbox when one works."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import IntegrityError
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from accounts.checks import INCOMING_FIELDS, OUTGOING_FIELDS, reading, sending
from accounts.connecting import Servers, Wish, connect, servers_of
from accounts.forms import PasswordForm, ProviderChoiceForm, ServersForm
from accounts.models import Mailbox
from accounts.rights import Right, mailbox_or_404
from accounts.wizard import ask_password, ask_servers, known_address, refuse_typed_servers, show_step
from mailservers.checking import CheckReport
from mailservers.passwords import meant_password
from mailservers.streaming import Line, Part, stream_check
from organizations.models import Organization
from organizations.requests import SignedInRequest
from protocols.credentials import Secret
from protocols.endpoint import Protocol

ONE_USERNAME = {"username": "username"}  # a form with servers by hand asks for one name, used on both sides


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
    data = form.cleaned_data
    servers = servers_of(provider, address, data["username"])
    return Wish(address, data["display_name"], servers, _typed_password(request, data["password"], servers))


def _typed_servers(request: SignedInRequest, address: str) -> Wish | HttpResponse:
    refuse_typed_servers(request)
    servers_form, form = ServersForm(request.POST), PasswordForm(request.POST)
    if not (servers_form.is_valid() & form.is_valid()):
        return ask_servers(request, address, servers_form, form)
    data = form.cleaned_data
    servers = servers_form.servers()
    return Wish(address, data["display_name"], servers, _typed_password(request, data["password"], servers))


def _typed_password(request: SignedInRequest, text: str, servers: Servers) -> Secret:
    endpoint = servers.incoming or servers.outgoing
    host = endpoint.host if endpoint else ""
    return Secret(meant_password(text, servers.provider, host=host, organization=request.user.organization))


def _try_and_keep(request: SignedInRequest, wish: Wish) -> StreamingHttpResponse:
    """Check reading and sending apart: a mailbox that can only read is kept, and says so (spec D1)."""
    sides = _sides(request.user.organization, wish)

    def keep(reports: list[CheckReport]) -> Sequence[Line]:
        found = dict(zip(sides, reports, strict=True))
        works = {side: report.ok for side, report in found.items()}
        if not works.get("reads", works.get("sends", False)):
            return ()
        mailbox = _keep(request, wish, sends=works.get("sends", False))
        if "sends" in found and (trouble := found["sends"].diagnosis):
            mailbox.note_trouble(trouble, Protocol.SMTP, timezone.now())
        return ({"go": reverse("accounts:connected", args=[mailbox.pk])},)

    return stream_check(request, list(sides.values()), keep)


def _sides(organization: Organization, wish: Wish) -> dict[str, Part]:
    """What is to be checked, reading first. Servers from the catalog have no fields that a fix could fill."""
    servers, sides = wish.servers, {}
    by_hand = servers.provider is None
    if servers.incoming is not None:
        login = servers.incoming_login(wish.password)
        fills = INCOMING_FIELDS | ONE_USERNAME if by_hand else None
        sides["reads"] = reading(servers.incoming, login, organization, servers.provider, fills)
    if servers.outgoing is not None:
        login = servers.outgoing_login(wish.password)
        fills = OUTGOING_FIELDS | ONE_USERNAME if by_hand else None
        sides["sends"] = sending(servers.outgoing, login, organization, servers.provider, wish.address, fills)
    return sides


def _keep(request: SignedInRequest, wish: Wish, *, sends: bool) -> Mailbox:
    """Store the mailbox; a second press of the button finds the first one's."""
    user = request.user
    try:
        return connect(user, wish, sends=sends, now=timezone.now(), request=request)
    except IntegrityError:
        return Mailbox.objects.get(organization_id=user.organization_id, owner=user, address=wish.address)
