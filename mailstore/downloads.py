"""Octets from mail as a file to save. What is inside is never shown in place, whatever it says it is (T9, T12)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Final

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header

from mailstore.models import Attachment, Message
from mailstore.packs import open_raw
from protocols.message.content import part_bytes, part_pieces, safe_filename
from protocols.message.octets import pieces

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}

_CONTENT_TYPE = re.compile(r"(?:application|audio|image|video)/[a-z0-9][a-z0-9.+-]{0,100}", re.ASCII)
_ACTIVE = re.compile(r"html|xml|svg|script|flash")  # what a browser might run; it is only ever saved


def attachment_file(request: HttpRequest, attachment: Attachment) -> HttpResponseBase:
    """The decoded content. Raises RawUnavailable; KeyError where the message has no such part."""
    raw = open_raw(attachment.message)
    kind = attachment.content_type
    harmless = _CONTENT_TYPE.fullmatch(kind) and not _ACTIVE.search(kind)
    filename = safe_filename(attachment.filename, kind)
    content_type = kind if harmless else "application/octet-stream"
    if isinstance(raw, bytes):
        return _to_save(HttpResponse(part_bytes(raw, attachment.path)), filename, content_type=content_type)
    return _to_save(_streamed(request, part_pieces(raw, attachment.path)), filename, content_type=content_type)


def message_file(request: HttpRequest, message: Message, *, content_type: str = "text/plain") -> HttpResponseBase:
    """The message as it came, octet by octet. Raises RawUnavailable."""
    raw = open_raw(message)
    filename = safe_filename(f"{message.subject[:100] or 'message'}.eml")
    if isinstance(raw, bytes):
        return _to_save(HttpResponse(raw), filename, content_type=content_type)
    response = _to_save(_streamed(request, pieces(raw)), filename, content_type=content_type)
    response["Content-Length"] = str(len(raw))
    return response


def _to_save(response: HttpResponseBase, filename: str, *, content_type: str) -> HttpResponseBase:
    """Let a browser save it under `filename` (RFC 6266, RFC 8187)."""
    for name, value in HEADERS.items():
        response[name] = value
    response["Content-Type"] = content_type
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=filename)
    return response


def _streamed(request: HttpRequest, octets: Iterator[bytes]) -> StreamingHttpResponse:
    """Send piece by piece what is too large for memory. Under ASGI Django would gather it first."""
    return StreamingHttpResponse(_read_beside(octets) if isinstance(request, ASGIRequest) else octets)


async def _read_beside(octets: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (piece := await asyncio.to_thread(next, octets, None)) is not None:
        yield piece
