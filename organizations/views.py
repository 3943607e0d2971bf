"""The first administrator, and one's own profile. Sign-in itself is django-allauth's."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from organizations import audit
from organizations.forms import ProfileForm, SetupForm
from organizations.models import User
from organizations.setup import UnusableSetupLink, check_setup_link, use_setup_link

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
            login(request, user, backend=BACKEND)
            return redirect("home")
    except UnusableSetupLink as unusable:
        return render(request, "organizations/setup_unusable.html", {"was_used": unusable.was_used}, status=404)
    return render(request, "organizations/setup.html", {"form": form}, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    assert request.user.is_authenticated
    own = User.objects.get(pk=request.user.pk)  # a refused form must not change the name in the side bar
    form = ProfileForm(request.POST or None, instance=own)
    if form.is_valid():
        user = form.save()
        if form.changed_data:
            audit.record(
                "user.profile_changed",
                organization=user.organization,
                actor=user,
                target=user,
                detail={"fields": form.changed_data},
                request=request,
            )
        messages.success(request, "Your profile is saved.")
        return redirect("organizations:profile")
    return render(request, "organizations/profile.html", {"form": form}, status=422 if form.is_bound else 200)
