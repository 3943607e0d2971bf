"""The table of operations: rows of roles and people, columns of operations, each tick saved at once (spec A4)."""

from __future__ import annotations

import json

from django.db.models.functions import Lower
from django.http import HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods
from django.views.decorators.vary import vary_on_headers

from organizations import granting, matrix, people
from organizations.models import Role, User
from organizations.operations import OFFERED, Operation
from organizations.paging import by_name
from organizations.requests import SignedInRequest, key_in
from organizations.views.people import SearchForm, manages_people


@require_http_methods(["GET", "POST"])
@manages_people
@vary_on_headers("HX-Request")
def operations(request: SignedInRequest) -> HttpResponse:
    if request.method == "POST":
        return _tick(request)
    form = SearchForm(request.GET)
    text = form.cleaned_data["q"] if form.is_valid() else ""
    after = request.GET.get("after", "")
    found = people.search(request.user.organization, text).filter(is_active=True)
    page = by_name(found, after)
    query = request.GET.copy()
    query.pop("part", None)
    query["after"] = page.next
    context = {
        "form": form,
        "text": text,
        "page": page,
        "older": f"?{query.urlencode()}",
        "operations": OFFERED,
    }
    context["people"] = matrix.person_rows(page.rows, request.user)
    if request.htmx and (after or request.GET.get("part") == "people"):
        return render(request, "people/_operation_people.html", context)
    roles = Role.objects.filter(organization=request.user.organization).order_by("-is_administrators", Lower("name"))
    context["roles"] = matrix.role_rows(roles, request.user)
    return render(request, "people/operations.html", context)


def _tick(request: SignedInRequest) -> HttpResponse:
    """Give or take one operation, and answer with the row as it stands now."""
    operation = request.POST.get("operation", "")
    if operation not in OFFERED:
        return HttpResponseBadRequest("There is no such operation.")
    holder = _holder_or_404(request)
    act, verb = (granting.give, "may now") if request.POST.get("granted") else (granting.take, "may no longer")
    chosen = Operation(operation)
    act(chosen, holder, by=request.user, request=request)
    reader = User.objects.get(pk=request.user.pk)
    if isinstance(holder, Role):
        [row] = matrix.role_rows(Role.objects.filter(pk=holder.pk), reader)
    else:
        [row] = matrix.person_rows([User.objects.get(pk=holder.pk)], reader)
    answer = render(request, "people/_operation_row.html", {"row": row, "operations": OFFERED})
    words = f"{holder} {verb} {chosen.label[:1].lower()}{chosen.label[1:]}."
    triggers: dict[str, object] = {"toast": {"text": words, "kind": "good"}}
    if isinstance(holder, Role):
        triggers["operations:changed"] = {}  # what people have through it
    answer["HX-Trigger"] = json.dumps(triggers)
    return answer


def _holder_or_404(request: SignedInRequest) -> User | Role:
    if "role" in request.POST:
        return get_object_or_404(Role, organization=request.user.organization, pk=key_in(request.POST, "role"))
    return get_object_or_404(User, organization=request.user.organization, pk=key_in(request.POST, "person"))
