"""The mail panel: folders of a mailbox, the conversations of one of them, and what the mailbox does right now."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db.models import Q, QuerySet, Sum
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET
from django_htmx.http import HttpResponseClientRefresh

from accounts.models import Mailbox, State
from mailstore.folder_tree import TreeFolder, folder_tree
from mailstore.models import Change, Folder, Listing
from mailstore.rows import folder_rows
from mailstore.schedule import progress
from organizations.caching import private
from organizations.models import User
from organizations.requests import SignedInRequest

MOST_REFUSALS: Final = 3  # shown at a time


class PanelRequest(SignedInRequest):
    """mailbox_pk: tells the side bar which mailbox is looked at."""

    mailbox_pk: int


@require_GET
@private
def mail(request: SignedInRequest) -> HttpResponse:
    """The first mailbox that receives mail; for people without one, how to get one."""
    mailboxes = _in_panel(request.user, timezone.now())
    first = mailboxes.exclude(imap_host="").first() or mailboxes.first()
    if first is not None:
        return redirect("mailstore:mailbox", first.pk)
    searches = Mailbox.objects.readable_by(request.user, timezone.now()).exists()
    return render(request, "mailstore/nothing_connected.html", {"searches": searches})


@require_GET
@private
def mailbox(request: PanelRequest, mailbox_pk: int) -> HttpResponse:
    """The inbox, or before the first download what becomes of it."""
    box = get_object_or_404(_in_panel(request.user, timezone.now()), pk=mailbox_pk)
    request.mailbox_pk = box.pk
    return _panel(request, box, _first_folder(box))


@require_GET
@private
def folder(request: PanelRequest, pk: int) -> HttpResponse:
    """A folder. `?after=` gives the next page of its list alone."""
    chosen = folder_or_404(request.user, pk)
    request.mailbox_pk = chosen.mailbox_id
    if request.htmx and not request.htmx.boosted:
        page = folder_rows(chosen, request.GET.get("after", ""))
        return render(request, "mailstore/_rows.html", {"page": page, "folder": chosen})
    return _panel(request, chosen.mailbox, chosen)


@require_GET
@private
def newest(request: SignedInRequest, pk: int) -> HttpResponse:
    """The first page of a folder for an open panel, which puts it in place of its own (static/mail.js).

    `?has=` names the states of the rows that it shows, with dots between: those come as their state alone.
    """
    chosen = folder_or_404(request.user, pk)
    known = frozenset(request.GET.get("has", "").split("."))
    return render(request, "mailstore/_newest.html", {"folder": chosen, "page": folder_rows(chosen), "known": known})


@require_GET
@private
def folders(request: SignedInRequest, mailbox_pk: int) -> HttpResponse:
    """Folders with their counts, and what the mailbox does: the part of an open panel that follows the mailbox."""
    box = get_object_or_404(_in_panel(request.user, timezone.now()), pk=mailbox_pk)
    current = request.GET.get("folder", "")
    if not current and _first_folder(box) is not None:
        return HttpResponseClientRefresh()  # there is something to see now: begin again
    chosen = shown_folders(box).filter(pk=current).first() if current.isdecimal() and len(current) < 19 else None
    return render(request, "mailstore/_mailbox_live.html", panel_context(box, chosen, request.user))


def panel_context(mailbox: Mailbox, folder: Folder | None, user: User) -> dict[str, object]:
    """What a panel shows around its list: folders, which of them is looked at, what the mailbox does, and what `user`
    asked for in vain.
    """
    lines = _folder_lines(mailbox)
    attention = mailbox.attention or {}
    doing = progress(getattr(mailbox, "schedule", None), timezone.now())
    waits = doing.state == State.WAITING and doing.until is not None
    refused_login = waits and mailbox.login_refusals > 0
    return {
        "mailbox": mailbox,
        "folders": lines,
        "folder": folder,
        "folder_label": next((line.label for line in lines if line.folder == folder), str(folder or "")),
        "refused": Change.objects.refused_for(user).filter(mailbox=mailbox)[:MOST_REFUSALS],
        "progress": doing,
        "outage": waits and (refused_login or mailbox.schedule.failures > 1),
        "refused_login": refused_login,
        "may_fix": (refused_login or bool(attention)) and _may_change(mailbox, user),
        "trouble": {"title": attention.get("title", ""), "cause": next(iter(attention.get("causes") or []), {})},
    }


def _may_change(mailbox: Mailbox, user: User) -> bool:
    return Mailbox.objects.manageable_by(user, timezone.now()).filter(pk=mailbox.pk).exists()


def shown_folders(mailbox: Mailbox) -> QuerySet[Folder]:
    """Folders that hold mail here, and those that only hold other folders."""
    listed = Listing.objects.filter(folder__mailbox=mailbox).values("folder")
    return mailbox.folders.filter(Q(is_followed=True) | Q(is_selectable=False) | Q(pk__in=listed), vanished_at=None)


def _panel(request: SignedInRequest, box: Mailbox, chosen: Folder | None) -> HttpResponse:
    page = folder_rows(chosen, request.GET.get("after", "")) if chosen else None
    context = panel_context(box, chosen, request.user) | {"page": page, "pane": "list"}
    return render(request, "mailstore/panel.html", context)


def _in_panel(user: User, now: datetime) -> QuerySet[Mailbox]:
    return Mailbox.objects.in_panel_of(user, now).select_related("schedule")


def folder_or_404(user: User, pk: int) -> Folder:
    rows = Folder.objects.filter(mailbox__in=Mailbox.objects.in_panel_of(user, timezone.now()), vanished_at=None)
    return get_object_or_404(rows.select_related("mailbox__schedule"), pk=pk)


def _first_folder(box: Mailbox) -> Folder | None:
    present = box.folders.filter(vanished_at=None, is_selectable=True)
    inbox = present.filter(special_use=Folder.SpecialUse.INBOX).first()
    return inbox or present.filter(is_followed=True).first()


def _folder_lines(box: Mailbox) -> list[TreeFolder]:
    """The folder tree with its unread messages; two queries."""
    unread = Listing.objects.filter(folder__mailbox=box, unread_count__gt=0).values_list("folder")
    counts = dict(unread.annotate(Sum("unread_count")).order_by())
    return folder_tree(shown_folders(box), counts)
