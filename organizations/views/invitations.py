"""Inviting people, and what becomes of the links (spec A5)."""

from __future__ import annotations

from functools import partial

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from organizations import authority, invitations, links
from organizations.invitations import CannotInvite, UnusableInvitation
from organizations.models import Invitation
from organizations.people_forms import InviteForm
from organizations.requests import SignedInRequest
from organizations.views.answers import done, not_done
from organizations.views.people import manages_people

GONE = "This invitation was accepted or withdrawn meanwhile."


@require_http_methods(["GET", "POST"])
@manages_people
@never_cache
def invite(request: SignedInRequest) -> HttpResponse:
    """Ask for name, address and roles; then show the link, which can be shown only now."""
    form = InviteForm(request.POST if request.method == "POST" else None, user=request.user)
    if form.is_valid():
        try:
            invitation, token = invitations.invite(
                request.user.organization,
                name=form.cleaned_data["name"],
                email=form.cleaned_data["email"],
                roles=form.cleaned_data["roles"],
                by=request.user,
                now=timezone.now(),
                request=request,
            )
        except CannotInvite as exc:
            form.add_error("email", str(exc))
        else:
            return _show_link(request, invitation, token, by_mail=True)
    return render(request, _template(request, "invite"), {"form": form}, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
@manages_people
@never_cache
def renew(request: SignedInRequest, pk: int) -> HttpResponse:
    """Make a new link and send it, or only show it; the older link ends."""
    invitation = _open_or_404(request, pk)
    if request.method == "POST":
        try:
            token = invitations.renew(invitation, by=request.user, now=timezone.now(), request=request)
        except UnusableInvitation:
            return not_done(request, GONE, "organizations:people")
        return _show_link(request, invitation, token, by_mail="show" not in request.POST)
    authority.require(_refusal(request, invitation))
    return render(request, _template(request, "renew"), {"invitation": invitation})


@require_http_methods(["GET", "POST"])
@manages_people
def withdraw(request: SignedInRequest, pk: int) -> HttpResponse:
    invitation = _open_or_404(request, pk)
    if request.method == "POST":
        if not invitations.withdraw(invitation, by=request.user, now=timezone.now(), request=request):
            return not_done(request, GONE, "organizations:people")
        return done(request, f"The invitation of {invitation.name} is withdrawn.", "organizations:people")
    authority.require(_refusal(request, invitation))
    return render(request, _template(request, "withdraw"), {"invitation": invitation})


def _show_link(request: SignedInRequest, invitation: Invitation, token: str, *, by_mail: bool) -> HttpResponse:
    link_of = partial(invitation_link, request)
    failure = invitations.mail(invitation, link_of, now=timezone.now()) if by_mail else ""
    invitation.refresh_from_db()
    context = {"invitation": invitation, "link": link_of(token), "failure": failure, "by_mail": by_mail}
    context["wants_mail"] = invitations.wants_mail(invitation, token)
    return render(request, _template(request, "link"), context)


def invitation_link(request: HttpRequest, token: str) -> str:
    return links.origin(request) + reverse("organizations:invitation", args=[token])


def _refusal(request: SignedInRequest, invitation: Invitation) -> str:
    refusals = authority.refusals_over_roles(request.user, invitation.roles.all())
    return next(iter(refusals.values()), "")


def _open_or_404(request: SignedInRequest, pk: int) -> Invitation:
    return get_object_or_404(Invitation.objects.open().filter(organization=request.user.organization), pk=pk)


def _template(request: SignedInRequest, name: str) -> str:
    return f"people/_{name}.html" if request.htmx else f"people/{name}.html"
