"""Roles: what they are called, who is in them, what their members would lose (spec A3)."""

from __future__ import annotations

from django.db.models import Count
from django.db.models.functions import Lower
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from organizations import authority, people, role_keeping
from organizations.models import Role, User
from organizations.operations import OFFERED, Operation
from organizations.paging import by_name
from organizations.people_forms import NAME_TAKEN, RoleForm
from organizations.requests import SignedInRequest, key_in
from organizations.role_keeping import NameTaken
from organizations.roles import LastAdministrator
from organizations.views.answers import done, not_done
from organizations.views.people import manages_people

MOST_CANDIDATES = 500  # people offered in the menu; beyond that the person's own page is the way


@require_GET
@manages_people
def role_list(request: SignedInRequest) -> HttpResponse:
    roles = Role.objects.filter(organization=request.user.organization).annotate(size=Count("members"))
    roles = roles.prefetch_related("operation_grants").order_by("-is_administrators", Lower("name"))
    return render(request, "people/roles.html", {"roles": [(role, _operations(role)) for role in roles]})


@require_http_methods(["GET", "POST"])
@manages_people
def create_role(request: SignedInRequest) -> HttpResponse:
    data = request.POST if request.method == "POST" else None
    form = RoleForm(data, organization=request.user.organization)
    if form.is_valid():
        try:
            role = role_keeping.create(
                request.user.organization, form.cleaned_data["name"], by=request.user, request=request
            )
        except NameTaken:
            form.add_error("name", NAME_TAKEN)
        else:
            return done(request, f"{role} is made. Now put people into it.", "organizations:role", role.pk)
    template = "people/_role_form.html" if request.htmx else "people/role_form.html"
    return render(request, template, {"form": form}, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
@manages_people
def role(request: SignedInRequest, pk: int) -> HttpResponse:
    """One role; the form on the page renames it."""
    chosen = _role_or_404(request, pk)
    data = request.POST if request.method == "POST" else None
    if data is not None:
        authority.require(role_keeping.refusal_to_keep(request.user, chosen))
    form = RoleForm(data, organization=chosen.organization, role=chosen)
    if form.is_valid():
        try:
            role_keeping.rename(chosen, form.cleaned_data["name"], by=request.user, request=request)
        except NameTaken:
            form.add_error("name", NAME_TAKEN)
        else:
            return done(request, "The role is renamed.", "organizations:role", pk)
    after = request.GET.get("after", "")
    page = by_name(User.objects.filter(roles=chosen), after)
    context = {"role": _role_or_404(request, pk), "form": form, "page": page, "older": f"?after={page.next}"}
    context["refusal"] = authority.refusal_over_role(request.user, chosen)
    if request.htmx and after:
        return render(request, "people/_members.html", context)
    outside = User.objects.filter(organization=chosen.organization, is_active=True).exclude(roles=chosen)
    context |= {"candidates": outside.order_by(Lower("name"))[:MOST_CANDIDATES], "operations": _operations(chosen)}
    context["refusal_to_keep"] = role_keeping.refusal_to_keep(request.user, chosen)
    return render(request, "people/role.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
@manages_people
def delete_role(request: SignedInRequest, pk: int) -> HttpResponse:
    chosen = _role_or_404(request, pk)
    if request.method == "POST":
        role_keeping.delete(chosen, by=request.user, request=request)
        return done(request, f"{chosen} is deleted.", "organizations:roles")
    authority.require(role_keeping.refusal_to_keep(request.user, chosen))
    context = {"role": chosen, "size": chosen.members.count(), "operations": _operations(chosen)}
    return render(request, "people/_delete_role.html" if request.htmx else "people/delete_role.html", context)


@require_POST
@manages_people
def add_member(request: SignedInRequest, pk: int) -> HttpResponse:
    """Put the person into the role whom the form names."""
    chosen = _role_or_404(request, pk)
    if not request.POST.get("person"):
        return not_done(request, "Choose a person first.", "organizations:role", pk)
    person = get_object_or_404(User, organization=request.user.organization, pk=key_in(request.POST, "person"))
    people.join_role(person, chosen, by=request.user, request=request)
    return done(request, f"{person} is in {chosen} now.", "organizations:role", pk)


@require_POST
@manages_people
def remove_member(request: SignedInRequest, pk: int, person_pk: int) -> HttpResponse:
    chosen = _role_or_404(request, pk)
    person = get_object_or_404(User, organization=request.user.organization, pk=person_pk)
    try:
        people.leave_role(person, chosen, by=request.user, request=request)
    except LastAdministrator as refusal:
        return not_done(request, str(refusal.message), "organizations:role", pk)
    if not User.objects.get(pk=request.user.pk).may(Operation.MANAGE_PEOPLE):  # one's own way in
        return done(request, f"You are no longer in {chosen}.", "home")
    return done(request, f"{person} is no longer in {chosen}.", "organizations:role", pk)


def _operations(role: Role) -> list[Operation]:
    if role.is_administrators:
        return list(OFFERED)
    held = {grant.operation for grant in role.operation_grants.all()}
    return [operation for operation in OFFERED if operation in held]


def _role_or_404(request: SignedInRequest, pk: int) -> Role:
    return get_object_or_404(Role, organization=request.user.organization, pk=pk)
