"""The access page of a mailbox: who may use it, what they may do, and why (spec F1 to F4)."""

from __future__ import annotations

import json

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import HttpResponseClientRedirect

from accounts import sharing_people
from accounts.dialogs import changeable_or_404
from accounts.models import Mailbox, MailboxGrant
from accounts.rights import Right
from accounts.settings_audit import note_reading
from accounts.sharing import WHO_SHARES, CannotShare, Giver, MayNotShare, Sharing
from accounts.sharing_form import EndForm, GiveForm, find_candidates
from accounts.sharing_words import last_day
from organizations.requests import SignedInRequest


@require_GET
@vary_on_headers("HX-Request", "HX-Target")
def access(request: SignedInRequest, pk: int) -> HttpResponse:
    """Whoever may change its settings sees who may use the mailbox; to change that needs more (`Giver`)."""
    mailbox = changeable_or_404(request, pk)
    fragment = request.htmx and request.htmx.target == "access"
    if not fragment:
        note_reading(request, mailbox, request.user)
    template = "accounts/_access.html" if fragment else "accounts/access.html"
    return render(request, template, _context(request, mailbox))


@require_POST
def switch(request: SignedInRequest, pk: int) -> HttpResponse:
    """Allow shared access, or stop it."""
    sharing = _sharing(request, pk)
    return _changed(request, sharing, sharing.switch(on="on" in request.POST))


@require_http_methods(["GET", "POST"])
def add(request: SignedInRequest, pk: int) -> HttpResponse:
    """The dialog behind the plus: choose people and roles, and what they may do."""
    sharing = _sharing(request, pk)
    form = GiveForm(request.POST if request.method == "POST" else None, mailbox=sharing.mailbox)
    if form.is_bound and form.is_valid():
        try:
            told = sharing.give(form.cleaned_data["to"], form.cleaned_data["rights"], form.ends_at)
        except CannotShare as exc:
            form.refuse(exc)
        else:
            return _changed(request, sharing, told)
    context = {
        "form": form,
        "candidates": find_candidates(sharing.mailbox, "", form.chosen),
        "rights": [right for right in Right if right in _giver(sharing).until],
    }
    return _dialog(request, "accounts/_access_add.html", sharing.mailbox, context, is_refused=form.is_bound)


@require_GET
def candidates(request: SignedInRequest, pk: int) -> HttpResponse:
    """`?q=` finds people and roles for the dialog; those already ticked (`?to=`) stay on top."""
    mailbox = _sharing(request, pk).mailbox
    text = request.GET.get("q", "")
    found = find_candidates(mailbox, text, request.GET.getlist("to")[:50])
    return render(request, "accounts/_access_candidates.html", {"candidates": found, "text": text})


@require_POST
def tick(request: SignedInRequest, pk: int, grant_pk: int) -> HttpResponse:
    """Set one right of one grant: `right=access`, with `on` or without."""
    sharing = _sharing(request, pk)
    try:
        right = Right(request.POST.get("right", ""))
    except ValueError:
        return _refused(request, sharing, "There is no such right. Reload the page and tick one of the three boxes.")
    try:
        told = sharing.set_right(grant_pk, right, on="on" in request.POST)
    except CannotShare as exc:
        return _refused(request, sharing, str(exc))
    except MailboxGrant.DoesNotExist as exc:
        raise Http404 from exc
    return _changed(request, sharing, told)


@require_http_methods(["GET", "POST"])
def end(request: SignedInRequest, pk: int, grant_pk: int) -> HttpResponse:
    """The dialog that sets the last day of one grant."""
    sharing = _sharing(request, pk)
    grant = _grant_or_404(sharing.mailbox, grant_pk)
    posted = request.POST if request.method == "POST" else None  # nothing typed is an answer too: no end
    form = EndForm(posted, initial={"ends_on": last_day(grant.ends_at) if grant.ends_at else None})
    if form.is_bound and form.is_valid():
        try:
            told = sharing.set_end(grant.pk, form.ends_at)
        except CannotShare as exc:
            form.refuse(exc)
        except MailboxGrant.DoesNotExist as exc:
            raise Http404 from exc
        else:
            return _changed(request, sharing, told)
    context = {"form": form, "grant": grant}
    return _dialog(request, "accounts/_access_end.html", sharing.mailbox, context, is_refused=form.is_bound)


