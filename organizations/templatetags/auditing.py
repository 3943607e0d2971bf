"""Entries of the audit log in words."""

from __future__ import annotations

from django import template

from organizations import audit_log, audit_words

register = template.Library()

register.filter("in_words", audit_words.words_for)
register.filter("object_in_words", audit_words.words_for_object)
register.filter("detail_value", audit_log.shown)


GIST = ("operation", "person", "reason", "roles")  # what a reader looks for first


@register.filter
def gist(detail: dict[str, object]) -> str:
    """The one value of an entry's detail that belongs into its line; "" where the details are enough."""
    return next((audit_log.shown(detail[name]) for name in GIST if detail.get(name)), "")


@register.filter
def detail_name(name: str) -> str:
    return name.replace("_", " ").capitalize()
