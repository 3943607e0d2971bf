"""One's own profile (spec A6)."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from organizations import profile as own_profile
from organizations.forms import ProfileForm
from organizations.models import User
from organizations.requests import SignedInRequest


@require_http_methods(["GET", "POST"])
def profile(request: SignedInRequest) -> HttpResponse:
    own = User.objects.get(pk=request.user.pk)  # a refused form must not change the name in the side bar
    form = ProfileForm(request.POST or None, instance=own)
    if form.is_valid():
        own_profile.keep(form, request=request)
        messages.success(request, "Your profile is saved.")
        return redirect("organizations:profile")
    return render(request, "organizations/profile.html", {"form": form}, status=422 if form.is_bound else 200)
