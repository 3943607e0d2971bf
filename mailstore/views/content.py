"""What is inside a message: its HTML for the frame, images within it, files, and the octets as they came."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.image_types import type_by_signature
from mailstore import downloads, inline_images
from mailstore.downloads import attachment_file, message_file
from mailstore.models import Attachment, Message
from mailstore.opening import clean_html
from mailstore.packs import RawUnavailable, open_raw
from mailstore.rendering import FRAME_POLICY
from organizations.caching import private
from organizations.models import User
from organizations.requests import SignedInRequest
from protocols.message.content import part_pieces
from protocols.message.octets import LARGE_MESSAGE


@require_GET
@private
def message_body(request: SignedInRequest, pk: int) -> HttpResponse:
    """The cleaned HTML of a message, under a policy of its own. Made for a sandboxed frame, safe without one."""
    message = _message_or_404(request.user, pk)
    try:
        body = clean_html(message, request.user)
    except RawUnavailable as exc:
        return _unavailable(request, exc)
    if body is None:
        raise Http404("This message has no HTML.")
    headers = {
        "Content-Security-Policy": FRAME_POLICY,
        "X-Frame-Options": "SAMEORIGIN",
        "Referrer-Policy": "no-referrer",
    }
    return HttpResponse(body.document(), content_type="text/html; charset=utf-8", headers=headers | _NO_SNIFFING)


@login_not_required
@require_GET
@private
def inline_image(request: HttpRequest, token: str) -> HttpResponse:
    """An image within a message. The signed address stands for the sign-in, which the frame cannot bring."""
    image = inline_images.open_address(token)
    if image is None:
        raise Http404("This image can no longer be fetched. Open the message again.")
    try:
        octets = _image_octets(image.message, image.path)
    except (RawUnavailable, KeyError) as exc:
        raise Http404("This image cannot be read.") from exc
    content_type = type_by_signature(octets)
    if content_type is None:
        raise Http404("This part is not an image that can be shown.")
    return HttpResponse(octets, content_type=content_type, headers=downloads.HEADERS)


@require_GET
@private
def attachment(request: SignedInRequest, pk: int) -> HttpResponseBase:
    """A file of a message, to save. It is never shown in place, whatever it says it is (T9, T12)."""
    readable = Message.objects.live().readable_by(request.user, timezone.now())
    chosen = get_object_or_404(Attachment.objects.select_related("message"), pk=pk, message__in=readable)
    try:
        return attachment_file(request, chosen)
    except RawUnavailable as exc:
        return _unavailable(request, exc)
    except KeyError as exc:
        raise Http404("The message has no such part.") from exc


@require_GET
@private
def source(request: SignedInRequest, pk: int) -> HttpResponseBase:
    """The message as it came, octet by octet."""
    message = _message_or_404(request.user, pk)
    try:
        return message_file(request, message)
    except RawUnavailable as exc:
        return _unavailable(request, exc)


def _image_octets(message: Message, path: str) -> bytes:
    """Raises RawUnavailable, KeyError; Http404 where it is larger than any image in a text."""
    octets = b""
    for piece in part_pieces(open_raw(message), path):
        octets += piece
        if len(octets) > LARGE_MESSAGE:
            raise Http404("This image is too large to be shown.")
    return octets


_NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}


def _message_or_404(user: User, pk: int) -> Message:
    return get_object_or_404(Message.objects.live().readable_by(user, timezone.now()), pk=pk)


def _unavailable(request: SignedInRequest, reason: RawUnavailable) -> HttpResponse:
    return render(request, "mailstore/unavailable.html", {"reason": str(reason)}, status=404)
