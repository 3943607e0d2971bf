"""The suppression list: who gets no mail, why, and how that ends (spec I7)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods
from django.views.decorators.vary import vary_on_headers

from delivery import suppression
from delivery.bounce_words import cause_of
from delivery.explaining import readable_reports
from delivery.models import OutboxMessage, Suppression
from delivery.states import Cause
from delivery.suppression_forms import SuppressionFilterForm, SuppressionForm
from organizations import audit, spreadsheets
from organizations.caching import private
from organizations.models import User
from organizations.operations import Operation
from organizations.paging import newest_first
from organizations.permissions import operation_required
from organizations.requests import SignedInRequest

managed = operation_required(Operation.MANAGE_EMAIL_ACCOUNTS)


@dataclass(frozen=True, slots=True)
class Line:
    """One address of the list. report, mail: pages that this person may open; "" and None where there are none."""

    suppression: Suppression
    report: str
    mail: int | None

    @property
    def why(self) -> str:
        return suppression.why(self.suppression)

    @property
    def more(self) -> str:
        """What the tag beside it does not say."""
        if self.suppression.cause == Cause.BOUNCE:
            return f"{cause_of(self.suppression.reason)} {self.suppression.note}".strip()
        return self.suppression.note


@require_GET
@managed
@private
@vary_on_headers("HX-Request")
def list_(request: SignedInRequest) -> HttpResponse:
    form = SuppressionFilterForm(request.GET)
    filters = form.filters()
    found = suppression.search(request.user.organization, filters).select_related("added_by")
    after = request.GET.get("after", "")
    page = newest_first(found, "since", after)
    query = request.GET.copy()
    query["after"] = page.next
    context = {
        "form": form,
        "filters": filters,
        "lines": _lines(page.rows, request.user),
        "next": page.next,
        "older": f"?{query.urlencode()}",
    }
    if request.htmx and after:
        return render(request, "delivery/_suppression_rows.html", context)
    query.pop("after")
    context["query"] = query.urlencode()
    return render(request, "delivery/suppressions.html", context)


@require_GET
@managed
def export(request: SignedInRequest) -> HttpResponseBase:
    """All addresses that the filters leave, as CSV; that it was taken stands in the audit log."""
    organization = request.user.organization
    filters = SuppressionFilterForm(request.GET).filters()
    audit.record(
        "suppression.exported",
        organization=organization,
        actor=request.user,
        target=organization,
        detail={name: value for name, value in (("search", filters.text), ("cause", filters.cause)) if value},
        request=request,
    )
    name = f"suppression-list-{timezone.localdate():%Y-%m-%d}.csv"
    return spreadsheets.answer(request, suppression.as_csv(suppression.search(organization, filters)), name)


@require_http_methods(["GET", "POST"])
@managed
def add(request: SignedInRequest) -> HttpResponse:
    """`?address=` fills the form in, for an address that a report speaks of."""
    if request.method == "GET":
        form = SuppressionForm(initial={"addresses": request.GET.get("address", "")[:320].replace("\0", "")})
        return _shown(request, "delivery/_suppression_add.html", "Add addresses", {"form": form})
    form = SuppressionForm(request.POST)
    if not form.is_valid():
        return _shown(request, "delivery/_suppression_add.html", "Add addresses", {"form": form}, status=422)
    addresses: list[str] = form.cleaned_data["addresses"]
    added = suppression.add(addresses, form.cleaned_data["note"], request.user, timezone.now(), request)
    return _done(request, _told(added, len(addresses)))


@require_http_methods(["GET", "POST"])
@managed
def remove(request: SignedInRequest, pk: int) -> HttpResponse:
    own = Suppression.objects.of(request.user.organization).select_related("added_by", "organization")
    row = get_object_or_404(own, pk=pk)
    if request.method == "GET":
        [line] = _lines([row], request.user)
        return _shown(request, "delivery/_suppression_remove.html", "Take off the list", {"line": line})
    suppression.remove(row, request.user, request)
    return _done(request, f"Mail to {row} goes out again.")


def _lines(rows: Sequence[Suppression], user: User) -> list[Line]:
    """Rows with the pages behind them that `user` may open. Two queries, however many rows there are."""
    now = timezone.now()
    reports = readable_reports([row.report_id for row in rows], user, now)
    mails = [row.message_id for row in rows if row.message_id is not None]
    visible = set(OutboxMessage.objects.visible_to(user, now).filter(pk__in=mails).values_list("pk", flat=True))
    return [
        Line(row, reports.get(row.report_id or 0, ""), row.message_id if row.message_id in visible else None)
        for row in rows
    ]


def _told(added: int, asked: int) -> str:
    if not added:
        return "Nothing was added: all of it stands on the list already."
    told = "1 address gets no mail any more." if added == 1 else f"{added:,} addresses get no mail any more."
    known = asked - added
    return f"{told} {known:,} stood there already." if known else told


def _shown(
    request: SignedInRequest, fragment: str, title: str, context: dict[str, object], *, status: int = 200
) -> HttpResponse:
    """The fragment for the dialog, or a page around it where its address was opened plainly."""
    context |= {"title": title, "fragment": fragment}
    return render(request, fragment if request.htmx else "delivery/suppression_dialog.html", context, status=status)


def _done(request: SignedInRequest, sentence: str) -> HttpResponse:
    """Close the dialog over the list; from elsewhere, back to the page that it was opened on."""
    if not request.htmx:
        messages.success(request, sentence)
        return redirect("delivery:suppressions")
    news: dict[str, object] = {"dialog:close": {}, "toast": {"text": sentence, "kind": "good"}}
    return HttpResponse(status=204, headers={"HX-Trigger": json.dumps({**news, "suppressions:changed": {}})})
