"""The people of an organization: the list, one person, and what is decided about her (spec A2 to A4)."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from organizations import account_mail, authority, departures, links, new_address, people
from organizations.fields import refuse_control_characters
from organizations.models import AddressChange, Invitation, OperationGrant, Role, User
from organizations.operations import OFFERED, Operation
from organizations.paging import Page, by_name, newest_first
from organizations.people_forms import PersonForm
from organizations.permissions import operation_required
from organizations.plain_words import PlainWords
from organizations.requests import SignedInRequest, key_in
from organizations.roles import LastAdministrator
from organizations.views.answers import done, not_done

STATES = (("", "Everybody"), ("active", "Active"), ("invited", "Invited"), ("deactivated", "Deactivated"))
manages_people = operation_required(Operation.MANAGE_PEOPLE)


class SearchForm(PlainWords, forms.Form):
    q = forms.CharField(required=False, max_length=200, validators=[refuse_control_characters])
    state = forms.ChoiceField(required=False, choices=STATES)


@require_GET
@manages_people
@vary_on_headers("HX-Request")
def people_list(request: SignedInRequest) -> HttpResponse:
    form = SearchForm(request.GET)
    valid = form.is_valid()
    text, state = (form.cleaned_data["q"], form.cleaned_data["state"]) if valid else ("", "")
    after = request.GET.get("after", "")
    found = people.search(request.user.organization, text).prefetch_related("roles")
    if state in ("active", "deactivated"):
        found = found.filter(is_active=state == "active")
    page: Page[User] = Page([]) if state == "invited" or not valid else by_name(found, after)
    query = request.GET.copy()
    query["after"] = page.next
    context = {"form": form, "page": page, "older": f"?{query.urlencode()}", "text": text, "state": state}
    if request.htmx and after:
        return render(request, "people/_rows.html", context)
    context |= {"states": STATES, "account_mail": account_mail.describe()}
    context["invitations"] = _invitations(request, text) if valid and not after and state in ("", "invited") else []
    return render(request, "people/list.html", context)


def _invitations(request: SignedInRequest, text: str) -> list[Invitation]:
    """The open ones, newest first; those whose roles are not the reader's to give have a `refusal`."""
    found: QuerySet[Invitation] = Invitation.objects.open().filter(organization=request.user.organization)
    if text:
        found = found.filter(name__icontains=text) | found.filter(email__icontains=text)
    shown = newest_first(found.prefetch_related("roles").select_related("invited_by"), "created_at", size=200).rows
    refusals = authority.refusals_over_roles(request.user, {role for each in shown for role in each.roles.all()})
    now = timezone.now()
    for each in shown:
        each.refusal = next((refusals[role.pk] for role in each.roles.all() if role.pk in refusals), "")  # type: ignore[attr-defined]
        each.has_expired = each.expires_at <= now  # type: ignore[attr-defined]
    return shown


@require_http_methods(["GET", "POST"])
@manages_people
def person(request: SignedInRequest, pk: int) -> HttpResponse:
    """One person; the form on the page changes name and address."""
    chosen = _person_or_404(request, pk)
    data = request.POST if request.method == "POST" else None
    if data is not None:
        authority.require(authority.refusal_to_change(request.user, chosen))
    form = PersonForm(data, person=chosen, user=request.user)
    if form.is_valid():
        people.rename(chosen, form.cleaned_data["name"], by=request.user, request=request)
        if form.cleaned_data["email"] == chosen.email:
            return done(request, f"{chosen} is saved.", "organizations:person", chosen.pk)
        return _ask_for_address(request, chosen, form.cleaned_data["email"])
    return render(request, "people/person.html", _story(request, chosen, form), status=422 if form.is_bound else 200)


def _ask_for_address(request: SignedInRequest, person: User, email: str) -> HttpResponse:
    wish, token = new_address.ask(person, email, by=request.user, now=timezone.now(), request=request)
    link = links.origin(request) + reverse("organizations:confirm-address", args=[token])
    if failure := new_address.mail(wish, link):
        messages.warning(request, f"Saved, but the mail to {email} did not leave. {failure}")
        return redirect("organizations:person", person.pk)
    return done(request, f"Saved. {email} counts once its link is opened.", "organizations:person", person.pk)


@require_POST
@manages_people
def withdraw_address(request: SignedInRequest, pk: int) -> HttpResponse:
    """Let the person keep the address; the link that was mailed to the new one ends."""
    chosen = _person_or_404(request, pk)
    if not new_address.withdraw(chosen, by=request.user, request=request):
        return not_done(request, "The new address was confirmed or withdrawn meanwhile.", "organizations:person", pk)
    return done(request, f"{chosen} keeps {chosen.email}.", "organizations:person", pk)


