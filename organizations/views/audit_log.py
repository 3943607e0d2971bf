"""The audit log as a page and as a file (spec A8)."""

from __future__ import annotations

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from organizations import audit, audit_log, spreadsheets
from organizations.audit_forms import AuditFilterForm
from organizations.models import AuditEntry
from organizations.paging import newest_first
from organizations.requests import SignedInRequest
from organizations.views.people import manages_people


@require_GET
@manages_people
@vary_on_headers("HX-Request")
def audit_log_page(request: SignedInRequest) -> HttpResponse:
    form, filters = _asked(request)
    after = request.GET.get("after", "")
    page = newest_first(audit_log.search(request.user.organization, filters), "at", after)
    query = request.GET.copy()
    query["after"] = page.next
    context = {"form": form, "page": page, "older": f"?{query.urlencode()}", "filters": filters}
    if request.htmx and after:
        return render(request, "people/_audit_rows.html", context)
    query.pop("after")
    context["query"] = query.urlencode()
    context["about"] = _about(page.rows) if filters.object_type else ""
    return render(request, "people/audit_log.html", context)


@require_GET
@manages_people
def audit_log_export(request: SignedInRequest) -> HttpResponseBase:
    """All entries that the filters leave, as CSV; that it was taken is an entry too."""
    form, filters = _asked(request)
    entry = audit.record(
        "audit.exported",
        organization=request.user.organization,
        actor=request.user,
        target=request.user.organization,
        detail={name: str(value) for name, value in form.cleaned_data.items() if value not in ("", None)},
        request=request,
    )
    found = audit_log.search(request.user.organization, filters).filter(
        pk__lte=entry.pk
    )  # what comes meanwhile is left
    name = f"audit-log-{timezone.localdate():%Y-%m-%d}.csv"
    return spreadsheets.answer(request, audit_log.as_csv(found, request.user), name)


def _asked(request: SignedInRequest) -> tuple[AuditFilterForm, audit_log.Filters]:
    form = AuditFilterForm(request.GET, organization=request.user.organization)
    return form, form.filters()


def _about(rows: list[AuditEntry]) -> str:
    return rows[0].object_label if rows else "something that is not in the log"
