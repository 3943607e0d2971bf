"""Writing mail: new, as a reply, or passing one on (spec H3). One form is one submission (spec I4)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods
from django_htmx.http import HttpResponseClientRedirect

from accounts.models import Mailbox
from delivery import lost_files, saved_drafts, taking_back, undo_bar
from delivery.drafting import Draft, Original, draft_for
from delivery.forms import Attachable, ComposeForm, attachments, sendable_by
from delivery.models import OutboxMessage
from delivery.outbox import CannotBeQueued, KeyReused, kept_or_told, queue_message
from delivery.saved_drafts import KeptFile
from delivery.schedule_times import WallTime
from delivery.states import State
from delivery.suppression_forms import refuse_suppressed
from delivery.taking_back import Reopened
from delivery.wanted import Wanted
from delivery.written import written
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


@require_http_methods(["GET", "POST"])
def reopen(request: SignedInRequest, pk: int) -> HttpResponse:
    """A mail that was taken back, as it was typed."""
    message = get_object_or_404(OutboxMessage.objects.filter(author=request.user), pk=pk)
    again = taking_back.reopened(message)
    if again is None:
        messages.warning(request, "It cannot be opened again: it has left, or nothing is kept of what was typed.")
        return redirect("delivery:message", pk)
    readable = Message.objects.readable_by(request.user, timezone.now()).select_related("mailbox")
    return _composer(request, again.typed.kind, readable.filter(pk=again.typed.original_id or 0).first(), again)


def _composer(
    request: SignedInRequest, kind: str, original: Message | None, again: Reopened | None = None
) -> HttpResponse:
    mailboxes = sendable_by(request.user, timezone.now())
    chosen = _chosen(request, mailboxes, original)
    draft = _draft(request, kind, original, chosen)
    if again is not None:
        draft = replace(again.draft, head=draft.head, shows_html=draft.shows_html)
    own = _own_files(request)
    files: list[Attachable] = [*draft.files, *own]
    if request.method == "POST":
        lost = lost_files.lost(request.POST, {one.path for one in files})
        form = ComposeForm(
            request.POST, request.FILES, mailboxes=mailboxes, files=files, lost=lost, shows_html=draft.shows_html
        )
        ready = form.is_valid() and not refuse_suppressed(form, request.user)
        if ready and (queued := _queue(request, form, original, kind, again)):
            saved_drafts.let_go(request.user, queued.submission_key)
            return _leave(request, form, queued)
        if "keep" in form.errors and (earlier := _sent_before(request)):
            form.add_error(None, _already_sent(KeyReused(earlier)))
    else:
        beginning = draft.initial() | _beginning(request, chosen, original, draft)
        if again is not None:
            kept = {"keep": beginning["keep"], "submission_key": again.submission_key}
            beginning |= again.typed.fields | kept
        beginning |= _saved(request, own)
        form = ComposeForm(initial=beginning, mailboxes=mailboxes, files=files, shows_html=draft.shows_html)
    context = {"form": form, "kind": kind, "title": TITLES[kind], "mailboxes": mailboxes, "draft": draft}
    are_its_own = again is not None or bool(own) or bool(form.lost)
    context |= {"original": original, "files_title": "Files" if are_its_own else "Files of the original"}
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
        "include_original": True,
    }
    if original is None and request.GET.get("to"):
        beginning["to"] = request.GET["to"][:2000]
    return beginning


def _draft_key(request: SignedInRequest) -> str:
    """Under which its draft is kept, where there is one."""
    if request.method == "POST":
        return request.POST.get("submission_key", "")
    return request.GET.get("draft", "")


def _own_files(request: SignedInRequest) -> list[KeptFile]:
    """The files of its draft. Of a form that is sent, those that it offered: the others come along with it."""
    kept = saved_drafts.files(request.user, _draft_key(request))
    offered = lost_files.offered(request.POST)
    return [one for one in kept if request.method == "GET" or one.path in offered]


def _saved(request: SignedInRequest, own: Sequence[KeptFile]) -> dict[str, object]:
    """The draft that the address names, as it was typed; empty where there is none (any more)."""
    saved = saved_drafts.found(request.user, _draft_key(request))
    if saved is None:
        return {}
    ticked = [*saved.fields.get("keep", ()), *(one.path for one in own if one.is_ticked)]
    return {**saved.fields, "submission_key": saved.key, "keep": ticked}


def _queue(
    request: SignedInRequest, form: ComposeForm, original: Message | None, kind: str, again: Reopened | None
) -> OutboxMessage | None:
    """Queue what the form holds; None when it cannot be, with the reason at its field."""
    try:
        keep = form.cleaned_data["keep"]
        files = attachments(form.cleaned_data["attachments"])
        files += saved_drafts.attached(request.user, form.cleaned_data["submission_key"], keep)
        if again is not None:
            files += again.files(keep)
        elif original is not None and form.cleaned_data["as_attachment"]:
            files.append(Original.read(original).whole())
        elif original is not None and keep:
            files += Original.read(original).files(keep)
        body = written(form, original, kind)
        wanted = Wanted(
            author=request.user,
            mailbox=form.cleaned_data["mailbox"],
            sender=form.sender,
            to=form.recipients["to"],
            cc=form.recipients["cc"],
            bcc=form.recipients["bcc"],
            subject=form.cleaned_data["subject"],
            text=body.text,
            html=body.html,
            attachments=[*files, *body.images],
            answers=original if kind == "reply" else None,
            submission_key=form.cleaned_data["submission_key"],
            scheduled_for=form.schedule.moment if form.schedule else None,
            undo_period=timedelta(0) if form.schedule else timedelta(seconds=request.user.undo_seconds),
        )
        queued = _once(wanted, form, original, kind)
        if not queued.was_queued_before or queued.recipients.exclude(state=State.CANCELLED).exists():
            return queued
        form.add_error(None, _taken_back(queued))
    except RawUnavailable:
        form.add_error("keep", "The files of the original cannot be read from the disk. Untick them to send without.")
    except KeyReused as exc:
        form.add_error(None, _already_sent(exc))
    except CannotBeQueued as exc:
        field = "send_on" if exc.field == "scheduled_for" else exc.field
        form.add_error(field if field in form.fields else None, str(exc))
    return None


def _once(wanted: Wanted, form: ComposeForm, original: Message | None, kind: str) -> OutboxMessage:
    """Queue it, with what was typed for as long as it can be taken back; both or neither."""
    with kept_or_told(), transaction.atomic():
        queued = queue_message(wanted)
        if not queued.was_queued_before and (queued.undo_until or queued.scheduled_for):
            taking_back.remember(queued, kind, original, form)
    return queued


def _sent_before(request: SignedInRequest) -> OutboxMessage | None:
    """The mail that this form has become already, and its draft with it."""
    return OutboxMessage.objects.filter(author=request.user, submission_key=_draft_key(request)).first()


def _already_sent(error: KeyReused) -> str:
    link = reverse("delivery:message", args=[error.earlier.pk])
    return format_html('{} <a class="link" href="{}">See what was sent</a>', str(error), link)


def _taken_back(message: OutboxMessage) -> str:
    """For a page from before Undo was pressed, such as one that the Back button shows: it must not seem sent."""
    link = reverse("delivery:reopen", args=[message.pk])
    words = 'You took this mail back, so it is not sent. <a class="link" href="{}">Open it again</a> to send it.'
    return format_html(words, link)


def _leave(request: SignedInRequest, form: ComposeForm, queued: OutboxMessage) -> HttpResponse:
    """Back to where one came from, with the news, or with the bar that offers to undo it."""
    there = _safe(request, form.cleaned_data["next"]) or reverse("delivery:email-log")
    response = HttpResponseClientRedirect(there) if request.htmx else HttpResponseRedirect(there)
    if queued.scheduled_for is not None:
        messages.success(request, _scheduled(queued.scheduled_for, form.schedule))
    elif queued.undo_until is not None:
        undo_bar.show(response, queued.undo_until)
    else:
        log = reverse("delivery:message", args=[queued.pk])
        messages.success(request, format_html('Queued. <a class="link" href="{}">See it in the log</a>', log))
    return response


def _scheduled(moment: datetime, schedule: WallTime | None) -> str:
    words = '{} <a class="link" href="{}">Scheduled mail</a>'
    told = f"It leaves on {date_format(timezone.localtime(moment), 'l, j F Y, H:i')}."
    if schedule is not None and schedule.note:
        told = f"{told} {schedule.note}"
    return format_html(words, told, reverse("delivery:scheduled"))


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