def _story(request: SignedInRequest, person: User, form: PersonForm) -> dict[str, object]:
    roles = list(person.roles.order_by("-is_administrators", "name"))
    others = Role.objects.filter(organization=person.organization).exclude(pk__in=[role.pk for role in roles])
    refusals = authority.refusals_over_roles(request.user, [*roles, *others])
    grants = OperationGrant.objects.reaching(person).select_related("role")
    return {
        "person": User.objects.get(pk=person.pk),  # as stored, whatever was typed
        "form": form,
        "roles": [(role, refusals.get(role.pk, "")) for role in roles],
        "other_roles": [role for role in others.order_by("is_administrators", "name") if role.pk not in refusals],
        "operations": _operations(person, list(grants)),
        "wish": AddressChange.objects.filter(user=person, expires_at__gt=timezone.now()).first(),
        "may_readdress": not form.fields["email"].disabled,
        "is_self": person.pk == request.user.pk,
        "refusal": authority.refusal_to_change(request.user, person),
    }


def _operations(person: User, grants: list[OperationGrant]) -> list[tuple[Operation, str]]:
    """What the person may do, and why."""
    if person.is_administrator:
        return [(operation, "as an administrator") for operation in OFFERED]
    reasons: dict[Operation, list[str]] = {}
    for grant in grants:
        source = f"through {grant.role}" if grant.role else "given to the person"
        reasons.setdefault(Operation(grant.operation), []).append(source)
    return [(operation, ", ".join(reasons[operation])) for operation in OFFERED if operation in reasons]


@require_http_methods(["GET", "POST"])
@manages_people
def deactivate(request: SignedInRequest, pk: int) -> HttpResponse:
    chosen = _person_or_404(request, pk)
    if request.method == "POST":
        try:
            people.deactivate(chosen, by=request.user, now=timezone.now(), request=request)
        except LastAdministrator as refusal:
            return not_done(request, str(refusal.message), "organizations:person", pk)
        return done(request, f"{chosen} can no longer sign in.", "organizations:person", pk)
    authority.require(authority.refusal_to_end(request.user, chosen))
    return render(request, _template(request, "deactivate"), {"person": chosen, "stops": departures.what_stops(chosen)})


@require_POST
@manages_people
def reactivate(request: SignedInRequest, pk: int) -> HttpResponse:
    chosen = _person_or_404(request, pk)
    people.reactivate(chosen, by=request.user, request=request)
    return done(request, f"{chosen} can sign in again, with the password from before.", "organizations:person", pk)


@require_http_methods(["GET", "POST"])
@manages_people
def remove(request: SignedInRequest, pk: int) -> HttpResponse:
    chosen = _person_or_404(request, pk)
    if request.method == "POST":
        name = str(chosen)
        try:
            people.remove(chosen, by=request.user, now=timezone.now(), request=request)
        except LastAdministrator as refusal:
            return not_done(request, str(refusal.message), "organizations:person", pk)
        return done(request, f"{name} is removed.", "organizations:people")
    authority.require(authority.refusal_to_end(request.user, chosen))
    return render(request, _template(request, "remove"), {"person": chosen, "lost": departures.what_is_lost(chosen)})


@require_POST
@manages_people
def join_role(request: SignedInRequest, pk: int) -> HttpResponse:
    """Put the person into the role that the form names."""
    chosen = _person_or_404(request, pk)
    if not request.POST.get("role"):
        return not_done(request, "Choose a role first.", "organizations:person", pk)
    role = _role_or_404(request, key_in(request.POST, "role"))
    people.join_role(chosen, role, by=request.user, request=request)
    return done(request, f"{chosen} is in {role} now.", "organizations:person", pk)


@require_POST
@manages_people
def leave_role(request: SignedInRequest, pk: int, role_pk: int) -> HttpResponse:
    chosen, role = _person_or_404(request, pk), _role_or_404(request, role_pk)
    try:
        people.leave_role(chosen, role, by=request.user, request=request)
    except LastAdministrator as refusal:
        return not_done(request, str(refusal.message), "organizations:person", pk)
    if not User.objects.get(pk=request.user.pk).may(Operation.MANAGE_PEOPLE):  # one's own way in
        return done(request, f"You are no longer in {role}.", "home")
    return done(request, f"{chosen} is no longer in {role}.", "organizations:person", pk)


def _person_or_404(request: SignedInRequest, pk: int) -> User:
    return get_object_or_404(User, organization=request.user.organization, pk=pk)


def _role_or_404(request: SignedInRequest, pk: int) -> Role:
    return get_object_or_404(Role, organization=request.user.organization, pk=pk)


def _template(request: SignedInRequest, name: str) -> str:
    """The fragment for the dialog, or the page around it for the plain address."""
    return f"people/_{name}.html" if request.htmx else f"people/{name}.html"
