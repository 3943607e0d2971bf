"""Words marked in search results, icons for files, and the moment of a message."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from mailstore.fulltext import folded_words
from mailstore.models import Attachment
from protocols.message.filenames import safe_filename

register = template.Library()

_WORD = re.compile(r"\w+")
_ICONS = (
    ("image/", "image"),
    ("audio/", "file-music"),
    ("video/", "file-video-camera"),
    ("text/calendar", "calendar"),
    ("message/", "mail"),
    ("text/", "file-text"),
    ("application/pdf", "file-text"),
)
_ARCHIVE = re.compile(r"zip|compressed|tar\b|gzip|7z|rar")
_SHEET = re.compile(r"spreadsheet|excel|csv")


@register.filter
def marked(text: str, words: Sequence[str]) -> SafeString:
    """Escape `text`, and mark words that begin with one of `words` as the index knows them (no case, no accents)."""
    if not words:
        return escape(text)
    beginnings = tuple(words)
    pieces: list[str] = []
    end = 0
    for match in _WORD.finditer(text):
        if any(folded.startswith(beginnings) for folded in folded_words(match[0])):
            pieces += (escape(text[end : match.start()]), "<mark>", escape(match[0]), "</mark>")
            end = match.end()
    pieces.append(escape(text[end:]))
    return mark_safe("".join(pieces))  # noqa: S308  every piece was escaped above


@register.filter
def file_name(attachment: Attachment) -> str:
    """The name under which the browser saves it: no folders, nothing that turns the direction of writing."""
    return safe_filename(attachment.filename, attachment.content_type)


@register.filter
def file_icon(attachment: Attachment) -> str:
    """The name of the icon that stands for a file of this type."""
    kind = attachment.content_type
    if _SHEET.search(kind):
        return "file-spreadsheet"
    if _ARCHIVE.search(kind):
        return "file-archive"
    return next((icon for beginning, icon in _ICONS if kind.startswith(beginning)), "file")


@register.filter
def day_and_time(moment: datetime) -> str:
    """ "Today 10:42", "Yesterday 10:42", "18 Nov, 10:42", "18 Nov 2023, 10:42"; in the reader's time zone."""
    local, today = timezone.localtime(moment), timezone.localtime()
    if local.date() == today.date():
        return f"Today {date_format(local, 'H:i')}"
    if local.date() == today.date() - timedelta(days=1):
        return f"Yesterday {date_format(local, 'H:i')}"
    return date_format(local, "j M, H:i" if local.year == today.year else "j M Y, H:i")
