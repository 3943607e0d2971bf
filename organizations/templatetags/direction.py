"""Text of others in a line of ours: `{{ folder.name|undirected }}`, with <bdi> around it."""

from __future__ import annotations

from django import template

from organizations import invisible

register = template.Library()


@register.filter
def undirected(text: object) -> str:
    return invisible.undirected(str(text))
