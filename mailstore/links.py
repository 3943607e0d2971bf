"""Addresses in plain text become links; everything else is escaped. One pass, linear in the length of the text."""

from __future__ import annotations

import re
from itertools import islice
from typing import Final

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from mailstore.rendering import link

MOST_LINKS: Final = 5_000  # a text of two megabytes can hold a hundred thousand

_ADDRESS = re.compile(
    r"(?<![\w@/.-])(?:https?://|www\.(?=\w)|mailto:(?=\S))[^\s<>\"“”„«»\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e]{1,2000}",
    re.IGNORECASE,
)
_CLOSING: Final = {")": "(", "]": "[", "}": "{"}
_TRAILING: Final = ".,;:!?'’*_|"


def with_links(text: str) -> SafeString:
    """Return `text` as HTML in which http, https, mailto and www. addresses can be followed in a new tab.

    Behind the first 5,000 they stay text.
    """
    pieces: list[str] = []
    end = 0
    for match in islice(_ADDRESS.finditer(text), MOST_LINKS):
        address = _trimmed(match[0])
        target = link(f"https://{address}" if address[:4].lower() == "www." else address)
        if target is None or len(address) < len("www.a"):
            continue
        pieces.append(escape(text[end : match.start()]))
        pieces.append(
            format_html('<a class="link" href="{}" target="_blank" rel="noopener noreferrer">{}</a>', target, address)
        )
        end = match.start() + len(address)
    pieces.append(escape(text[end:]))
    return mark_safe("".join(pieces))  # noqa: S308  every piece was escaped above


def _trimmed(address: str) -> str:
    """Leave out the punctuation of the sentence, but not the closing bracket of one that the address opens."""
    counts = {bracket: address.count(bracket) for pair in _CLOSING.items() for bracket in pair}
    end = len(address)
    while end:
        last = address[end - 1]
        opening = _CLOSING.get(last)
        if last not in _TRAILING and (opening is None or counts[opening] >= counts[last]):
            break
        if last in counts:
            counts[last] -= 1
        end -= 1
    return address[:end]
