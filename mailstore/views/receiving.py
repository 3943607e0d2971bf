"""Asking for mail: sync now, the first download, and how much there will be."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from accounts.dialogs import changeable_or_404
from accounts.folders_form import FoldersForm
from accounts.models import DownloadPeriod, Mailbox
from mailstore import coverage, deletion, folder_list, runs
from mailstore.estimate import estimate_download
from mailstore.models import Message
from mailstore.run import first_day
from mailstore.schedule import release, request_sync, resume
from mailstore.trouble import incoming_trouble, login_waits
from organizations.models import User
from organizations.requests import SignedInRequest
from protocols.diagnosis import Diagnosis
from protocols.errors import LoginRefused, MailError


@require_POST
def sync(request: SignedInRequest, mailbox_pk: int) -> HttpResponse:
    """Pull at once. What comes of it is told by live news."""
    mailbox = _known_or_404(request.user, mailbox_pk)
    resume(mailbox.pk)
    request_sync(mailbox.pk)
    return HttpResponse(status=204)


@require_POST
def release_sync(request: SignedInRequest, mailbox_pk: int) -> HttpResponse:
    """Take the mailbox from a process that hangs with it."""
    mailbox = changeable_or_404(request, mailbox_pk)
    if release(mailbox, by=request.user, now=timezone.now(), request=request):
        messages.success(request, "The sync was taken away. The next free process goes on.")
    else:
        messages.info(request, "That sync has ended meanwhile.")
    return redirect("accounts:settings-log", mailbox.pk)


@require_POST
def download(request: SignedInRequest, mailbox_pk: int) -> HttpResponse:
    """Begin the first download and go where one sees it."""
    mailbox = _known_or_404(request.user, mailbox_pk)
    request_sync(mailbox.pk)
    if Mailbox.objects.in_panel_of(request.user, timezone.now()).filter(pk=mailbox.pk).exists():
        return redirect("mailstore:mailbox", mailbox.pk)
    messages.success(request, f"The download of {mailbox.address} begins.")
    return redirect("email-settings")


@require_GET
def estimate(request: SignedInRequest, mailbox_pk: int) -> HttpResponse:
    """How much a download will bring: a few words for the page that offers it.

    `?download_period=` asks what choosing another period would do to what is stored.
    """
    mailbox, now = _known_or_404(request.user, mailbox_pk), timezone.now()
    stored = list(mailbox.folders.filter(is_followed=True, synced_at__isnull=False))
    if not stored or "download_period" not in request.GET:
        return render(request, "mailstore/_estimate.html", {"estimate": estimate_download(mailbox, now)})
    if request.GET["download_period"] in DownloadPeriod.values:
        mailbox.download_period = request.GET["download_period"]
    since = first_day(mailbox, now)
    context: dict[str, object] = {"is_longer": any(coverage.falls_short(folder, since) for folder in stored)}
    if context["is_longer"] and (there := estimate_download(mailbox, now)) is not None:
        here = Message.objects.live().filter(folder__in=stored)
        context["estimate"] = there.without((here.filter(received_at__gte=since) if since else here).count())
    return render(request, "mailstore/_other_period.html", context)


@require_POST
def refresh_folders(request: SignedInRequest, mailbox_pk: int) -> HttpResponse:
    """Ask the server for its folders and draw the tree of the settings page anew, with the ticks as they stood."""
    mailbox = changeable_or_404(request, mailbox_pk)
    trouble: Diagnosis | None = None
    if mailbox.incoming() is None:
        raise Http404("This mailbox does not receive.")
    before = set(mailbox.folders.filter(vanished_at=None).values_list("pk", flat=True))
    waits = login_waits(mailbox, timezone.now())
    try:
        if not waits:
            folder_list.refresh_folders(mailbox)
    except MailError as exc:
        if isinstance(exc, LoginRefused):
            runs.refused_to_watch(mailbox.pk, timezone.now())
        trouble = incoming_trouble(mailbox, exc)
    form = FoldersForm(mailbox=mailbox, initial=_ticks_as_posted(request))
    added = sum(1 for branch in form.branches if branch.value and int(branch.value) not in before)
    context = {"mailbox": mailbox, "form": form, "trouble": trouble, "added": added, "refreshed": True, "waits": waits}
    return render(request, "accounts/_folder_tree.html", context)


def _ticks_as_posted(request: SignedInRequest) -> dict[str, object]:
    """What the form holds at the moment; nothing where it showed no tree yet."""
    if "all_folders" not in request.POST or "shown" not in request.POST:
        return {}
    return {
        "all_folders": request.POST["all_folders"],
        "folders": request.POST.getlist("folders"),
        "also": request.POST.getlist("also"),
    }


@require_http_methods(["GET", "POST"])
def download_again(request: SignedInRequest, mailbox_pk: int) -> HttpResponse:
    """Ask, with what goes; then remove the stored mail and begin a new first download."""
    mailbox = changeable_or_404(request, mailbox_pk)
    if not mailbox.may_be_deleted_by(request.user):  # what is older than the download period does not come back
        raise PermissionDenied
    if not mailbox.imap_host:
        raise Http404("This mailbox does not receive.")
    if request.method == "GET":
        in_page = not request.htmx
        context = {"mailbox": mailbox, "stored": mailbox.messages.count(), "in_page": in_page}
        fragment = "accounts/_download_again.html"
        if not in_page:
            return render(request, fragment, context)
        return render(request, "accounts/page.html", {**context, "fragment": fragment, "frame": "#account-frame"})
    deletion.start_over(mailbox, request.user, request)
    messages.success(request, "The stored mail was removed. The download begins again.")
    there = reverse("accounts:settings-advanced", args=[mailbox.pk])
    return HttpResponseClientRedirect(there) if request.htmx else redirect(there)


def _known_or_404(user: User, pk: int) -> Mailbox:
    """A mailbox on which the person has any right, or manages as an email account."""
    return get_object_or_404(Mailbox.objects.visible_to(user, timezone.now()), pk=pk)
