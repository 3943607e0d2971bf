"""Texts that any database takes. Knows nothing of Django, so that the reader process can use it."""

from __future__ import annotations


def storable(text: str, length: int) -> str:
    """Return at most `length` characters of `text` without what a database refuses: NUL and lone surrogates."""
    if len(text) > length:
        text = text[:length]
    if "\0" in text:
        text = text.replace("\0", "")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return text.encode("utf-8", "replace").decode()
    return text
