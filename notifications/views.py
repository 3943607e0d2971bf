"""The bell, the list behind it, and what of it goes by mail too (spec A7). Everybody reads only one's own."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from notifications import choosing, reading
from notifications.forms import MailChoicesForm
from notifications.kinds import Kind
from notifications.models import Notification
from organizations.paging import newest_first
from organizations.requests import SignedInRequest, key_in


@require_GET
@vary_on_headers("HX-Request")
def notification_list(request: SignedInRequest) -> HttpResponse:
    """Newest first; with `after`, and asked by a script, only the rows that follow."""
    after = request.GET.get("after", "")
    page = newest_first(Notification.objects.of(request.user), "at", after)
    template = "notifications/_rows.html" if request.htmx and after else "notifications/list.html"
    newest = 0 if after or not page.rows else max(row.pk for row in page.rows)
    return render(request, template, {"page": page, "after": after, "newest": newest, "kinds": list(Kind)})


@require_GET
def newer(request: SignedInRequest) -> HttpResponse:
    """How many came since the list was drawn (`than`: the highest key in it), for a page that stays open."""
    than = key_in(request.GET, "than")
    count = Notification.objects.of(request.user).filter(pk__gt=than).count()
    return render(request, "notifications/_newer.html", {"newest": than, "newer": count})


@require_GET
def bell(request: SignedInRequest) -> HttpResponse:
    """The bell alone, counted anew. It stands in two places, of which one is seen: `at` says which it is for."""
    place = "top" if request.GET.get("at") == "top" else "side"
    return render(
        request,
        "notifications/_bell.html",
        {"place": place, "unread": Notification.objects.of(request.user).unread_count()},
    )


@require_GET
def open_notification(request: SignedInRequest, pk: int) -> HttpResponse:
    """Mark it as read and lead to what it is about. GET, so that links in mail and new windows work."""
    notification = get_object_or_404(Notification.objects.of(request.user), pk=pk)
    reading.read_one(notification, timezone.now())
    return redirect(notification.url)


@require_POST
def read_all(request: SignedInRequest) -> HttpResponse:
    reading.read_all(request.user, timezone.now())
    return redirect("notifications:list")


@require_http_methods(["GET", "POST"])
def settings(request: SignedInRequest) -> HttpResponse:
    form = MailChoicesForm(request.POST if request.method == "POST" else None, user=request.user)
    if form.is_valid():
        choosing.choose(request.user, form.wanted, request=request)
        messages.success(request, "Your choices are saved.")
        return redirect("notifications:settings")
    return render(request, "notifications/settings.html", {"form": form}, status=422 if form.is_bound else 200)
