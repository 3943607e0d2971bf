"""Octets from mail as a file to save. What is inside is never shown in place, whatever it says it is (T9, T12)."""

from __future__ import annotations

import re
from typing import Final

from django.http import HttpResponse
from django.utils.http import content_disposition_header

from mailstore.models import Attachment, Message
from mailstore.packs import read_raw
from protocols.message.content import part_bytes, safe_filename

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}

_CONTENT_TYPE = re.compile(r"(?:application|audio|image|video)/[a-z0-9][a-z0-9.+-]{0,100}", re.ASCII)
_ACTIVE = re.compile(r"html|xml|svg|script|flash")  # what a browser might run; it is only ever saved


def attachment_file(attachment: Attachment) -> HttpResponse:
    """The decoded content. Raises RawUnavailable; KeyError where the message has no such part."""
    octets = part_bytes(read_raw(attachment.message), attachment.path)
    kind = attachment.content_type
    harmless = _CONTENT_TYPE.fullmatch(kind) and not _ACTIVE.search(kind)
    filename = safe_filename(attachment.filename, kind)
    return _download(octets, filename, content_type=kind if harmless else "application/octet-stream")


def message_file(message: Message, *, content_type: str = "text/plain") -> HttpResponse:
    """The message as it came, octet by octet. Raises RawUnavailable."""
    filename = safe_filename(f"{message.subject[:100] or 'message'}.eml")
    return _download(read_raw(message), filename, content_type=content_type)


def _download(octets: bytes, filename: str, *, content_type: str) -> HttpResponse:
    """Octets to save under `filename` (RFC 6266, RFC 8187)."""
    response = HttpResponse(octets, content_type=content_type, headers=HEADERS)
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=filename)
    return response
