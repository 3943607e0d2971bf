"""`{% icon "mail" %}`: a Lucide icon, drawn once per process; a settings page shows hundreds."""

from __future__ import annotations

from functools import lru_cache

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from lucide.templatetags.lucide import lucide

register = template.Library()


@register.simple_tag
def icon(name: str, size: str = "", spin: str = "", label: str = "") -> SafeString:
    """Decorative unless it has a label. size: "" or "large"; spin: turns when not empty."""
    drawn = _drawn(str(name), "icon spin" if spin else "icon large" if size == "large" else "icon")
    return format_html('{}<span class="visually-hidden">{}</span>', drawn, label) if label else drawn


@lru_cache(maxsize=512)
def _drawn(name: str, classes: str) -> SafeString:
    return SafeString(lucide(name, size=None, **{"class": classes, "aria_hidden": "true"}))
