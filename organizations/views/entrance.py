"""How people come in: the first administrator's link, and invitations. Sign-in itself is django-allauth's."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from organizations import invitations, new_address, notices, throttle
from organizations.forms import JoinForm, SetupForm
from organizations.invitations import UnusableInvitation
from organizations.models import Invitation, User
from organizations.setup import UnusableSetupLink, check_setup_link, use_setup_link
from organizations.views.invitations import invitation_link

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@login_not_required
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def setup(request: HttpRequest, token: str) -> HttpResponse:
    form = SetupForm(request.POST or None)
    try:
        check_setup_link(token)
        if form.is_valid():
            user = use_setup_link(token, form.first_administrator(), now=timezone.now(), request=request)
            return _let_in(request, user)
    except UnusableSetupLink as unusable:
        return render(request, "organizations/setup_unusable.html", {"was_used": unusable.was_used}, status=404)
    return render(request, "organizations/setup.html", {"form": form}, status=422 if form.is_bound else 200)


@login_not_required
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Where the invited person chooses a password and comes in, or is mailed a link that proves more."""
    try:
        found = invitations.find(token, timezone.now())
        if invitations.wants_mail(found, token):
            return _prove_by_mail(request, found, token)
        data = request.POST if request.method == "POST" else None
        form = JoinForm(data, email=found.email, initial={"name": found.name, "time_zone": "UTC"})
        if form.is_valid():
            user = invitations.accept(token, form.newcomer(), now=timezone.now(), request=request)
            return _let_in(request, user)
    except UnusableInvitation as unusable:
        return render(request, "people/invitation_unusable.html", {"reason": unusable.reason}, status=404)
    context = {"form": form, "invitation": found}
    return render(request, "people/invitation.html", context, status=422 if form.is_bound else 200)


def _let_in(request: HttpRequest, user: User) -> HttpResponse:
    login(request, user, backend=BACKEND)
    response = redirect("home")
    throttle.remember(request, response, user)
    return response


def _prove_by_mail(request: HttpRequest, invitation: Invitation, token: str) -> HttpResponse:
    """The answer is the same whether the address signs in elsewhere or not."""
    context: dict[str, object] = {"invitation": invitation}
    if request.method == "POST":
        link_of = partial(invitation_link, request)
        failure = invitations.mail_to_reader(invitation, link_of, now=timezone.now())
        invitation.refresh_from_db()
        if failure and not invitations.wants_mail(invitation, token):
            return redirect(request.path)  # it did not leave, so the link counts by itself
        context |= {"is_sent": not failure, "has_failed": bool(failure)}
    return render(request, "people/invitation_passed_on.html", context)


@login_not_required
@never_cache
@require_http_methods(["GET", "POST"])
def confirm_address(request: HttpRequest, token: str) -> HttpResponse:
    """What the mail to a new address leads to: it counts once the button is pressed. Mail scanners only look."""
    try:
        wish = new_address.find(token, timezone.now())
        if request.method == "GET":
            return render(request, "people/confirm_address.html", {"wish": wish})
        person, before = new_address.confirm(token, now=timezone.now(), request=request)
    except new_address.UnknownLink:
        return render(request, "people/address_unknown.html", status=404)
    except new_address.AddressTaken:
        return render(request, "people/address_taken.html", {"wish": wish}, status=409)
    notices.tell_of_new_address(person, before)
    messages.success(request, f"From now on you sign in as {person.email}.")
    return redirect("home")
