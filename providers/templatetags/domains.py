"""Domain names in pages."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from providers.catalog import u_label

register = template.Library()


@register.filter
def domain_name(domain: str) -> str | SafeString:
    """A stored domain as people write it, with its A-label (RFC 5890) beside it where that is another one: letters of
    two alphabets may look alike.
    """
    shown = u_label(domain)
    return shown if shown == domain else format_html('{} <span class="muted small">{}</span>', shown, domain)


@register.filter
def spoken_domain(domain: str) -> str:
    """The same without markup: "bücher.example (xn--bcher-kva.example)"."""
    shown = u_label(domain)
    return shown if shown == domain else f"{shown} ({domain})"
