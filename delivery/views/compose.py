"""Writing mail: new, as a reply, or passing one on (spec H3). One form is one submission (spec I4)."""

from __future__ import annotations

import uuid
from urllib.parse import urlsplit

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods
from django_htmx.http import HttpResponseClientRedirect

from accounts.models import Mailbox
from accounts.signature import parts_of
from delivery.drafting import Draft, Original, draft_for
from delivery.forms import ComposeForm, attachments, sendable_by
from delivery.models import OutboxMessage
from delivery.outbox import CannotBeQueued, KeyReused, queue_message
from delivery.signing import bodies
from delivery.wanted import Wanted
from mailstore.models import Message
from mailstore.packs import RawUnavailable
from organizations.models import User
from organizations.requests import SignedInRequest
from protocols.message import languages

TITLES = {"compose": "New message", "reply": "Reply", "forward": "Forward"}


@require_http_methods(["GET", "POST"])
def compose(request: SignedInRequest) -> HttpResponse:
    return _composer(request, "compose", None)


@require_http_methods(["GET", "POST"])
def reply(request: SignedInRequest, pk: int) -> HttpResponse:
    """`?all=1` addresses everybody who got the original."""
    return _composer(request, "reply", _readable_or_404(request.user, pk))


@require_http_methods(["GET", "POST"])
def forward(request: SignedInRequest, pk: int) -> HttpResponse:
    return _composer(request, "forward", _readable_or_404(request.user, pk))


def _composer(request: SignedInRequest, kind: str, original: Message | None) -> HttpResponse:
    mailboxes = sendable_by(request.user, timezone.now())
    chosen = _chosen(request, mailboxes, original)
    draft = _draft(request, kind, original, chosen)
    if request.method == "POST":
        form = ComposeForm(request.POST, request.FILES, mailboxes=mailboxes, files=draft.files)
        if form.is_valid() and (queued := _queue(request, form, original, kind)):
            return _leave(request, form, queued)
    else:
        form = ComposeForm(
            initial=draft.initial() | _beginning(request, chosen, original, draft),
            mailboxes=mailboxes,
            files=draft.files,
        )
    context = {"form": form, "kind": kind, "title": TITLES[kind], "mailboxes": mailboxes, "draft": draft}
    fragment = request.htmx and request.method == "POST"
    template = "delivery/_composer.html" if fragment else "delivery/compose.html"
    return render(request, template, context, status=422 if form.is_bound else 200)


def _chosen(request: SignedInRequest, mailboxes: list[Mailbox], original: Message | None) -> Mailbox | None:
    """What stands in From at first: the mailbox of the message, or the asked one, or the first."""
    wanted = str(original.mailbox_id) if original else request.GET.get("mailbox", "")
    return next((mailbox for mailbox in mailboxes if str(mailbox.pk) == wanted), None) or next(iter(mailboxes), None)


def _draft(request: SignedInRequest, kind: str, original: Message | None, chosen: Mailbox | None) -> Draft:
    """What is written for the person, in the language of the mailbox that stands in From."""
    if original is None:
        return Draft(subject=request.GET.get("subject", "")[:900])
    words = chosen.writes_in if chosen else languages.language(request.user.language)
    return draft_for(original, words, forward=kind == "forward", everyone="all" in request.GET)


def _beginning(
    request: SignedInRequest, chosen: Mailbox | None, original: Message | None, draft: Draft
) -> dict[str, object]:
    """The values that an empty form begins with beside those of the draft."""
    beginning: dict[str, object] = {
        "submission_key": uuid.uuid4().hex,
        "next": _way_back(request),
        "mailbox": chosen.pk if chosen else None,
        "keep": [part.path for part in draft.files],
        "signed": True,
    }
    if original is None and request.GET.get("to"):
        beginning["to"] = request.GET["to"][:2000]
    return beginning


def _queue(request: SignedInRequest, form: ComposeForm, original: Message | None, kind: str) -> OutboxMessage | None:
    """Queue what the form holds; None when it cannot be, with the reason at its field."""
    try:
        files = attachments(form.cleaned_data["attachments"])
        if original is not None and form.cleaned_data["keep"]:
            files += Original.read(original).files(form.cleaned_data["keep"])
        mailbox: Mailbox = form.cleaned_data["mailbox"]
        signature = parts_of(mailbox) if form.cleaned_data["signed"] else None
        language = mailbox.writes_in.tag
        written = bodies(form.cleaned_data["text"], form.cleaned_data["quote"], signature, language=language)
        wanted = Wanted(
            author=request.user,
            mailbox=mailbox,
            to=form.recipients["to"],
            cc=form.recipients["cc"],
            bcc=form.recipients["bcc"],
            subject=form.cleaned_data["subject"],
            text=written.text,
            html=written.html,
            attachments=[*files, *written.images],
            answers=original if kind == "reply" else None,
            submission_key=form.cleaned_data["submission_key"],
        )
        return queue_message(wanted)
    except RawUnavailable:
        form.add_error("keep", "The files of the original cannot be read from the disk. Untick them to send without.")
    except KeyReused as exc:
        form.add_error(None, _already_sent(exc))
    except CannotBeQueued as exc:
        form.add_error(exc.field if exc.field in form.fields else None, str(exc))
    return None


def _already_sent(error: KeyReused) -> str:
    link = reverse("delivery:message", args=[error.earlier.pk])
    return format_html('{} <a class="link" href="{}">See what was sent</a>', str(error), link)


def _leave(request: SignedInRequest, form: ComposeForm, queued: OutboxMessage) -> HttpResponse:
    """Back to where one came from, with the news."""
    log = reverse("delivery:message", args=[queued.pk])
    messages.success(request, format_html('Queued. <a class="link" href="{}">See it in the log</a>', log))
    there = _safe(request, form.cleaned_data["next"]) or reverse("delivery:email-log")
    return HttpResponseClientRedirect(there) if request.htmx else HttpResponseRedirect(there)


def _way_back(request: SignedInRequest) -> str:
    """Where to go afterwards: as asked, else the page that led here, unless it is a composer itself."""
    if asked := _safe(request, request.GET.get("next", "")):
        return asked
    came_from = _safe(request, request.headers.get("Referer", ""))
    parts = urlsplit(came_from)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return "" if path.split("?")[0] == request.path else path


def _safe(request: SignedInRequest, url: str) -> str:
    """`url` where it is a page of ours, as a path or in full; else ""."""
    if not url.startswith(("/", "http://", "https://")):
        return ""
    return url if url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure()) else ""


def _readable_or_404(user: User, pk: int) -> Message:
    """A message whose text `user` may have: by access, or by send, which shows incoming mail in the panel (F2)."""
    return get_object_or_404(Message.objects.readable_by(user, timezone.now()).select_related("mailbox"), pk=pk)
