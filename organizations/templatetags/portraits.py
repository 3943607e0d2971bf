"""Initials and a stable colour for whoever, or whatever, has a name."""

from __future__ import annotations

import re
import zlib

from django import template

register = template.Library()

HUES = 8  # --hue-0 to --hue-7 in static/tokens.css


@register.filter
def initials(name: str) -> str:
    """One or two letters: "Anna Berg" gives AB, "support@example.org" gives S, an empty name a middle dot."""
    words = re.findall(r"[^\W_]+", str(name).lstrip("@").partition("@")[0])
    if not words:
        return "·"
    chosen = [words[0], words[-1]] if len(words) > 1 and "@" not in str(name) else words[:1]
    return "".join(word[0] for word in chosen).upper()


@register.filter
def hue(name: str) -> int:
    """A number from 0 to 7 that follows from the name alone, so that a person keeps one colour on every page."""
    return zlib.crc32(str(name).strip().casefold().encode()) % HUES