@require_http_methods(["GET", "POST"])
def remove(request: SignedInRequest, pk: int, grant_pk: int) -> HttpResponse:
    """Ask, with who loses what; then take the grant away, which counts at once."""
    sharing = _sharing(request, pk)
    grant = _grant_or_404(sharing.mailbox, grant_pk)
    if request.method == "POST":
        try:
            return _changed(request, sharing, sharing.take_away(grant.pk))
        except MailboxGrant.DoesNotExist as exc:
            raise Http404 from exc
    rows = sharing_people.rows(sharing.mailbox, _giver(sharing), sharing.now)
    context: dict[str, object] = {"row": next(row for row in rows if row.grant.pk == grant.pk)}
    return _dialog(request, "accounts/_access_remove.html", sharing.mailbox, context, is_refused=False)


def _sharing(request: SignedInRequest, pk: int) -> Sharing:
    """What the user changes about a mailbox. 404 for one that the user cannot see, 403 with the reason."""
    sharing = Sharing(changeable_or_404(request, pk), request.user, timezone.now(), request)
    if not _giver(sharing).may_share:
        raise MayNotShare(WHO_SHARES)
    return sharing


def _giver(sharing: Sharing) -> Giver:
    return Giver.of(sharing.mailbox, sharing.actor, sharing.now)


def _grant_or_404(mailbox: Mailbox, pk: int) -> MailboxGrant:
    return get_object_or_404(mailbox.grants.select_related("user", "role"), pk=pk)


def _context(request: SignedInRequest, mailbox: Mailbox) -> dict[str, object]:
    now = timezone.now()
    giver = Giver.of(mailbox, request.user, now)
    rows = sharing_people.rows(mailbox, giver, now)
    return {
        "mailbox": mailbox,
        "tab": "access",
        "giver": giver,
        "rows": rows,
        "rights": list(Right),
        "reach": sharing_people.reach(mailbox, rows),
        "changes": sharing_people.changes(mailbox),
        "is_owner": mailbox.owner_id == request.user.pk,
        "who_shares": WHO_SHARES,
    }


def _changed(request: SignedInRequest, sharing: Sharing, told: str) -> HttpResponse:
    """Say what has changed, and draw the list anew; whoever has just lost the page goes to one that is left."""
    left = Mailbox.objects.manageable_by(request.user, timezone.now()).filter(pk=sharing.mailbox.pk).exists()
    if not request.htmx or not left:
        messages.success(request, told)
        there = reverse("accounts:access", args=[sharing.mailbox.pk]) if left else reverse("email-settings")
        return HttpResponseClientRedirect(there) if request.htmx else redirect(there)
    news: dict[str, object] = {"dialog:close": {}, "toast": {"text": told, "kind": "good"}}
    if request.htmx.target != "access":
        return HttpResponse(status=204, headers={"HX-Trigger": json.dumps({**news, "access:changed": {}})})
    return _list(request, sharing.mailbox, news)


def _refused(request: SignedInRequest, sharing: Sharing, why: str) -> HttpResponse:
    """Nothing was changed: say why, and show how it stands."""
    if request.htmx:
        return _list(request, sharing.mailbox, {"toast": {"text": why, "kind": "bad"}}, status=422)
    messages.error(request, why)
    return render(request, "accounts/access.html", _context(request, sharing.mailbox), status=422)


def _list(request: SignedInRequest, mailbox: Mailbox, news: dict[str, object], *, status: int = 200) -> HttpResponse:
    fresh = changeable_or_404(request, mailbox.pk)
    answer = render(request, "accounts/_access.html", _context(request, fresh), status=status)
    answer["HX-Trigger"] = json.dumps(news)
    return answer


def _dialog(
    request: SignedInRequest, fragment: str, mailbox: Mailbox, context: dict[str, object], *, is_refused: bool
) -> HttpResponse:
    """The fragment for the dialog, or a page around it where its address was opened plainly."""
    status = 422 if is_refused else 200
    template = fragment if request.htmx else "accounts/access_dialog.html"
    return render(request, template, {**context, "mailbox": mailbox, "fragment": fragment}, status=status)
