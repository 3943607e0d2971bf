"""Drafts: saved while they are written, listed, opened again, discarded (spec H3)."""

from __future__ import annotations

import json

from django.contrib import messages
from django.db.models import Count, Q
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts import remote_images
from delivery import saved_drafts
from delivery.forms import MAIL, attachments
from delivery.saved_drafts import DraftsFull, NotADraft
from mailstore.models import Message
from organizations.requests import SignedInRequest

IMAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff"}


@require_GET
def drafts(request: SignedInRequest) -> HttpResponse:
    """All of one's own, newest first; there are at most `saved_drafts.MOST`."""
    mine = request.user.drafts.defer("fields").annotate(files_number=Count("files", filter=Q(files__is_left_out=False)))
    return render(request, "delivery/drafts.html", {"drafts": mine})


@require_POST
def save(request: SignedInRequest, key: str) -> HttpResponse:
    """Keep what stands in a composer now. 204; 409 where its mail is queued already; 422 for what is no draft.

    Where there is no room for it, that is 422 as well, with `is_full`.
    """
    try:
        sent = json.loads(request.body)
        original = _original(request, sent.get("original"))
        kept = saved_drafts.save(request.user, key, str(sent.get("kind")), original, sent.get("fields"), timezone.now())
    except DraftsFull as exc:
        return JsonResponse({"problem": str(exc), "is_full": True}, status=422)
    except (ValueError, AttributeError) as exc:
        words = str(exc) if isinstance(exc, NotADraft) else "This is not what a composer holds."
        return JsonResponse({"problem": words}, status=422)
    return HttpResponse(status=204 if kept is not None else 409)


@require_POST
def keep_files(request: SignedInRequest, key: str) -> JsonResponse:
    """Keep each `file` with a draft, and note which earlier ones were `ticked`, `unticked` or `removed` in a composer.

    Answers the files of the draft, and the paths of those that were sent. 422 where they are too large, or where there
    is no such draft.
    """
    marks = {mark: request.POST.getlist(mark) for mark in ("ticked", "unticked", "removed")}
    try:
        chosen = saved_drafts.keep_files(request.user, key, attachments(request.FILES.getlist("file")), **marks)
    except NotADraft as exc:
        return JsonResponse({"problem": str(exc)}, status=422)
    kept = saved_drafts.files(request.user, key)
    files = [{"path": one.path, "filename": one.filename, "size": one.size} for one in kept]
    return JsonResponse({"files": files, "chosen": chosen})


@require_POST
def discard(request: SignedInRequest, key: str) -> HttpResponse:
    draft = saved_drafts.found(request.user, key)
    if draft is None:
        raise Http404
    draft.delete()
    messages.success(request, "The draft was discarded.")
    return redirect("delivery:drafts")


@require_POST
def fetch_image(request: SignedInRequest) -> HttpResponse:
    """An image on the web that somebody pastes, for the editor to put into the mail; 422 where there is none."""
    try:
        content_type, octets = remote_images.fetch_image(request.POST.get("address", ""), MAIL.image)
    except remote_images.CannotFetch as exc:
        return HttpResponse(str(exc), content_type="text/plain; charset=utf-8", status=422)
    return HttpResponse(octets, content_type=content_type, headers=IMAGE_HEADERS)


def _original(request: SignedInRequest, pk: object) -> Message | None:
    """The message that is answered, where one may read it."""
    if not isinstance(pk, int) or not 0 < pk < 2**63:
        return None
    return Message.objects.readable_by(request.user, timezone.now()).filter(pk=pk).first()
